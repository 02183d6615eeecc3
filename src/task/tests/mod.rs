//! Tests of the log's rules.

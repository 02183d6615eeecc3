//! Tests of the judge: a cell that went right has no fault, and each thing that can go wrong is one.

#!/bin/sh
# Runs this example; see ../README.md.
exec "$(dirname "$0")/../common/run.sh" "$(dirname "$0")"

#!/bin/sh
# Runs one example: starts its worker, the sidecar before it and its requester, shows what each has to say, and cleans
# up. Usage: run.sh DIRECTORY. The sidecar is $A2A_SIDECAR, or built here.
#
# The ports are free ones, so the flags below win over the addresses in sidecar.toml, which are for trying it by hand.
set -eu

example=$(cd "$1" && pwd)
common=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$common/../.." && pwd)
export PYTHONDONTWRITEBYTECODE=1

if [ -z "${A2A_SIDECAR:-}" ]; then
    cargo build --release --manifest-path "$root/Cargo.toml"
fi

# The sidecar keeps its tasks where it is started.
scratch=$(mktemp -d)
# There before anybody looks into them.
: >"$scratch/worker.log" >"$scratch/sidecar.log"
children=
clean_up() {
    trap - EXIT
    for child in $children; do
        kill "$child" 2>/dev/null || true
    done
    for child in $children; do
        wait "$child" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The address that the process $1 prints into the file $2 when it listens.
address() {
    tries=0
    while [ "$tries" -lt 300 ]; do
        found=$(sed -n 's|^listening on \(http://[0-9.:]*\).*|\1|p' "$2")
        if [ -n "$found" ]; then
            echo "$found"
            return
        fi
        kill -0 "$1" 2>/dev/null || break
        tries=$((tries + 1))
        sleep 0.1
    done
    echo "$2:" >&2
    cat "$2" >&2
    return 1
}

python3 "$example/worker.py" 0 >"$scratch/worker.log" 2>&1 &
worker_id=$!
children="$worker_id"
worker=$(address "$worker_id" "$scratch/worker.log")

cd "$scratch"
set -- --config "$example/sidecar.toml" --worker "$worker" --listen 127.0.0.1:0 --admin ""
if [ -n "${A2A_SIDECAR:-}" ]; then
    "$A2A_SIDECAR" "$@" >sidecar.log 2>&1 &
else
    cargo run --release --quiet --manifest-path "$root/Cargo.toml" -- "$@" >sidecar.log 2>&1 &
fi
sidecar_id=$!
# The sidecar first: it lets go of the worker before that is gone.
children="$sidecar_id $worker_id"
sidecar=$(address "$sidecar_id" sidecar.log)

echo "--- the sidecar"
sed '/^20.*INFO/d' sidecar.log
echo "--- the requester"
code=0
python3 "$example/requester.py" "$sidecar" || code=$?
if [ "$code" -ne 0 ]; then
    echo "--- what the worker and the sidecar said" >&2
    cat worker.log sidecar.log >&2
fi
exit "$code"

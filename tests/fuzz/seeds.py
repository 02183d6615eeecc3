#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets: what real peers wrote (tests/fixtures), as each target reads it.

Usage: seeds.py FOLDER. Beside these each target gets the files in tests/fuzz/seeds/TARGET, written by hand.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"
PARTS = ("call", "answer", "frame", "webhook", "error", "card")
# The target's name is the folder's, and what the dialect is called in tests/fixtures/cross.
DIALECTS = {"python_a2a": "python-a2a", "v0_2": "v0.3", "v0_3": "v0.3", "v1_0": "v1.0"}

# The forms of single systems: their folder, and the target that reads them.
SYSTEMS = {"praisonai": "praisonai", "fasta2a": "fasta2a", "fasta2a_v0": "fasta2a"}


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def write(folder, target, data):
    place = folder / target
    place.mkdir(parents=True, exist_ok=True)
    (place / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main(folder):
    for version, name in DIALECTS.items():
        files = sorted((FIXTURES / version).glob("*.json"))
        if not files:
            sys.exit(f"seeds: {FIXTURES / version} holds no fixtures")
        for path in files:
            for sample in read(path)["samples"]:
                for part in PARTS:
                    if part not in sample:
                        continue
                    data = compact(sample[part])
                    write(folder, f"dialect_{version}", data)
                    if part == "call":
                        head = b"POST " + sample.get("path", "/").encode() + b"\ncontent-type: application/json\n"
                        if version == "v1_0":
                            head += b"a2a-version: 1.0\n"
                        write(folder, "classify", head + b"\n" + data)
                    elif part == "frame":
                        # The first byte says how the target splits the stream.
                        write(folder, "sse", b"\x07data: " + data[:150] + b"\n\n")
        for path in sorted((FIXTURES / "cross").glob("*.json")):
            sample = read(path)
            if name in sample:
                write(folder, f"dialect_{version}", compact(sample[name]))
    for system, name in SYSTEMS.items():
        for path in sorted((FIXTURES / system).glob("*.json")):
            for sample in read(path)["samples"]:
                for part in ("call", "answer", "frame", "error"):
                    if part in sample:
                        write(folder, f"dialect_{name}", compact(sample[part]))
                if "call" in sample:
                    where = b"/a2a" if system == "praisonai" else b"/"
                    head = b"POST " + where + b"\ncontent-type: application/json\n\n"
                    write(folder, "classify", head + compact(sample["call"]))
    for path in sorted((FIXTURES / "python_a2a").glob("*.json")):
        for sample in read(path)["samples"]:
            call = sample.get("call", {})
            task = call.get("params", call)
            if "artifacts" in task:
                write(folder, "callback", compact(call))
                write(folder, "callback", compact(task))
            asked = (task.get("metadata") or {}).get("callback_task")
            if isinstance(asked, dict):
                write(folder, "callback", compact(asked))
    for version in ("v0_3", "v1_0"):
        for sample in read(FIXTURES / "proto" / f"{version}.json")["samples"]:
            message = base64.b64decode(sample["bytes"])
            # The first byte says how the target splits the body.
            write(folder, "grpc", b"\x40\0" + len(message).to_bytes(4, "big") + message)
            if version == "v0_3":
                write(folder, "dialect_v0_3_proto", compact(sample["json"]))
    for path in sorted((HERE.parent.parent / "config").glob("*.toml")):
        write(folder, "config", path.read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))

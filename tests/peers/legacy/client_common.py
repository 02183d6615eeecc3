"""What the legacy requesters share: the cells, their deadlines, the line that says what was heard.

The harness gives a plan on stdin, `{"base": <url>, "cells": [{"id", "mode", "text", "other", "deadline"}]}`; for each cell one
JSON line is written as soon as it is done. Modes run one after another, as each of these clients' own examples does.
This file imports no A2A library and judges nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

# Between two polls of a polling requester (seconds).
POLL_INTERVAL = 0.2


class Heard:
    """What a requester hears in one cell."""

    def __init__(self, cell: dict) -> None:
        # What to ask for; and for a mode that sends twice, what to ask for then.
        self.text: str = cell["text"]
        self.other: str = cell["other"]
        # The states in order, without repetitions.
        self.states: list[str] = []
        # The text of the artifacts, joined; None while no artifact has come.
        self.result: str | None = None
        # What was posted to the requester: `{"state", "result", "headers"}`.
        self.calls: list[dict] = []
        # What was seen beside: the state by another way of asking, after the mode's own.
        self.beside: dict[str, str | None] = {}

    def state(self, state) -> str:
        name = str(getattr(state, "value", state))
        if not self.states or self.states[-1] != name:
            self.states.append(name)
        return name

    def artifacts(self, artifacts) -> None:
        """Takes a list of artifacts as they now stand."""
        parts = [part for artifact in artifacts or [] for part in artifact.get("parts") or []]
        texts = [part["text"] for part in parts if part.get("text")]
        if texts:
            self.result = "".join(texts)

    def artifact(self, artifact: dict, append: bool = False) -> None:
        """Takes one artifact, or one more chunk of it."""
        before = self.result if append else None
        self.artifacts([artifact])
        if before is not None:
            self.result = before + (self.result or "")


async def run(modes: dict) -> None:
    plan = json.load(sys.stdin)
    for cell in plan["cells"]:
        heard, error = Heard(cell), None
        try:
            mode = modes.get(cell["mode"])
            if mode is None:
                raise NotImplementedError(f"this client has no mode {cell['mode']}")
            await asyncio.wait_for(mode(plan["base"], heard), cell["deadline"])
        except asyncio.TimeoutError:
            error = f"not done within {cell['deadline']} s"
        except Exception as problem:  # noqa: BLE001 - any failure of the client is this cell's result
            error = f"{type(problem).__name__}: {problem}"
        line = {
            "cell": cell["id"],
            "states": heard.states,
            "result": heard.result,
            "calls": heard.calls,
            "beside": heard.beside,
            "error": error,
        }
        print(json.dumps(line), flush=True)


def main(modes: dict) -> None:
    asyncio.run(run(modes))
    sys.stdout.flush()
    os._exit(0)  # a thread of a synchronous client that still waits must not keep the process

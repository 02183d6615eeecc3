"""What the three Python workers share: the scripted agent, the restriction to one mode, and the server.

The agent's script is `scenarios.json`, which the harness reads too, so that both sides know what a task does.
Over JSON-RPC the restriction wraps the real SDK server from outside, as ASGI middleware: what the worker does not offer
never reaches the SDK under its own name, so the refusal is the SDK's own. Over HTTP+JSON and gRPC it is `limited`, around
the SDK's request handler, and the SDK's binding says what that refuses. This file imports no SDK.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import socket
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

SCENARIOS = json.loads((Path(__file__).parent / "scenarios.json").read_text())

# A task that nobody cancels ends by itself, so that a worker never keeps it for ever (seconds).
CANCEL_PATIENCE = 60.0
# A gate that nobody opens opens by itself (seconds): longer than any cell's deadline, so it only saves memory.
GATE_PATIENCE = 120.0

MODES = ("blocking", "poll", "stream", "push", "any")
BINDINGS = ("jsonrpc", "http", "grpc")

# What a worker offers under each restriction; "any" is a worker as it comes.
OFFERED = {
    "blocking": {"send"},
    "poll": {"send", "get"},
    "stream": {"stream", "subscribe", "get"},
    "push": {"send", "get", "push"},
    "any": {"send", "stream", "subscribe", "get", "push"},
}


@dataclass
class Place:
    """Where a worker serves, and what: `url` is its HTTP address, which has the card whatever the binding."""

    url: str
    mode: str
    binding: str

    @property
    def streams(self) -> bool:
        return self.mode in ("stream", "any")

    @property
    def pushes(self) -> bool:
        return self.mode in ("push", "any")


class Gates:
    """Named gates: a requester opens one when it is where the test wants it, so nothing waits for a clock."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def open(self, key: str) -> None:
        self._events[key].set()

    async def wait(self, key: str) -> None:
        try:
            await asyncio.wait_for(self._events[key].wait(), GATE_PATIENCE)
        except asyncio.TimeoutError:
            pass


class Script:
    """Plays scenarios. `emit` is the SDK's side: async `status(state, parts)`, `artifact(spec)`, `message(text)`."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        # task id -> (scenario, turns played, gate key)
        self._tasks: dict[str, tuple[str, int, str | None]] = {}
        self._cancelled: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def cancel(self, task_id: str) -> None:
        self._cancelled[task_id].set()

    def steps(self, task_id: str, text: str) -> tuple[list[dict], str | None]:
        """The steps of this turn: of a new task by the message's text, of a known one the next turn."""
        if task_id in self._tasks:
            name, played, key = self._tasks[task_id]
        else:
            words = text.split()
            name, played = words[0], 0
            key = next((w[len("gate="):] for w in words if w.startswith("gate=")), None)
        self._tasks[task_id] = (name, played + 1, key)
        return SCENARIOS[name][played], key

    async def play(self, task_id: str, steps: list[dict], key: str | None, emit) -> None:
        for step in steps:
            if "status" in step:
                await emit.status(step["status"], [{"text": step["text"]}, *step.get("parts", [])])
            elif "artifact" in step:
                await emit.artifact(step["artifact"])
            elif "message" in step:
                await emit.message(step["message"])
            elif "pause_ms" in step:
                await asyncio.sleep(step["pause_ms"] / 1000)
            elif "gate" in step:
                if key:
                    await self.gates.wait(key)
            elif "until_cancelled" in step:
                try:
                    await asyncio.wait_for(self._cancelled[task_id].wait(), CANCEL_PATIENCE)
                except asyncio.TimeoutError:
                    pass
                else:
                    return  # the SDK's cancel publishes the end
            else:
                raise ValueError(f"unknown step {step}")


class Gated:
    """ASGI middleware that serves the gates beside the worker."""

    def __init__(self, app, gates: Gates) -> None:
        self.app = app
        self.gates = gates

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/gate/"):
            await self.app(scope, receive, send)
            return
        await read_body(receive)
        self.gates.open(scope["path"].removeprefix("/gate/"))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def limited(handler, mode: str, operations: dict[str, set[str]], wait, refusal):
    """Leaves an SDK's request handler only one mode. `operations` maps the kinds, as in `Restricted`, to its methods;
    `wait` sets whether the SDK waits in the parameters of a send; `refusal` is what the SDK itself raises for what a
    worker does not offer.
    """
    if mode == "any":
        return handler
    for kind, methods in operations.items():
        for name in methods:
            if kind not in OFFERED[mode]:
                setattr(handler, name, refuse(getattr(handler, name), refusal))
            elif kind == "send":
                setattr(handler, name, decided(getattr(handler, name), wait, mode == "blocking"))
    return handler


def refuse(method, refusal):
    if inspect.isasyncgenfunction(inspect.unwrap(method)):

        async def refused_stream(*_args, **_named):
            raise refusal()
            yield  # what makes it a stream

        return refused_stream

    async def refused(*_args, **_named):
        raise refusal()

    return refused


def decided(method, wait, should_wait: bool):
    async def send(params, *args, **named):
        wait(params, should_wait)
        return await method(params, *args, **named)

    return send


class Restricted:
    """ASGI middleware that leaves a JSON-RPC worker only one mode.

    `names` maps `send`, `stream`, `get`, `subscribe` and `push` to sets of this dialect's method names;
    `wait` rewrites a send's parameters so that the SDK waits (True) or does not (False);
    `answer_at_once`, if given, serves a send whose SDK always waits.
    """

    def __init__(self, app, mode: str, names: dict[str, set[str]], wait, answer_at_once=None) -> None:
        self.app = app
        self.mode = mode
        self.names = names
        self.wait = wait
        self.answer_at_once = answer_at_once
        self.refused = set().union(*(methods for kind, methods in names.items() if kind not in OFFERED[mode]))

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body = await read_body(receive)
        try:
            call = json.loads(body)
            method = call["method"]
        except (ValueError, KeyError, TypeError):
            await self.app(scope, replay(body, receive), send)
            return
        if method in self.refused:
            call["method"] = f"refused/{method}"
        elif method in self.names["send"]:
            if self.mode != "any":
                self.wait(call.get("params") or {}, self.mode == "blocking")
            if self.mode in ("poll", "push") and self.answer_at_once:
                await self.answer_at_once(self.app, scope, call, send)
                return
        body = json.dumps(call).encode()
        await self.app(with_length(scope, len(body)), replay(body, receive), send)


async def read_body(receive) -> bytes:
    body = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return body
        body += event.get("body", b"")
        if not event.get("more_body"):
            return body


def with_length(scope, length: int):
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
    return {**scope, "headers": [*headers, (b"content-length", str(length).encode())]}


def replay(body: bytes, receive):
    """A `receive` that gives the body once and then what the connection gives (its end)."""
    given = False

    async def once():
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


def main(build) -> None:
    """Parses the arguments, binds, and serves what `build(place)` makes until killed: the ASGI app and, for a worker
    over gRPC, its server, not yet started."""
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--restrict", choices=MODES, required=True)
    parser.add_argument("--binding", choices=BINDINGS, default="jsonrpc")
    args = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", args.port), backlog=512)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    class Server(uvicorn.Server):
        async def startup(self, sockets=None) -> None:
            await super().startup(sockets=sockets)
            print(f"READY {url}", flush=True)

    async def serve() -> None:
        app, grpc_server = build(Place(url, args.restrict, args.binding))
        if grpc_server is not None:
            await grpc_server.start()
        server = Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        await server.serve(sockets=[listener])

    asyncio.run(serve())

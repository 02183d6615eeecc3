"""What the Python requesters share: the cells, the modes, the webhook receiver.

A cell is one mode with one scenario. The modes are written once here against a small adapter; each adapter is only
calls of its SDK's own client, with that client's own defaults. What was heard is written down as the SDK gave it
(dumped to JSON by the SDK's own types) and judged by the harness, not here. This file imports no SDK.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
import traceback
import urllib.request
from contextlib import aclosing

# Cells under way at once in one process: enough to overlap the silent scenarios, few enough for a 2-core machine.
CONCURRENCY = 8
# Between two polls of a polling requester (seconds).
POLL_INTERVAL = 0.2

TERMINAL = {"completed", "failed", "rejected", "canceled"}
PAUSED = {"input-required", "auth-required"}
FOLLOW_UPS = {"ask": "blue"}


def state_name(state: str) -> str:
    """`TASK_STATE_INPUT_REQUIRED` and `input-required` are the same state."""
    return state.removeprefix("TASK_STATE_").lower().replace("_", "-")


def inner(body: dict) -> dict:
    """The object itself: v1.0 wraps it in its name, v0.x does not."""
    for name in ("task", "message", "statusUpdate", "artifactUpdate"):
        if isinstance(body.get(name), dict) and "kind" not in body and "messageId" not in body and "status" not in body:
            return body[name]
    return body


def state_of(body: dict) -> str | None:
    status = inner(body).get("status")
    return state_name(status["state"]) if status else None


def task_id_of(body: dict) -> str | None:
    thing = inner(body)
    return thing.get("taskId") or (thing.get("id") if "status" in thing else None)


def context_id_of(body: dict) -> str | None:
    return inner(body).get("contextId")


def carries_message(body: dict) -> bool:
    status = inner(body).get("status")
    return bool(status and status.get("message"))


class Webhooks:
    """A receiver on a free port that writes down, in order, what is posted to each cell's path."""

    def __init__(self, parse) -> None:
        self._parse = parse
        self._heard: dict[str, list[dict]] = {}
        self._news: dict[str, asyncio.Event] = {}

    def url(self, name: str, heard: list[dict]) -> str:
        self._heard[name] = heard
        self._news[name] = asyncio.Event()
        return f"{self.base}/hook/{name}"

    async def until(self, name: str, reached) -> None:
        """Waits for such a webhook; fails at the first that the SDK's types refuse, as an application would."""
        while True:
            hooks = [item for item in self._heard[name] if item["via"] == "webhook"]
            if any("problem" in hook for hook in hooks):
                raise RuntimeError("a webhook's body is not what this protocol version sends")
            if any(reached(hook["body"]) for hook in hooks):
                return
            self._news[name].clear()
            await self._news[name].wait()

    async def __call__(self, scope, receive, send) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        name = scope["path"].removeprefix("/hook/")
        headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        status = 404
        if name in self._heard:
            status = 200
            item = {
                "via": "webhook",
                "token": headers.get("x-a2a-notification-token"),
                "type": headers.get("content-type"),
            }
            try:
                item["body"] = self._parse(json.loads(body))
            except Exception as error:  # noqa: BLE001 - whatever the SDK's types raise is the finding
                item["body"] = {}
                said = str(error).splitlines()[:1]
                item["problem"] = f"{type(error).__name__}: {said}; body {body[:300]!r}"
            self._heard[name].append(item)
            self._news[name].set()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def start(self) -> None:
        import uvicorn

        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self, log_level="warning", lifespan="off"))
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def stop(self) -> None:
        self._server.should_exit = True
        await self._serving


class Cell:
    """One cell as it runs: what it was told and what it has heard."""

    def __init__(self, spec: dict, adapter, webhooks: Webhooks, gates: str) -> None:
        self.spec = spec
        self.name = spec["id"]
        self.scenario = spec["scenario"]
        self.adapter = adapter
        self.webhooks = webhooks
        self.heard: list[dict] = []
        self.error: str | None = None
        self.started = 0.0
        self._gates = gates
        self._key = self.name.replace("/", "-")

    def text(self, gated: bool = False) -> str:
        return f"{self.scenario} gate={self._key}" if gated else self.scenario

    async def open_gate(self) -> None:
        request = urllib.request.Request(f"{self._gates}/gate/{self._key}", data=b"", method="POST")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        await asyncio.to_thread(lambda: opener.open(request, timeout=20).close())

    def hear(self, via: str, body: dict, **more) -> dict:
        at = round(time.monotonic() - self.started, 3)  # seconds since the cell began
        self.heard.append({"via": via, "body": body, "at": at, **more})
        return body

    def ids(self) -> dict:
        """The task's and its context's id, as last heard, for a follow-up."""
        task, context = None, None
        for item in self.heard:
            task = task_id_of(item["body"]) or task
            context = context_id_of(item["body"]) or context
        return {"task_id": task, "context_id": context}

    def hook(self) -> dict:
        return {"url": self.webhooks.url(self.name, self.heard), "token": f"token-{self.name}"}


async def blocking(cell: Cell) -> None:
    answer = cell.hear("answer", await cell.adapter.send(cell.text(), wait=True))
    if state_of(answer) in PAUSED:
        follow_up = FOLLOW_UPS[cell.scenario]
        cell.hear("answer", await cell.adapter.send(follow_up, wait=True, **cell.ids()))


async def poll_until(cell: Cell, task_id: str, states: set[str]) -> None:
    while True:
        if state_of(cell.hear("answer", await cell.adapter.get(task_id))) in states:
            return
        await asyncio.sleep(POLL_INTERVAL)


async def poll(cell: Cell) -> None:
    answer = cell.hear("answer", await cell.adapter.send(cell.text(gated=True), wait=False))
    await cell.open_gate()
    task_id = task_id_of(answer)
    await poll_until(cell, task_id, TERMINAL | PAUSED)
    if cell.scenario in FOLLOW_UPS:
        cell.hear("answer", await cell.adapter.send(FOLLOW_UPS[cell.scenario], wait=False, **cell.ids()))
        await poll_until(cell, task_id, TERMINAL)


async def listen(cell: Cell, events) -> None:
    async with aclosing(events) as stream:
        async for event in stream:
            cell.hear("event", event)


async def stream(cell: Cell) -> None:
    if cell.scenario == "cancel":
        await stream_and_cancel(cell)
        return
    await listen(cell, cell.adapter.stream(cell.text()))
    if cell.scenario in FOLLOW_UPS:
        cell.hear("follow-up", {})
        await listen(cell, cell.adapter.stream(FOLLOW_UPS[cell.scenario], **cell.ids()))


async def stream_and_cancel(cell: Cell) -> None:
    """Another call cancels the task while this one streams it: the stream must hear the end."""
    canceling = None
    async with aclosing(cell.adapter.stream(cell.text())) as events:
        async for event in events:
            cell.hear("event", event)
            if canceling is None and task_id_of(event):
                canceling = asyncio.create_task(cell.adapter.cancel(task_id_of(event)))
    if canceling is not None:
        cell.hear("cancel", await canceling)


async def resubscribe(cell: Cell) -> None:
    """Drops the stream midway and subscribes again; the task goes on only after that."""
    async with aclosing(cell.adapter.stream(cell.text(gated=True))) as events:
        async for event in events:
            cell.hear("event", event)
            if cell.spec["drop_after"] == "event" or carries_message(event):
                break
    cell.hear("dropped", {})
    opened = False
    async with aclosing(cell.adapter.subscribe(cell.ids()["task_id"])) as events:
        async for event in events:
            cell.hear("event", event)
            if not opened:
                opened = True
                await cell.open_gate()


async def push_inline(cell: Cell) -> None:
    hook = cell.hook()
    cell.hear("answer", await cell.adapter.send(cell.text(gated=True), wait=False, hook=hook))
    await cell.open_gate()
    await cell.webhooks.until(cell.name, lambda body: state_of(body) in TERMINAL | PAUSED)
    if cell.scenario in FOLLOW_UPS:
        cell.hear("answer", await cell.adapter.send(FOLLOW_UPS[cell.scenario], wait=False, **cell.ids()))
        await cell.webhooks.until(cell.name, lambda body: state_of(body) in TERMINAL)


async def push_set(cell: Cell) -> None:
    answer = cell.hear("answer", await cell.adapter.send(cell.text(gated=True), wait=False))
    await cell.adapter.set_hook(task_id_of(answer), cell.hook())
    await cell.open_gate()
    await cell.webhooks.until(cell.name, lambda body: state_of(body) in TERMINAL)


async def cancel(cell: Cell) -> None:
    answer = cell.hear("answer", await cell.adapter.send(cell.text(), wait=False))
    cell.hear("cancel", await cell.adapter.cancel(task_id_of(answer)))
    cell.hear("answer", await cell.adapter.get(task_id_of(answer)))


MODES = {
    "blocking": blocking,
    "poll": poll,
    "stream": stream,
    "resubscribe": resubscribe,
    "push-inline": push_inline,
    "push-set": push_set,
    "cancel": cancel,
}


async def run_cell(cell: Cell, mode, slots: asyncio.Semaphore) -> None:
    async with slots:
        deadline = cell.spec["deadline"]
        cell.started = time.monotonic()
        try:
            await asyncio.wait_for(mode(cell), deadline)
        except asyncio.TimeoutError:
            cell.error = f"not done within {deadline} s"
        except Exception as error:  # noqa: BLE001 - any failure of the SDK's client is this cell's result
            cell.error = told(error)


def told(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})"


async def run(open_adapter, parse_webhook, modes) -> None:
    """Reads the cells from stdin, runs them, and writes one JSON line each when all are done.

    Written only at the end so that a webhook which comes after a cell's last one is in its list too.
    """
    plan = json.load(sys.stdin)
    webhooks = Webhooks(parse_webhook)
    await webhooks.start()
    adapters, broken = {}, {}
    for binding in sorted({spec["binding"] for spec in plan["cells"]}):
        try:
            adapters[binding] = await open_adapter(plan["base"], binding)
        except Exception as error:  # noqa: BLE001 - one binding that is not to be had must not hide the others
            broken[binding] = told(error)
    slots = asyncio.Semaphore(CONCURRENCY)
    cells = [Cell(spec, adapters.get(spec["binding"]), webhooks, plan["gates"]) for spec in plan["cells"]]
    for cell in cells:
        cell.error = broken.get(cell.spec["binding"])
    running = [run_cell(cell, modes[cell.spec["mode"]], slots) for cell in cells if not cell.error]
    await asyncio.gather(*running)
    await webhooks.stop()
    for cell in cells:
        print(json.dumps({"cell": cell.name, "heard": cell.heard, "error": cell.error}), flush=True)


def main(open_adapter, parse_webhook, modes=MODES) -> None:
    asyncio.run(run(open_adapter, parse_webhook, modes))

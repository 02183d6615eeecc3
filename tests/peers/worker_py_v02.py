"""A real a2a-sdk 0.2.x server (JSON-RPC), as it comes or restricted to one mode.

This SDK ignores `blocking: false` and always waits for the end. So that it can be had as a polling and as a
pushing worker, a send in those modes runs behind the answer: the requester gets the task as the SDK first stores it.
"""

from __future__ import annotations

import asyncio
import contextvars
import json

from a2a.server.tasks import InMemoryTaskStore

from worker_common import main, replay, with_length
from worker_py_v0x import build_jsonrpc

# The future that the running send's first stored task resolves.
FIRST_TASK: contextvars.ContextVar[asyncio.Future | None] = contextvars.ContextVar("first_task", default=None)


class AnnouncingTaskStore(InMemoryTaskStore):
    """Tells the send in whose context a task is saved that the task now exists."""

    async def save(self, task, *args, **kwargs) -> None:
        await super().save(task, *args, **kwargs)
        first = FIRST_TASK.get()
        if first is not None and not first.done():
            first.set_result(task.model_dump(mode="json", exclude_none=True, by_alias=True))


RUNNING: set[asyncio.Task] = set()


async def answer_at_once(app, scope, call: dict, send) -> None:
    first: asyncio.Future = asyncio.get_running_loop().create_future()
    body = json.dumps(call).encode()
    answer: list[dict] = []

    async def collect(event) -> None:
        answer.append(event)

    async def connected():
        await asyncio.Event().wait()  # the requester's going away ends nothing

    async def run() -> None:
        FIRST_TASK.set(first)
        await app(with_length(scope, len(body)), replay(body, connected), collect)

    running = asyncio.create_task(run())
    RUNNING.add(running)
    running.add_done_callback(RUNNING.discard)
    await asyncio.wait({running, first}, return_when=asyncio.FIRST_COMPLETED)
    if first.done():
        result = json.dumps({"jsonrpc": "2.0", "id": call.get("id"), "result": first.result()}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(result)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": result})
        return
    running.result()
    for event in answer:  # a bare message, or an error
        await send(event)


if __name__ == "__main__":
    main(lambda place: build_jsonrpc(place, "py-v02", AnnouncingTaskStore(), answer_at_once))

"""Requester without an SDK, for what the SDKs' clients cannot do: long-polling and resuming by Last-Event-ID.

`--dialect v1.0` or `v0.3`, and for v1.0 both bindings that plain HTTP can speak. The address of the endpoint is taken
from the agent card, as the SDKs do.
"""

from __future__ import annotations

import argparse
import json
import uuid
from contextlib import aclosing

import httpx

from client_common import TERMINAL, Cell, carries_message, main, state_of, task_id_of

# Seconds that a long poll asks the server to wait at most; longer than the longest silence of any scenario.
WAIT = 20

DIALECTS = {
    "v1.0": {
        "headers": {"A2A-Version": "1.0"},
        "send": "SendMessage",
        "stream": "SendStreamingMessage",
        "get": "GetTask",
        "subscribe": "SubscribeToTask",
    },
    "v0.3": {
        "headers": {},
        "send": "message/send",
        "stream": "message/stream",
        "get": "tasks/get",
        "subscribe": "tasks/resubscribe",
    },
}


class Adapter:
    """Over JSON-RPC; what differs over HTTP+JSON is in `HttpJson`."""

    def __init__(self, dialect: str, http: httpx.AsyncClient, url: str) -> None:
        self.v1 = dialect == "v1.0"
        self.words = DIALECTS[dialect]
        self.http = http
        self.url = url

    @classmethod
    async def open(cls, dialect: str, base: str, binding: str) -> Adapter:
        http = httpx.AsyncClient(timeout=None, headers=DIALECTS[dialect]["headers"])
        card = (await http.get(f"{base}/.well-known/agent-card.json")).raise_for_status().json()
        if dialect == "v0.3":
            return cls(dialect, http, card["url"])
        made, name = (HttpJson, "HTTP+JSON") if binding == "http" else (cls, "JSONRPC")
        interfaces = [i for i in card["supportedInterfaces"] if i["protocolBinding"] == name]
        return made(dialect, http, next(i["url"] for i in interfaces if i["protocolVersion"].startswith("1.")))

    def call(self, operation: str, params: dict) -> dict:
        return {"jsonrpc": "2.0", "id": str(uuid.uuid4()), "method": self.words[operation], "params": params}

    def message(self, text: str) -> dict:
        if self.v1:
            return {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"text": text}]}
        parts = [{"kind": "text", "text": text}]
        return {"kind": "message", "messageId": str(uuid.uuid4()), "role": "user", "parts": parts}

    async def send_at_once(self, text: str) -> dict:
        configuration = {"returnImmediately": True} if self.v1 else {"blocking": False}
        params = {"message": self.message(text), "configuration": configuration}
        response = await self.http.post(self.url, json=self.call("send", params))
        return result(response.raise_for_status().json())

    async def long_poll(self, task_id: str) -> dict:
        response = await self.http.post(
            self.url, json=self.call("get", {"id": task_id}), headers={"Prefer": f"wait={WAIT}"}
        )
        return result(response.raise_for_status().json())

    async def events(self, url: str, body: dict, last_event_id: str | None = None, opened=None):
        """Yields (id, result) of each SSE frame; calls `opened` once the response has begun."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        async with self.http.stream("POST", url, json=body, headers=headers) as response:
            response.raise_for_status()
            kind = response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                raise RuntimeError(f"no event stream but {kind}: {(await response.aread())[:500]!r}")
            if opened:
                await opened()
            event_id, data = None, []
            async for line in response.aiter_lines():
                if line.startswith("id:"):
                    event_id = line[3:].strip()
                elif line.startswith("data:"):
                    data.append(line[5:].removeprefix(" "))
                elif not line and data:
                    yield event_id, self.frame(json.loads("\n".join(data)))
                    event_id, data = None, []

    def frame(self, data: dict) -> dict:
        return result(data)

    def stream(self, text: str):
        return self.events(self.url, self.call("stream", {"message": self.message(text)}))

    def resume(self, task_id: str, last_event_id: str, opened):
        return self.events(self.url, self.call("subscribe", {"id": task_id}), last_event_id, opened)


class HttpJson(Adapter):
    """Over HTTP+JSON of v1.0: a path for each operation, and no envelope."""

    def at(self, path: str) -> str:
        return self.url.rstrip("/") + path

    async def send_at_once(self, text: str) -> dict:
        body = {"message": self.message(text), "configuration": {"returnImmediately": True}}
        return (await self.http.post(self.at("/message:send"), json=body)).raise_for_status().json()

    async def long_poll(self, task_id: str) -> dict:
        response = await self.http.get(self.at(f"/tasks/{task_id}"), headers={"Prefer": f"wait={WAIT}"})
        return response.raise_for_status().json()

    def frame(self, data: dict) -> dict:
        return data

    def stream(self, text: str):
        return self.events(self.at("/message:stream"), {"message": self.message(text)})

    def resume(self, task_id: str, last_event_id: str, opened):
        return self.events(self.at(f"/tasks/{task_id}:subscribe"), {}, last_event_id, opened)


def result(answer: dict) -> dict:
    if "error" in answer:
        raise RuntimeError(f"JSON-RPC error: {answer['error']}")
    return answer["result"]


async def long_poll(cell: Cell) -> None:
    answer = cell.hear("answer", await cell.adapter.send_at_once(cell.text(gated=True)))
    await cell.open_gate()
    task_id = task_id_of(answer)
    while state_of(answer) not in TERMINAL:
        answer = cell.hear("answer", await cell.adapter.long_poll(task_id))


async def resume(cell: Cell) -> None:
    """Drops the stream midway and resumes by the last id; the task goes on only once the new stream is open."""
    last_id = None
    async with aclosing(cell.adapter.stream(cell.text(gated=True))) as events:
        async for last_id, event in events:
            cell.hear("event", event, id=last_id)
            if cell.spec["drop_after"] == "event" or carries_message(event):
                break
    if last_id is None:
        raise RuntimeError("the stream's events have no id")
    cell.hear("dropped", {})
    async with aclosing(cell.adapter.resume(cell.ids()["task_id"], last_id, cell.open_gate)) as events:
        async for event_id, event in events:
            cell.hear("event", event, id=event_id)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--dialect", choices=DIALECTS, required=True)
    dialect = parser.parse_args().dialect
    modes = {"long-poll": long_poll, "resume": resume}
    main(lambda base, binding: Adapter.open(dialect, base, binding), lambda body: body, modes)

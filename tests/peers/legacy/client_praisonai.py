"""Requester on PraisonAI's own client, unmodified and with its default timeout."""

from __future__ import annotations

import asyncio
import os
import uuid

os.environ["PRAISONAI_DISABLE_TELEMETRY"] = "true"  # nothing here leaves this machine

from aiohttp import web  # noqa: E402

from praisonaiagents.ui.a2a.client import A2AClient  # noqa: E402

from client_common import POLL_INTERVAL, Heard, main  # noqa: E402

OVER = ("completed", "failed", "cancelled")
TOKEN = "webhook-secret"
CREDENTIALS = "my-auth-token"


def result(answer: dict) -> dict:
    """Errors come as answers."""
    if "error" in answer:
        raise RuntimeError(f"JSON-RPC error: {answer['error']}")
    return answer["result"]


def take(heard: Heard, task: dict) -> str:
    heard.artifacts(task.get("artifacts"))
    return heard.state(task["status"]["state"])


async def submit(client: A2AClient, heard: Heard) -> str:
    """Sends without waiting: `send_message` has no argument for it, so its call is made by hand."""
    message = {"messageId": str(uuid.uuid4()), "role": "user", "parts": [{"text": heard.text}]}
    params = {"message": message, "configuration": {"returnImmediately": True}}
    task = result(await client._jsonrpc_call("message/send", params))
    take(heard, task)
    return task["id"]


async def until_over(client: A2AClient, heard: Heard, task_id: str) -> None:
    while take(heard, result(await client.get_task(task_id))) not in OVER:
        await asyncio.sleep(POLL_INTERVAL)


async def blocking(base: str, heard: Heard) -> None:
    async with A2AClient(base) as client:
        await client.get_agent_card()
        take(heard, result(await client.send_message(heard.text)))


async def poll(base: str, heard: Heard) -> None:
    async with A2AClient(base) as client:
        await client.get_agent_card()
        await until_over(client, heard, await submit(client, heard))


async def stream(base: str, heard: Heard) -> None:
    async with A2AClient(base) as client:
        await client.get_agent_card()
        task_id = None
        async for event in client.send_message_streaming(heard.text):
            task_id = event.get("taskId", task_id)
            if "status" in event:
                heard.state(event["status"]["state"])
            if "artifact" in event:
                heard.artifact(event["artifact"], event.get("append", False))
        if task_id is None:
            raise RuntimeError("no event")
        heard.beside["get"] = result(await client.get_task(task_id))["status"]["state"]


class Receiver:
    """The documentation's webhook receiver: it checks what its `_notify_webhook` sends."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.over = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.Response:
        payload = await request.json()
        state = payload["status"]["state"]
        token, auth = request.headers.get("X-Webhook-Token"), request.headers.get("Authorization")
        call = {"state": state, "task": payload["taskId"], "token": token == TOKEN, "auth": auth == f"Bearer {CREDENTIALS}"}
        self.heard.calls.append(call)
        self.heard.state(f"hook:{state}")
        if state in OVER:
            self.over.set()
        return web.json_response({"ok": True})

    async def start(self) -> str:
        app = web.Application()
        app.router.add_post("/webhooks/a2a", self)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}/webhooks/a2a"


async def push_probe(base: str, heard: Heard) -> None:
    """The documentation's adaptive client, made to read the probe's answer (its own call does not exist)."""
    receiver = Receiver(heard)
    url = await receiver.start()
    async with A2AClient(base) as client:
        await client.get_agent_card()
        probe = {"taskId": "test", "url": "https://test.example.com"}
        answer = await client._jsonrpc_call("tasks/pushNotificationConfig/set", probe)
        if "error" in answer:
            await until_over(client, heard, await submit(client, heard))
            return
        result(await client._jsonrpc_call("tasks/pushNotificationConfig/delete", {"taskId": "test"}))
        task_id = await submit(client, heard)
        authentication = {"scheme": "Bearer", "credentials": CREDENTIALS}
        config = {"taskId": task_id, "url": url, "token": TOKEN, "authentication": authentication}
        result(await client._jsonrpc_call("tasks/pushNotificationConfig/set", config))
        await receiver.over.wait()
        take(heard, result(await client.get_task(task_id)))
        wrong = [call for call in heard.calls if call["task"] != task_id]
        if wrong:
            raise RuntimeError(f"webhooks about another task: {wrong}")
    await receiver.runner.cleanup()


if __name__ == "__main__":
    main({"blocking": blocking, "poll": poll, "stream": stream, "push-probe": push_probe})

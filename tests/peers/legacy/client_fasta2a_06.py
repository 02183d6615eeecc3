"""Requester on fasta2a 0.6's own client, unmodified and with its default timeout. It has no streaming."""

from __future__ import annotations

import asyncio
import uuid

from fasta2a.client import A2AClient
from fasta2a.schema import Message, MessageSendConfiguration

from client_common import POLL_INTERVAL, Heard, main

OVER = ("completed", "failed", "canceled", "rejected")


def message(text: str) -> Message:
    return Message(role="user", kind="message", parts=[{"kind": "text", "text": text}], message_id=str(uuid.uuid4()))


def result(answer: dict) -> dict:
    if "error" in answer:
        raise RuntimeError(f"JSON-RPC error: {answer['error']}")
    return answer["result"]


def take(heard: Heard, task: dict) -> str:
    heard.artifacts(task.get("artifacts"))
    return heard.state(task["status"]["state"])


async def send(client: A2AClient, heard: Heard, wait: bool) -> dict:
    configuration = MessageSendConfiguration(accepted_output_modes=["text/plain"], blocking=wait)
    return result(await client.send_message(message(heard.text), configuration=configuration))


async def blocking(base: str, heard: Heard) -> None:
    """Sends and looks at the answer."""
    take(heard, await send(A2AClient(base), heard, wait=True))


async def poll(base: str, heard: Heard) -> None:
    client = A2AClient(base)
    task = await send(client, heard, wait=False)
    while take(heard, task) not in OVER:
        await asyncio.sleep(POLL_INTERVAL)
        task = result(await client.get_task(task["id"]))


async def stream(base: str, heard: Heard) -> None:
    async for _ in A2AClient(base).stream_message(message(heard.text)):  # there is no such call
        pass


if __name__ == "__main__":
    main({"blocking": blocking, "poll": poll, "stream": stream})

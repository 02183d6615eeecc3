"""Requester on fasta2a 2.x's own client, unmodified and with its default timeout."""

from __future__ import annotations

import asyncio
import uuid

from fasta2a.client import A2AClient
from fasta2a.schema import Message, MessageSendConfiguration

from client_common import POLL_INTERVAL, Heard, main

OVER = ("completed", "failed", "canceled", "rejected")


def message(text: str) -> Message:
    return Message(role="user", parts=[{"text": text}], message_id=str(uuid.uuid4()))


def result(answer: dict) -> dict:
    if "error" in answer:
        raise RuntimeError(f"JSON-RPC error: {answer['error']}")
    return answer["result"]


def take(heard: Heard, task: dict) -> str:
    heard.artifacts(task.get("artifacts"))
    return heard.state(task["status"]["state"])


async def send(client: A2AClient, heard: Heard, wait: bool) -> dict:
    configuration = MessageSendConfiguration(accepted_output_modes=["text/plain"], blocking=wait)
    answer = result(await client.send_message(message(heard.text), configuration=configuration))
    return answer["task"]


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
    """Goes where the card says, unlike the other two, so that the card is used too."""
    client = await asyncio.to_thread(A2AClient, base, fetch_card=True)
    async for answer in client.stream_message(message(heard.text)):
        event = result(answer)
        if "task" in event:
            take(heard, event["task"])
        elif "status_update" in event:
            heard.state(event["status_update"]["status"]["state"])
        elif "artifact_update" in event:
            update = event["artifact_update"]
            heard.artifact(update["artifact"], update.get("append", False))
    if not heard.states:
        raise RuntimeError("no event")


if __name__ == "__main__":
    main({"blocking": blocking, "poll": poll, "stream": stream})

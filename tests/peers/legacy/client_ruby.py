"""Requester that takes the curl steps of the Ruby A2A project's "Async Jobs" example, with the real curl."""

from __future__ import annotations

import asyncio
import json

from client_common import POLL_INTERVAL, Heard, main

OVER = ("TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_REJECTED", "TASK_STATE_CANCELED")

# What is told of a step for which the machine was too slow: the answer was right, but proves nothing more.
TOO_LATE = "too late"

# Seconds after a cancel at which the task is looked at once more: longer than a job takes.
AFTER_CANCEL = 2.5


def command(base: str, body: dict, *options: str) -> list[str]:
    content = json.dumps(body, separators=(",", ":"))
    return [
        *("curl", *options, "--noproxy", "*", "-X", "POST", f"{base}/a2a"),
        *("-H", "Content-Type: application/json", "-d", content),
    ]


def rpc(number: int, method: str, params: dict) -> dict:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


class Refused(RuntimeError):
    def __init__(self, error: dict) -> None:
        super().__init__(f"JSON-RPC error: {error}")
        self.code = error["code"]


# What the agent itself answers where a step comes too late: the task is over.
NOT_CANCELABLE, UNSUPPORTED = -32002, -32004


def result(answer: dict) -> dict:
    if "error" in answer:
        raise Refused(answer["error"])
    return answer["result"]


async def call(base: str, number: int, method: str, params: dict) -> dict:
    line = command(base, rpc(number, method, params), "-s", "-S")
    curl = await asyncio.create_subprocess_exec(
        *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await curl.communicate()
    if curl.returncode:
        raise RuntimeError(f"curl ended with {curl.returncode}: {err.decode()}")
    return result(json.loads(out))


def take(heard: Heard, task: dict) -> str:
    heard.artifacts(task.get("artifacts"))
    return heard.state(task["status"]["state"])


async def submit(base: str, text: str, number: int = 1, message_id: str = "m1") -> dict:
    """Step 3."""
    message = {"messageId": message_id, "role": "ROLE_USER", "parts": [{"text": text}]}
    params = {"message": message, "configuration": {"returnImmediately": True}}
    return (await call(base, number, "SendMessage", params))["task"]


async def subscribe(base: str, heard: Heard, task_id: str) -> None:
    """Step 4: until the server closes the connection."""
    line = command(base, rpc(2, "SubscribeToTask", {"id": task_id}), "-N", "-s", "-S")
    # Reads whole lines of any length that a test makes.
    curl = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE, limit=1 << 24)
    try:
        async for raw in curl.stdout:
            if not raw.startswith(b"data: "):
                if raw.startswith(b"{"):
                    result(json.loads(raw))
                continue
            event = result(json.loads(raw[len(b"data: ") :]))
            if "task" in event:
                take(heard, event["task"])
            elif "statusUpdate" in event:
                heard.state(event["statusUpdate"]["status"]["state"])
            elif "artifactUpdate" in event:
                heard.artifact(event["artifactUpdate"]["artifact"], event["artifactUpdate"].get("append", False))
        await curl.wait()
    finally:
        if curl.returncode is None:
            curl.kill()
    heard.beside["stream"] = heard.states[-1]


async def is_over(base: str, task_id: str) -> bool:
    return (await get(base, task_id))["status"]["state"] in OVER


async def get(base: str, task_id: str) -> dict:
    """Step 5."""
    return await call(base, 3, "GetTask", {"id": task_id})


async def submit_subscribe_get(base: str, heard: Heard) -> None:
    task = await submit(base, heard.text)
    take(heard, task)
    try:
        await subscribe(base, heard, task["id"])
    except Refused as refused:
        if refused.code != UNSUPPORTED or not await is_over(base, task["id"]):
            raise
        heard.beside["stream"] = TOO_LATE
    take(heard, await get(base, task["id"]))


async def submit_get(base: str, heard: Heard) -> None:
    task = await submit(base, heard.text)
    while take(heard, task) not in OVER:
        await asyncio.sleep(POLL_INTERVAL)
        task = await get(base, task["id"])


async def cancel(base: str, heard: Heard) -> None:
    """All steps; step 6 submits another job and cancels it."""
    await submit_subscribe_get(base, heard)
    other = await submit(base, heard.other, 4, "m2")
    try:
        canceled = await call(base, 5, "CancelTask", {"id": other["id"]})
    except Refused as refused:
        if refused.code != NOT_CANCELABLE or not await is_over(base, other["id"]):
            raise
        heard.beside["cancel"] = TOO_LATE
        return
    heard.beside["cancel"] = canceled["status"]["state"]
    await asyncio.sleep(AFTER_CANCEL)
    heard.beside["after cancel"] = (await get(base, other["id"]))["status"]["state"]


async def block(base: str, heard: Heard) -> None:
    """Step 3 without `returnImmediately`."""
    message = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": heard.text}]}
    take(heard, (await call(base, 1, "SendMessage", {"message": message}))["task"])


if __name__ == "__main__":
    main({"subscribe": submit_subscribe_get, "get": submit_get, "cancel": cancel, "block": block})

"""The Ruby A2A project's "Async Jobs" agent, emulated: it follows the transcript that the project publishes.

There is no gem of it in any registry. What the transcript leaves open is as in the project's published source:
`--artifact-events` publishes the artifact as an event too, `--cancel-resurrects` lets a cancelled job run on, so that
the task comes back to life. Needs no A2A library; it is run with an environment that has uvicorn.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import datetime, timezone

from worker_common import arguments, job, listen, serve

# The steps of a job, with the seconds that each takes in the transcript (2.3 in all).
STEPS = [("Loading data...", 0.5), ("Running analysis...", 0.8), ("Generating insights...", 0.6), ("Compiling report...", 0.4)]
TOTAL = sum(seconds for _, seconds in STEPS)
TERMINAL = {"TASK_STATE_COMPLETED", "TASK_STATE_CANCELED", "TASK_STATE_FAILED", "TASK_STATE_REJECTED"}
UNSUPPORTED = {
    "SendStreamingMessage",
    "ListTasks",
    "CreateTaskPushNotificationConfig",
    "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig",
    "GetExtendedAgentCard",
}


class Refused(Exception):
    def __init__(self, code: int, message: str, reason: str | None = None, **metadata) -> None:
        self.error = {"code": code, "message": message}
        if reason:
            info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "a2a-protocol.org"}
            self.error["data"] = [{**info, "metadata": metadata} if metadata else info]


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def agent_message(text: str) -> dict:
    return {"messageId": str(uuid.uuid4()), "role": "ROLE_AGENT", "parts": [{"text": text}]}


class Job:
    """One task and those who watch it."""

    def __init__(self, message: dict) -> None:
        self.id, self.context_id = str(uuid.uuid4()), message.get("contextId") or str(uuid.uuid4())
        self.status = {"state": "TASK_STATE_SUBMITTED", "timestamp": now()}
        self.artifacts: list[dict] = []
        self.history = [message]
        self.watchers: set[asyncio.Queue] = set()

    def over(self) -> bool:
        return self.status["state"] in TERMINAL

    def bare(self, *members: str, history: int | None = None) -> dict:
        task = {"id": self.id, "contextId": self.context_id, "status": self.status}
        if "artifacts" in members:
            task["artifacts"] = self.artifacts
        if "history" in members:
            task["history"] = self.history if history is None else self.history[len(self.history) - history :]
        return task

    def update(self, state: str, message: dict | None = None) -> None:
        self.status = {"state": state, "timestamp": now()}
        if message:
            self.history.append(message)
        status = {**self.status, "message": message} if message else self.status
        self.publish({"statusUpdate": {"taskId": self.id, "contextId": self.context_id, "status": status}})

    def publish(self, event: dict) -> None:
        for watcher in self.watchers:
            watcher.put_nowait((event, self.over()))


class Agent:
    def __init__(self, url: str, args) -> None:
        self.url, self.args = url, args
        self.jobs: dict[str, Job] = {}
        self.running: dict[str, asyncio.Task] = {}

    async def work(self, it: Job, prompt: str) -> None:
        job(prompt)
        it.status = {"state": "TASK_STATE_WORKING", "timestamp": now()}
        for number, (step, seconds) in enumerate(STEPS, 1):
            await asyncio.sleep(seconds / TOTAL * self.args.seconds)
            it.update("TASK_STATE_WORKING", agent_message(f"Step {number}/{len(STEPS)}: {step}"))
        findings = "\n".join(
            ["- Data processed: 1,247 records", "- Anomalies detected: 3", "- Confidence: 94.7%"]
            + ["- Recommendation: Proceed with caution"]
        )
        text = f"Analysis Report for: {prompt}\n\nFindings:\n{findings}\n\n[Simulated analysis result]"
        artifact = {"artifactId": str(uuid.uuid4()), "name": "analysis-report", "parts": [{"text": text}]}
        it.artifacts.append(artifact)
        if self.args.artifact_events:
            ids = {"taskId": it.id, "contextId": it.context_id}
            it.publish({"artifactUpdate": {**ids, "artifact": artifact, "append": False, "lastChunk": True}})
        it.history.append(agent_message("Analysis complete. See the attached report."))
        it.update("TASK_STATE_COMPLETED")

    def find(self, params: dict) -> Job:
        it = self.jobs.get(params.get("id"))
        if it is None:
            raise Refused(-32001, "Task not found", "TASK_NOT_FOUND", taskId=params.get("id"))
        return it

    async def send_message(self, params: dict) -> dict:
        message = params["message"]
        prompt = "".join(part.get("text", "") for part in message["parts"])
        it = Job(message)
        self.jobs[it.id] = it
        answer = {"task": it.bare()}
        running = asyncio.create_task(self.work(it, prompt))
        self.running[it.id] = running
        if params.get("configuration", {}).get("returnImmediately"):
            return answer
        await asyncio.wait({running})
        return {"task": it.bare("artifacts", "history")}

    async def get_task(self, params: dict) -> dict:
        return self.find(params).bare("artifacts", "history", history=params.get("historyLength"))

    async def cancel_task(self, params: dict) -> dict:
        it = self.find(params)
        if it.over():
            state = it.status["state"]
            raise Refused(-32002, "Task is not cancelable", "TASK_NOT_CANCELABLE", taskId=it.id, state=state)
        if not self.args.cancel_resurrects:
            self.running[it.id].cancel()
        it.update("TASK_STATE_CANCELED")
        return it.bare("artifacts")

    async def subscribe(self, it: Job):
        queue: asyncio.Queue = asyncio.Queue()
        it.watchers.add(queue)
        try:
            yield {"task": it.bare("artifacts")}
            over = False
            while not over:
                event, over = await queue.get()
                yield event
        finally:
            it.watchers.discard(queue)

    def card(self) -> dict:
        return {
            "name": "Slow Worker",
            "description": "An async agent that processes jobs in the background with progress updates.",
            "version": "1.0.0",
            "supportedInterfaces": [
                {"url": f"{self.url}/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            ],
            "capabilities": {"streaming": True, "pushNotifications": False},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [
                {
                    "id": "analyze",
                    "name": "Data Analyzer",
                    "tags": ["analysis", "async", "background"],
                    "description": "Performs long-running analysis with progress updates. "
                    "Supports async mode via returnImmediately.",
                    "examples": ["Analyze this dataset", "Process the logs"],
                }
            ],
        }

    async def __call__(self, scope, receive, send) -> None:
        where = (scope["method"], scope["path"])
        if where == ("GET", "/.well-known/agent-card.json"):
            await answer(send, json.dumps(self.card()))
        elif where == ("POST", "/a2a"):
            await self.call(await body_of(receive), send)
        else:
            await answer(send, "Not Found", status=404, media="text/plain; charset=utf-8")

    async def call(self, body: bytes, send) -> None:
        request_id = None
        try:
            try:
                call = json.loads(body)
            except ValueError:
                raise Refused(-32700, "Parse error") from None
            if not isinstance(call, dict) or call.get("jsonrpc") != "2.0":
                raise Refused(-32600, "Invalid Request")
            request_id, method, params = call.get("id"), call.get("method"), call.get("params") or {}
            if method == "SubscribeToTask":
                it = self.find(params)
                if it.over():
                    raise Refused(-32004, "Cannot subscribe to a task in a terminal state", "UNSUPPORTED_OPERATION")
                await stream(send, request_id, self.subscribe(it))
                return
            if method in UNSUPPORTED:
                raise Refused(-32004, f"Operation not supported: {method}", "UNSUPPORTED_OPERATION")
            operations = {"SendMessage": self.send_message, "GetTask": self.get_task, "CancelTask": self.cancel_task}
            if method not in operations:
                raise Refused(-32601, "Method not found")
            result = {"result": await operations[method](params)}
        except Refused as refused:
            result = {"error": refused.error}
        await answer(send, json.dumps({"jsonrpc": "2.0", "id": request_id, **result}))


async def body_of(receive) -> bytes:
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            return body


async def answer(send, text: str, status: int = 200, media: str = "application/json") -> None:
    content = text.encode()
    headers = [(b"content-type", media.encode()), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def stream(send, request_id, events) -> None:
    headers = [(b"cache-control", b"no-cache"), (b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for event in events:
        frame = json.dumps({"jsonrpc": "2.0", "id": request_id, "result": event})
        await send({"type": "http.response.body", "body": f"data: {frame}\n\n".encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    arguments_given = arguments("--artifact-events", "--cancel-resurrects")
    socket, address = listen()
    serve(Agent(address, arguments_given), socket, address, lifespan="off")

"""Requester on python-a2a's own clients, unmodified and with their default timeouts."""

from __future__ import annotations

import asyncio
import threading
import uuid

import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from python_a2a import A2AClient, A2AServer, AgentCard, Message, MessageRole, Task, TaskState, TextContent
from python_a2a.client.streaming import StreamingClient
from python_a2a.server.http import create_flask_app

from client_common import POLL_INTERVAL, Heard, main

OVER = (TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED)


def message(text: str) -> Message:
    return Message(content=TextContent(text=text), role=MessageRole.USER)


async def blocking(base: str, heard: Heard) -> None:
    answer = await asyncio.to_thread(A2AClient(base).send_message, message(heard.text))
    # This call tells no state: an answer is taken for the end.
    heard.state("completed" if answer.content.type == "text" else "failed")
    heard.result = getattr(answer.content, "text", None) or getattr(answer.content, "message", None)


async def poll(base: str, heard: Heard) -> None:
    client = A2AClient(base)
    task = client._create_task(message={"content": heard.text})
    task = await asyncio.to_thread(client._send_task, task)
    heard.state(task.status.state)
    while task.status.state not in OVER:
        await asyncio.sleep(POLL_INTERVAL)
        task = await asyncio.to_thread(client.get_task, task.id)
        heard.state(task.status.state)
    heard.artifacts(task.artifacts)


async def stream(base: str, heard: Heard) -> None:
    client = StreamingClient(base)
    task = Task(id=str(uuid.uuid4()), message=message(heard.text).to_dict())
    frames = 0
    async for update in client.tasks_send_subscribe(task):
        frames += 1
        heard.state(update.status.state)
        if update.status.state == TaskState.COMPLETED:
            heard.artifacts(update.artifacts)
            break
    if frames == 0:
        raise RuntimeError("no frame")


class Requester(A2AServer):
    """The requester's own A2A server, to which the result is sent."""

    def __init__(self, url: str, heard: Heard) -> None:
        super().__init__(agent_card=AgentCard(name="requester", description="Waits for a callback", url=url))
        self.heard = heard

    def handle_message(self, message):
        return None

    def handle_task(self, task):
        texts = [part.get("text", "") for artifact in task.artifacts or [] for part in artifact.get("parts", [])]
        call = {"state": task.status.state.value, "result": "".join(texts), "about": task.message}
        self.heard.calls.append(call)
        return super().handle_task(task)


class Handler(WSGIRequestHandler):
    """Tells its server when a call has been answered: a requester that ends before that is called again."""

    def run_wsgi(self) -> None:
        super().run_wsgi()
        if self.command == "POST":
            self.server.answered()

    def log_request(self, code="-", size="-") -> None:
        pass


async def callback(base: str, heard: Heard) -> None:
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    server = make_server("127.0.0.1", 0, lambda environ, start: app(environ, start), threaded=True, request_handler=Handler)
    server.answered = lambda: loop.call_soon_threadsafe(answered.set)
    url = f"http://127.0.0.1:{server.server_port}"
    app = create_flask_app(Requester(url, heard))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    correlation = str(uuid.uuid4())
    about = {"role": "system", "content": {"type": "text", "text": f"Final result for task {correlation}"}}
    callback_info = {"endpoint": f"{url}/a2a/tasks/send", "data": {"message": about}}
    task = Task(message=message(heard.text).to_dict(), metadata={"callback_task": callback_info})
    response = await asyncio.to_thread(requests.post, f"{base}/a2a/tasks/send", json=task.to_dict())
    response.raise_for_status()
    heard.state(response.json().get("status", {}).get("state"))
    await answered.wait()
    call = heard.calls[0]
    if correlation not in str(call["about"]):
        raise RuntimeError(f"the callback is not about this task: {call}")
    heard.state(f"callback:{call['state']}")
    heard.result = call["result"]
    server.shutdown()


if __name__ == "__main__":
    main({"blocking": blocking, "poll": poll, "stream": stream, "callback": callback})

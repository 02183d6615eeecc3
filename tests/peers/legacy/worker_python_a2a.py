"""python-a2a workers, the library unmodified, in the four patterns in which its agents are written.

`--blocking` holds the request; `--poll` answers `waiting` and finishes behind it; `--stream` has a route of its own
that streams tasks; `--callback` sends the result as a new task to the A2A server that `metadata.callback_task` names.
"""

from __future__ import annotations

import asyncio
import copy
import json
import sys
import threading
import time

from flask import Response, request, stream_with_context
from werkzeug.serving import WSGIRequestHandler, make_server

from python_a2a import A2AClient, A2AServer, AgentCard, Task, TaskState, TaskStatus
from python_a2a.server.http import create_flask_app

from worker_common import arguments, job, listen, ready


def text_artifacts(text: str) -> list[dict]:
    return [{"parts": [{"type": "text", "text": text}]}]


class Worker(A2AServer):
    description = ""
    # None: the library's own default.
    capabilities: dict | None = None

    def __init__(self, url: str, seconds: int) -> None:
        self.seconds = seconds
        defaults = {"streaming": True, "pushNotifications": False, "stateTransitionHistory": False}
        card = AgentCard(
            name=self.name,
            description=self.description,
            url=url,
            version="1.0.0",
            capabilities=dict(self.capabilities or defaults),
        )
        super().__init__(agent_card=card)


class Blocking(Worker):
    name = "blocking-worker"
    description = "Holds the request"

    def handle_task(self, task):
        job(task.message)
        time.sleep(self.seconds)
        task.artifacts = text_artifacts(f"done in {self.seconds}s")
        task.status = TaskStatus(state=TaskState.COMPLETED)
        return task


class Poll(Worker):
    name = "poll-worker"
    description = "Finishes in the background; poll tasks/get"

    def _finish(self, task_id: str, secs: int) -> None:
        time.sleep(secs)
        task = self.tasks.get(task_id)
        if task:
            task.artifacts = text_artifacts(f"done in {secs}s")
            task.status = TaskStatus(state=TaskState.COMPLETED)

    def handle_task(self, task):
        if task.status.state == TaskState.SUBMITTED:
            job(task.message)
            threading.Thread(target=self._finish, args=(task.id, self.seconds), daemon=True).start()
        task.status = TaskStatus(state=TaskState.WAITING)
        return task


class Stream(Worker):
    name = "stream-worker"
    description = "Streams its progress"
    capabilities = {"streaming": True, "tasks": True, "task_streaming": True}

    async def _do_long_task(self, task: Task, total_secs: int):
        for i in range(total_secs):
            await asyncio.sleep(1)
            task.status.message = {"progress": f"{i + 1}/{total_secs}"}
            yield copy.deepcopy(task)

    async def tasks_send_subscribe(self, task: Task):
        job(task.message)
        task.status = TaskStatus(state=TaskState.SUBMITTED)
        yield copy.deepcopy(task)
        task.status = TaskStatus(state=TaskState.WAITING)
        yield copy.deepcopy(task)
        async for update in self._do_long_task(task, self.seconds):
            yield update
        task.artifacts = text_artifacts(f"done in {self.seconds}s")
        task.status = TaskStatus(state=TaskState.COMPLETED)
        yield copy.deepcopy(task)

    def setup_routes(self, app) -> None:
        # Before the library's own route of the same path: Flask takes the first.
        @app.route("/a2a/tasks/stream", methods=["POST"])
        def task_stream():
            task = Task.from_dict(request.get_json(force=True))

            async def frames():
                async for update in self.tasks_send_subscribe(task):
                    yield f"data: {json.dumps(update.to_dict())}\n\n"

            def sse_wrapper():
                loop = asyncio.new_event_loop()
                asyncio.set_event_loop(loop)
                try:
                    iterator = frames().__aiter__()
                    while True:
                        yield loop.run_until_complete(iterator.__anext__())
                except StopAsyncIteration:
                    pass
                finally:
                    loop.close()

            return Response(
                stream_with_context(sse_wrapper()),
                content_type="text/event-stream",
                headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
            )

        super().setup_routes(app)


class Callback(Worker):
    name = "callback-worker"
    description = "Calls back"

    def _finish_and_callback(self, task: Task) -> None:
        time.sleep(self.seconds)
        callback_info = task.metadata.get("callback_task", {})
        endpoint = callback_info.get("endpoint")
        if not endpoint:
            print("callback endpoint not found in task metadata", file=sys.stderr)
            return
        client = A2AClient(endpoint.split("/a2a/")[0], headers=callback_info.get("headers", {}))
        result = Task(**callback_info.get("data", {}))
        result.artifacts = text_artifacts(f"Completed the analysis in {self.seconds} seconds.")
        client._send_task(result)

    def handle_task(self, task):
        if task.metadata and "callback_task" in task.metadata:
            job(task.message)
            threading.Thread(target=self._finish_and_callback, args=(task,), daemon=True).start()
            task.status = TaskStatus(state=TaskState.WAITING)
            return task
        task.status = TaskStatus(state=TaskState.COMPLETED)
        task.artifacts = text_artifacts("Task processed without callback.")
        return task


PATTERNS = {"blocking": Blocking, "poll": Poll, "stream": Stream, "callback": Callback}


class Quiet(WSGIRequestHandler):
    def log_request(self, code="-", size="-") -> None:
        pass


def main() -> None:
    args = arguments(*(f"--{pattern}" for pattern in PATTERNS))
    pattern = next(pattern for pattern in PATTERNS if getattr(args, pattern))
    listener, url = listen()
    app = create_flask_app(PATTERNS[pattern](url, args.seconds))
    port = listener.getsockname()[1]
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet, fd=listener.fileno())
    ready(url)
    server.serve_forever()


if __name__ == "__main__":
    main()

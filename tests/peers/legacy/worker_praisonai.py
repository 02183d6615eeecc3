"""A PraisonAI agent behind the library's own A2A server, unmodified, with a stub in the place of the model.

`--push` adds what the library's documentation shows as an extension of one's own: push configs and webhooks.
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime, timezone

os.environ["PRAISONAI_DISABLE_TELEMETRY"] = "true"  # nothing here leaves this machine

import aiohttp  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from fastapi.responses import JSONResponse  # noqa: E402

from praisonaiagents import Agent  # noqa: E402
from praisonaiagents.ui.a2a import A2A  # noqa: E402

from worker_common import arguments, job, listen, serve  # noqa: E402


class Stub(Agent):
    """Answers without a model."""

    seconds = 1

    def chat(self, prompt, *args, **kwargs):
        job(prompt)
        time.sleep(self.seconds)
        return f"done in {self.seconds}s: {prompt}"


class PushEnabled(A2A):
    """The documentation's extension, with the call of `_notify_webhook` that it leaves to the reader."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._push_configs: dict[str, dict] = {}
        self._notifying: set[asyncio.Task] = set()
        store = self.task_store
        update_status = store.update_status

        def notifying_update(task_id, state, *args, **kwargs):
            task = update_status(task_id, state, *args, **kwargs)
            self._tell(task_id)
            return task

        store.update_status = notifying_update

    def get_agent_card(self):
        card = super().get_agent_card()
        card.capabilities.push_notifications = True
        return card

    def _tell(self, task_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._notify_webhook(task_id))
        self._notifying.add(task)
        task.add_done_callback(self._notifying.discard)

    def _handle_push_notification(self, request_id, method, params):
        task_id, url = params.get("taskId"), params.get("url")
        if method == "tasks/pushNotificationConfig/set":
            if not task_id or not url:
                return self._error(request_id, -32602, "taskId and url required")
            config = {
                "taskId": task_id,
                "url": url,
                "token": params.get("token"),
                "authentication": params.get("authentication", {}),
            }
            self._push_configs[task_id] = config
            if self.task_store.get_task(task_id):
                self._tell(task_id)
            return self._result(request_id, config)
        if method == "tasks/pushNotificationConfig/list":
            return self._result(request_id, {"configs": list(self._push_configs.values())})
        if task_id not in self._push_configs:
            return self._error(request_id, -32000, "Config not found")
        if method == "tasks/pushNotificationConfig/get":
            return self._result(request_id, self._push_configs[task_id])
        del self._push_configs[task_id]
        return self._result(request_id, {"deleted": True})

    @staticmethod
    def _result(request_id, result):
        return JSONResponse(content={"jsonrpc": "2.0", "id": request_id, "result": result})

    @staticmethod
    def _error(request_id, code, message):
        return JSONResponse(content={"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})

    async def _notify_webhook(self, task_id: str) -> None:
        config = self._push_configs.get(task_id)
        if not config:
            return
        headers = {}
        auth = config["authentication"]
        if auth.get("scheme") and auth.get("credentials"):
            headers["Authorization"] = f"{auth['scheme']} {auth['credentials']}"
        if config["token"]:
            headers["X-Webhook-Token"] = config["token"]
        status = self.task_store.get_task(task_id).status.model_dump(mode="json", by_alias=True, exclude_none=True)
        payload = {"taskId": task_id, "status": status, "timestamp": datetime.now(timezone.utc).isoformat()}
        async with aiohttp.ClientSession() as http:
            async with http.post(config["url"], json=payload, headers=headers) as response:
                response.raise_for_status()


def main() -> None:
    args = arguments("--push")
    listener, url = listen()
    Stub.seconds = args.seconds
    agent = Stub(name="Research Agent", role="Researcher", goal="Research any topic")
    app = FastAPI()
    app.include_router((PushEnabled if args.push else A2A)(agent=agent, url=f"{url}/a2a").get_router())
    serve(app, listener, url)


if __name__ == "__main__":
    main()

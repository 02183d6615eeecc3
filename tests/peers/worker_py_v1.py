"""A real a2a-sdk 1.x server (JSON-RPC, protocol 1.0 only), restricted to one mode."""

from __future__ import annotations

import base64

import httpx

from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Message,
    Part,
    Role,
    Task,
    TaskState,
    TaskStatus,
)
from google.protobuf.json_format import ParseDict
from starlette.applications import Starlette

from worker_common import Gates, Restricted, Script, main

NAMES = {
    "send": {"SendMessage"},
    "stream": {"SendStreamingMessage"},
    "subscribe": {"SubscribeToTask"},
    "get": {"GetTask", "ListTasks"},
    "push": {
        "CreateTaskPushNotificationConfig",
        "GetTaskPushNotificationConfig",
        "ListTaskPushNotificationConfigs",
        "DeleteTaskPushNotificationConfig",
    },
}


def state(name: str) -> int:
    return TaskState.Value("TASK_STATE_" + name.upper().replace("-", "_"))


def part(spec: dict) -> Part:
    out = Part()
    if "text" in spec:
        out.text = spec["text"]
    elif "bytes" in spec:
        out.raw = base64.b64decode(spec["bytes"])
    elif "url" in spec:
        out.url = spec["url"]
    else:
        ParseDict(spec["data"], out.data)
    out.media_type = spec.get("media", "")
    out.filename = spec.get("name", "")
    return out


class Emit:
    def __init__(self, queue, context) -> None:
        self.queue = queue
        self.context = context
        self.updater = TaskUpdater(queue, context.task_id, context.context_id)

    async def status(self, name: str, text: str) -> None:
        message = self.updater.new_agent_message([Part(text=text)])
        await self.updater.update_status(state(name), message)

    async def artifact(self, spec: dict) -> None:
        await self.updater.add_artifact(
            [part(p) for p in spec["parts"]],
            artifact_id=spec["id"],
            name=spec["name"],
            append=spec["append"],
            last_chunk=spec["last"],
        )

    async def message(self, text: str) -> None:
        await self.queue.enqueue_event(
            Message(
                message_id=f"answer-to-{self.context.message.message_id}",
                context_id=self.context.context_id,
                role=Role.ROLE_AGENT,
                parts=[Part(text=text)],
            )
        )


class Agent(AgentExecutor):
    def __init__(self, script: Script) -> None:
        self.script = script

    async def execute(self, context, event_queue) -> None:
        steps, key = self.script.steps(context.task_id, context.get_user_input())
        if context.current_task is None and "message" not in steps[0]:
            task = Task(
                id=context.task_id,
                context_id=context.context_id,
                status=TaskStatus(state=state("submitted")),
                history=[context.message],
            )
            await event_queue.enqueue_event(task)
        await self.script.play(context.task_id, steps, key, Emit(event_queue, context))

    async def cancel(self, context, event_queue) -> None:
        await Emit(event_queue, context).status("canceled", "cancel: stopped")
        self.script.cancel(context.task_id)


def wait(params: dict, should_wait: bool) -> None:
    params.setdefault("configuration", {})["returnImmediately"] = not should_wait


def build(url: str, mode: str):
    card = AgentCard(
        name="peer worker py-v1",
        description="scripted worker",
        version="1.0.0",
        supported_interfaces=[AgentInterface(url=url + "/", protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=mode == "stream", push_notifications=mode == "push"),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="script", name="script", description="plays scenarios", tags=["test"])],
    )
    gates = Gates()
    push = {}
    if mode == "push":
        configs = InMemoryPushNotificationConfigStore()
        push = {
            "push_config_store": configs,
            "push_sender": BasePushNotificationSender(httpx.AsyncClient(), configs),
        }
    handler = DefaultRequestHandler(Agent(Script(gates)), InMemoryTaskStore(), card, **push)
    app = Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/")])
    return Restricted(app, mode, NAMES, wait, gates)


if __name__ == "__main__":
    main(build)

"""What the 0.3 and 0.2 servers share: the SDK's API is nearly the same in both, the protocol's shapes are."""

from __future__ import annotations

import httpx

from a2a.server.agent_execution import AgentExecutor
from a2a.server.apps import A2AStarletteApplication
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import BasePushNotificationSender, InMemoryPushNotificationConfigStore, TaskUpdater
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentSkill,
    DataPart,
    FilePart,
    FileWithBytes,
    FileWithUri,
    Message,
    MessageSendConfiguration,
    Part,
    Role,
    TaskState,
    TextPart,
)
from a2a.utils import new_task

from worker_common import Gated, Gates, Place, Restricted, Script, limited

NAMES = {
    "send": {"message/send"},
    "stream": {"message/stream"},
    "subscribe": {"tasks/resubscribe"},
    "get": {"tasks/get"},
    "push": {
        "tasks/pushNotificationConfig/set",
        "tasks/pushNotificationConfig/get",
        "tasks/pushNotificationConfig/list",
        "tasks/pushNotificationConfig/delete",
    },
}
OPERATIONS = {
    "send": {"on_message_send"},
    "stream": {"on_message_send_stream"},
    "subscribe": {"on_resubscribe_to_task"},
    "get": {"on_get_task"},
    "push": {
        "on_set_task_push_notification_config",
        "on_get_task_push_notification_config",
        "on_list_task_push_notification_config",
        "on_delete_task_push_notification_config",
    },
}


def part(spec: dict) -> Part:
    if "text" in spec:
        return Part(root=TextPart(text=spec["text"]))
    if "bytes" in spec:
        return Part(root=FilePart(file=FileWithBytes(bytes=spec["bytes"], mime_type=spec["media"], name=spec["name"])))
    if "url" in spec:
        return Part(root=FilePart(file=FileWithUri(uri=spec["url"], mime_type=spec["media"], name=spec["name"])))
    return Part(root=DataPart(data=spec["data"]))


class Emit:
    def __init__(self, queue, context) -> None:
        self.queue = queue
        self.context = context
        self.updater = TaskUpdater(queue, context.task_id, context.context_id)

    async def status(self, name: str, parts: list[dict]) -> None:
        message = self.updater.new_agent_message([part(p) for p in parts])
        final = name in ("completed", "failed", "rejected", "canceled", "input-required")
        await self.updater.update_status(TaskState(name), message, final=final)

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
                role=Role.agent,
                parts=[part({"text": text})],
            )
        )


class Agent(AgentExecutor):
    def __init__(self, script: Script) -> None:
        self.script = script

    async def execute(self, context, event_queue) -> None:
        steps, key = self.script.steps(context.task_id, context.get_user_input())
        if context.current_task is None and "message" not in steps[0]:
            task = new_task(context.message)
            task.id, task.context_id = context.task_id, context.context_id
            await event_queue.enqueue_event(task)
        await self.script.play(context.task_id, steps, key, Emit(event_queue, context))

    async def cancel(self, context, event_queue) -> None:
        await Emit(event_queue, context).status("canceled", [{"text": "cancel: stopped"}])
        self.script.cancel(context.task_id)


def wait(params: dict, should_wait: bool) -> None:
    params.setdefault("configuration", {})["blocking"] = should_wait


def wait_typed(params, should_wait: bool) -> None:
    if params.configuration is None:
        params.configuration = MessageSendConfiguration(accepted_output_modes=[])
    params.configuration.blocking = should_wait


def card_of(name: str, place: Place, address: str, **more) -> AgentCard:
    return AgentCard(
        name=f"peer worker {name} over {place.binding}",
        description="scripted worker",
        version="1.0.0",
        url=address,
        capabilities=AgentCapabilities(streaming=place.streams, push_notifications=place.pushes),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="script", name="script", description="plays scenarios", tags=["test"])],
        **more,
    )


def handler_of(place: Place, gates: Gates, task_store) -> DefaultRequestHandler:
    push = {}
    if place.pushes:
        configs = InMemoryPushNotificationConfigStore()
        push = {
            "push_config_store": configs,
            "push_sender": BasePushNotificationSender(httpx.AsyncClient(), configs),
        }
    return DefaultRequestHandler(Agent(Script(gates)), task_store, **push)


def build_jsonrpc(place: Place, name: str, task_store, answer_at_once=None):
    gates = Gates()
    handler = handler_of(place, gates, task_store)
    app = A2AStarletteApplication(agent_card=card_of(name, place, place.url + "/"), http_handler=handler).build()
    return Gated(Restricted(app, place.mode, NAMES, wait, answer_at_once), gates), None

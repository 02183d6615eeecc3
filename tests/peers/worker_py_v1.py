"""A real a2a-sdk 1.x server (protocol 1.0 only) over one binding, as it comes or restricted to one mode."""

from __future__ import annotations

import base64

import httpx

from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.routes.rest_routes import create_rest_routes
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
from a2a.utils.errors import UnsupportedOperationError
from google.protobuf.json_format import ParseDict
from starlette.applications import Starlette

from worker_common import Gated, Gates, Place, Restricted, Script, limited, main

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
OPERATIONS = {
    "send": {"on_message_send"},
    "stream": {"on_message_send_stream"},
    "subscribe": {"on_subscribe_to_task"},
    "get": {"on_get_task", "on_list_tasks"},
    "push": {
        "on_create_task_push_notification_config",
        "on_get_task_push_notification_config",
        "on_list_task_push_notification_configs",
        "on_delete_task_push_notification_config",
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

    async def status(self, name: str, parts: list[dict]) -> None:
        message = self.updater.new_agent_message([part(p) for p in parts])
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
        await Emit(event_queue, context).status("canceled", [{"text": "cancel: stopped"}])
        self.script.cancel(context.task_id)


def wait(params: dict, should_wait: bool) -> None:
    params.setdefault("configuration", {})["returnImmediately"] = not should_wait


def wait_typed(request, should_wait: bool) -> None:
    request.configuration.return_immediately = not should_wait


def build(place: Place):
    grpc_server, address, named = None, place.url + "/", "JSONRPC"
    if place.binding == "http":
        address, named = place.url, "HTTP+JSON"
    elif place.binding == "grpc":
        import grpc

        grpc_server = grpc.aio.server()
        address, named = f"127.0.0.1:{grpc_server.add_insecure_port('127.0.0.1:0')}", "GRPC"
    card = AgentCard(
        name=f"peer worker py-v1 over {place.binding}",
        description="scripted worker",
        version="1.0.0",
        supported_interfaces=[AgentInterface(url=address, protocol_binding=named, protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=place.streams, push_notifications=place.pushes),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="script", name="script", description="plays scenarios", tags=["test"])],
    )
    gates = Gates()
    push = {}
    if place.pushes:
        configs = InMemoryPushNotificationConfigStore()
        push = {
            "push_config_store": configs,
            "push_sender": BasePushNotificationSender(httpx.AsyncClient(), configs),
        }
    handler = DefaultRequestHandler(Agent(Script(gates)), InMemoryTaskStore(), card, **push)
    routes = create_agent_card_routes(card)
    if place.binding == "jsonrpc":
        app = Starlette(routes=[*routes, *create_jsonrpc_routes(handler, "/")])
        return Gated(Restricted(app, place.mode, NAMES, wait), gates), None
    limited(handler, place.mode, OPERATIONS, wait_typed, UnsupportedOperationError)
    if place.binding == "http":
        routes = [*routes, *create_rest_routes(handler)]
    else:
        from a2a.server.request_handlers.grpc_handler import GrpcHandler
        from a2a.types.a2a_pb2_grpc import add_A2AServiceServicer_to_server

        add_A2AServiceServicer_to_server(GrpcHandler(handler), grpc_server)
    return Gated(Starlette(routes=routes), gates), grpc_server


if __name__ == "__main__":
    main(build)

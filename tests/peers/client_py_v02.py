"""Requester on the a2a-sdk 0.2.x client, unmodified and with its default timeouts. It has no resubscribe."""

from __future__ import annotations

import uuid

import httpx

from a2a.client import A2AClient
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    JSONRPCErrorResponse,
    Message,
    MessageSendConfiguration,
    MessageSendParams,
    Part,
    PushNotificationConfig,
    Role,
    SendMessageRequest,
    SendStreamingMessageRequest,
    SetTaskPushNotificationConfigRequest,
    Task,
    TaskIdParams,
    TaskPushNotificationConfig,
    TaskQueryParams,
    TextPart,
)

from client_common import main


def params(text, task_id=None, context_id=None, **configuration) -> MessageSendParams:
    return MessageSendParams(
        message=Message(
            message_id=str(uuid.uuid4()),
            role=Role.user,
            parts=[Part(root=TextPart(text=text))],
            task_id=task_id,
            context_id=context_id,
        ),
        configuration=MessageSendConfiguration(accepted_output_modes=["text"], **configuration),
    )


def dump(thing) -> dict:
    return thing.model_dump(mode="json", by_alias=True, exclude_none=True)


def result(response) -> dict:
    """This client gives an error as a value."""
    if isinstance(response.root, JSONRPCErrorResponse):
        raise RuntimeError(f"JSON-RPC error: {dump(response.root.error)}")
    return dump(response.root.result)


def new_id() -> str:
    return str(uuid.uuid4())


class Adapter:
    def __init__(self, client: A2AClient) -> None:
        self.client = client

    @classmethod
    async def open(cls, base: str, _binding: str) -> Adapter:
        return cls(await A2AClient.get_client_from_agent_card_url(httpx.AsyncClient(), base))

    async def send(self, text, *, wait, hook=None, task_id=None, context_id=None) -> dict:
        configuration = {"blocking": wait}
        if hook:
            configuration["push_notification_config"] = PushNotificationConfig(**hook)
        request = SendMessageRequest(id=new_id(), params=params(text, task_id, context_id, **configuration))
        return result(await self.client.send_message(request))

    async def stream(self, text, task_id=None, context_id=None):
        request = SendStreamingMessageRequest(id=new_id(), params=params(text, task_id, context_id))
        async for response in self.client.send_message_streaming(request):
            yield result(response)

    async def get(self, task_id) -> dict:
        return result(await self.client.get_task(GetTaskRequest(id=new_id(), params=TaskQueryParams(id=task_id))))

    async def cancel(self, task_id) -> dict:
        return result(await self.client.cancel_task(CancelTaskRequest(id=new_id(), params=TaskIdParams(id=task_id))))

    async def set_hook(self, task_id, hook) -> None:
        config = TaskPushNotificationConfig(task_id=task_id, push_notification_config=PushNotificationConfig(**hook))
        result(await self.client.set_task_callback(SetTaskPushNotificationConfigRequest(id=new_id(), params=config)))


if __name__ == "__main__":
    main(Adapter.open, lambda body: dump(Task.model_validate(body)))

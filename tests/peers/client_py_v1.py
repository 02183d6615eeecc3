"""Requester on the a2a-sdk 1.x client over any of its bindings, unmodified and with its default timeouts."""

from __future__ import annotations

import uuid

from a2a.client.client import ClientConfig
from a2a.client.client_factory import create_client
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from google.protobuf.json_format import MessageToDict, ParseDict

from client_common import main


def over_grpc() -> dict:
    import grpc

    return {"supported_protocol_bindings": ["GRPC"], "grpc_channel_factory": grpc.aio.insecure_channel}


# How this SDK is told which of the card's bindings to use; JSON-RPC is its default.
CHOICES = {
    "jsonrpc": dict,
    "http": lambda: {"supported_protocol_bindings": ["HTTP+JSON"]},
    "grpc": over_grpc,
}


def message(text: str, task_id: str | None, context_id: str | None) -> Message:
    return Message(
        message_id=str(uuid.uuid4()),
        role=Role.ROLE_USER,
        parts=[Part(text=text)],
        task_id=task_id or "",
        context_id=context_id or "",
    )


class Adapter:
    def __init__(self, streaming, single) -> None:
        self.streaming = streaming
        self.single = single

    @classmethod
    async def open(cls, base: str, binding: str) -> Adapter:
        chosen = CHOICES[binding]()
        return cls(
            await create_client(base, ClientConfig(**chosen)),
            await create_client(base, ClientConfig(streaming=False, **chosen)),
        )

    async def send(self, text, *, wait, hook=None, task_id=None, context_id=None) -> dict:
        request = SendMessageRequest(message=message(text, task_id, context_id))
        if not wait:
            request.configuration.return_immediately = True
        if hook:
            request.configuration.task_push_notification_config.CopyFrom(TaskPushNotificationConfig(**hook))
        async for answer in self.single.send_message(request):
            return MessageToDict(answer)
        raise RuntimeError("the send gave no answer")

    async def stream(self, text, task_id=None, context_id=None):
        request = SendMessageRequest(message=message(text, task_id, context_id))
        async for event in self.streaming.send_message(request):
            yield MessageToDict(event)

    async def subscribe(self, task_id):
        async for event in self.streaming.subscribe(SubscribeToTaskRequest(id=task_id)):
            yield MessageToDict(event)

    async def get(self, task_id) -> dict:
        return MessageToDict(await self.single.get_task(GetTaskRequest(id=task_id)))

    async def cancel(self, task_id) -> dict:
        return MessageToDict(await self.single.cancel_task(CancelTaskRequest(id=task_id)))

    async def set_hook(self, task_id, hook) -> None:
        await self.single.create_task_push_notification_config(TaskPushNotificationConfig(task_id=task_id, **hook))


if __name__ == "__main__":
    main(Adapter.open, lambda body: MessageToDict(ParseDict(body, StreamResponse())))

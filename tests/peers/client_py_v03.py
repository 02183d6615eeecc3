"""Requester on the a2a-sdk 0.3.x client over any of its bindings, unmodified and with its default timeouts."""

from __future__ import annotations

import uuid

import httpx

from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import (
    Message,
    Part,
    PushNotificationConfig,
    Role,
    Task,
    TaskIdParams,
    TaskPushNotificationConfig,
    TaskQueryParams,
    TextPart,
    TransportProtocol,
)

from client_common import main


def over_grpc() -> dict:
    """The SDK asks the factory for a channel with every client; one is kept for each address, as applications do."""
    import grpc

    channels = {}

    def channel(address: str):
        if address not in channels:
            channels[address] = grpc.aio.insecure_channel(address)
        return channels[address]

    return {"supported_transports": [TransportProtocol.grpc], "grpc_channel_factory": channel}


# How this SDK is told which of the card's bindings to use; JSON-RPC is its default.
CHOICES = {
    "jsonrpc": dict,
    "http": lambda: {"supported_transports": [TransportProtocol.http_json]},
    "grpc": over_grpc,
}


def message(text: str, task_id: str | None, context_id: str | None) -> Message:
    return Message(
        message_id=str(uuid.uuid4()),
        role=Role.user,
        parts=[Part(root=TextPart(text=text))],
        task_id=task_id,
        context_id=context_id,
    )


def dump(thing) -> dict:
    return thing.model_dump(mode="json", by_alias=True, exclude_none=True)


def news(event) -> dict:
    """The client gives a message, or the task so far with the update that changed it."""
    if isinstance(event, tuple):
        task, update = event
        return dump(task if update is None else update)
    return dump(event)


class Adapter:
    def __init__(self, http, card, chosen: dict) -> None:
        self.http = http
        self.card = card
        self.chosen = chosen

    @classmethod
    async def open(cls, base: str, binding: str) -> Adapter:
        http = httpx.AsyncClient()
        return cls(http, await A2ACardResolver(http, base).get_agent_card(), CHOICES[binding]())

    def client(self, **config):
        return ClientFactory(ClientConfig(httpx_client=self.http, **self.chosen, **config)).create(self.card)

    async def send(self, text, *, wait, hook=None, task_id=None, context_id=None) -> dict:
        hooks = [PushNotificationConfig(**hook)] if hook else []
        client = self.client(streaming=False, polling=not wait, push_notification_configs=hooks)
        async for answer in client.send_message(message(text, task_id, context_id)):
            return news(answer)
        raise RuntimeError("the send gave no answer")

    async def stream(self, text, task_id=None, context_id=None):
        async for event in self.client().send_message(message(text, task_id, context_id)):
            yield news(event)

    async def subscribe(self, task_id):
        async for event in self.client().resubscribe(TaskIdParams(id=task_id)):
            yield news(event)

    async def get(self, task_id) -> dict:
        return dump(await self.client().get_task(TaskQueryParams(id=task_id)))

    async def cancel(self, task_id) -> dict:
        return dump(await self.client().cancel_task(TaskIdParams(id=task_id)))

    async def set_hook(self, task_id, hook) -> None:
        # Over HTTP+JSON and gRPC this client reads no answer whose config has no id, and sends the one it is given.
        config = PushNotificationConfig(id=None if not self.chosen else f"hook-{task_id}", **hook)
        await self.client().set_task_callback(
            TaskPushNotificationConfig(task_id=task_id, push_notification_config=config)
        )


if __name__ == "__main__":
    main(Adapter.open, lambda body: dump(Task.model_validate(body)))

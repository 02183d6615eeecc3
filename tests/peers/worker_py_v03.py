"""A real a2a-sdk 0.3.x server over one binding, as it comes or restricted to one mode."""

from __future__ import annotations

from a2a.server.tasks import InMemoryTaskStore
from a2a.types import TransportProtocol, UnsupportedOperationError
from a2a.utils.errors import ServerError

from worker_common import Gated, Gates, Place, limited, main
from worker_py_v0x import OPERATIONS, build_jsonrpc, card_of, handler_of, wait_typed


def refusal() -> ServerError:
    return ServerError(UnsupportedOperationError())


def build(place: Place):
    if place.binding == "jsonrpc":
        return build_jsonrpc(place, "py-v03", InMemoryTaskStore())
    gates = Gates()
    handler = limited(handler_of(place, gates, InMemoryTaskStore()), place.mode, OPERATIONS, wait_typed, refusal)
    if place.binding == "http":
        from a2a.server.apps import A2ARESTFastAPIApplication

        card = card_of("py-v03", place, place.url, preferred_transport=TransportProtocol.http_json)
        return Gated(A2ARESTFastAPIApplication(agent_card=card, http_handler=handler).build(), gates), None

    import grpc
    from a2a.grpc.a2a_pb2_grpc import add_A2AServiceServicer_to_server
    from a2a.server.request_handlers.grpc_handler import GrpcHandler
    from fastapi import FastAPI

    server = grpc.aio.server()
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    card = card_of("py-v03", place, address, preferred_transport=TransportProtocol.grpc)
    add_A2AServiceServicer_to_server(GrpcHandler(card, handler), server)
    app = FastAPI()

    @app.get("/.well-known/agent-card.json")
    async def agent_card() -> dict:
        return card.model_dump(mode="json", by_alias=True, exclude_none=True)

    return Gated(app, gates), server


if __name__ == "__main__":
    main(build)

"""What the legacy workers share: arguments, a free port, a record of the jobs they did.

Each worker prints `READY <url>` once it listens, and `JOB <json>` for each job that it starts, so that the harness sees
work done twice. This file imports no A2A library.
"""

from __future__ import annotations

import argparse
import json
import socket


def arguments(*options: str) -> argparse.Namespace:
    """Parses the options; each of `options` is a flag."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=1, help="how long a job takes")
    for option in options:
        parser.add_argument(option, action="store_true")
    return parser.parse_args()


def listen() -> tuple[socket.socket, str]:
    """A listening socket on a free port, and the URL that leads to it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def ready(url: str) -> None:
    print(f"READY {url}", flush=True)


def job(request) -> None:
    """Writes down that a job began, with whatever the worker was given for it."""
    print(f"JOB {json.dumps(request)}", flush=True)


def serve(app, listener: socket.socket, url: str, lifespan: str = "on") -> None:
    """Serves an ASGI app until killed."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets=None) -> None:
            await super().startup(sockets=sockets)
            ready(url)

    Server(uvicorn.Config(app, log_level="warning", lifespan=lifespan)).run(sockets=[listener])

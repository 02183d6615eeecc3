"""A real a2a-sdk 0.3.x server (JSON-RPC), restricted to one mode."""

from a2a.server.tasks import InMemoryTaskStore

from worker_common import main
from worker_py_v0x import build

if __name__ == "__main__":
    main(lambda url, mode: build(url, mode, "py-v03", InMemoryTaskStore()))

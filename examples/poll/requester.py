"""A requester that polls: it wants a task at once, and asks how it stands. The worker has no task until it is done.

It long-polls: `Prefer: wait=20` has each call answered as soon as something changes, or after 20 s. Without the header
every call is answered at once."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
import a2a  # noqa: E402

sidecar = a2a.address()
task = a2a.call(sidecar, "SendMessage", a2a.question(returnImmediately=True))["task"]
while not a2a.show(task):
    task = a2a.call(sidecar, "GetTask", {"id": task["id"]}, {"Prefer": "wait=20"})

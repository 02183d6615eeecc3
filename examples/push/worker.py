"""A worker that only streams."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
import a2a  # noqa: E402


def stream(params):
    task = a2a.Task(params["message"])
    yield {"task": task.json()}
    yield from a2a.work(task)


a2a.serve_worker("A worker that only streams", {"SendStreamingMessage": stream}, streaming=True)

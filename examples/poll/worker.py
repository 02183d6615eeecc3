"""A worker that only blocks: it answers when it is done, and does not know a task again."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
import a2a  # noqa: E402


def send(params):
    task = a2a.Task(params["message"])
    for _ in a2a.work(task):
        pass
    return {"task": task.json()}


a2a.serve_worker("A worker that only blocks", {"SendMessage": send})

"""A worker that only polls: it answers at once, and must be asked how the task stands."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
import a2a  # noqa: E402

import threading  # noqa: E402

tasks = {}


def send(params):
    task = a2a.Task(params["message"])
    tasks[task.id] = task
    answer = {"task": task.json()}
    # The work goes on behind the answer.
    threading.Thread(target=lambda: list(a2a.work(task)), daemon=True).start()
    return answer


def get(params):
    if params["id"] not in tasks:
        raise a2a.Refused(-32001, "no such task")
    return tasks[params["id"]].json()


a2a.serve_worker("A worker that only polls", {"SendMessage": send, "GetTask": get})

"""A worker that only pushes: it answers at once, and posts each step to the address that came with the message. It
cannot be asked how a task stands."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
import a2a  # noqa: E402

import threading  # noqa: E402


def push(task, config):
    headers = {a2a.TOKEN_HEADER: config["token"]} if "token" in config else {}
    for event in a2a.work(task):
        a2a.post(config["url"], event, headers).close()


def send(params):
    task = a2a.Task(params["message"])
    answer = {"task": task.json()}
    config = params.get("configuration", {}).get("taskPushNotificationConfig")
    if config is None:
        raise a2a.Refused(-32602, "this worker needs an address to post to")
    threading.Thread(target=push, args=(task, config), daemon=True).start()
    return answer


a2a.serve_worker("A worker that only pushes", {"SendMessage": send}, push=True)

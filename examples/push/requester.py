"""A requester that is called back: it leaves an address with its message, hangs up, and gets a webhook for each step.
The worker knows nothing of webhooks."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
import a2a  # noqa: E402

import queue  # noqa: E402

TOKEN = "a token that only the sidecar and I know"

events = queue.Queue()
receiver = a2a.receive(TOKEN, events)
push = {"url": receiver, "token": TOKEN}
a2a.call(a2a.address(), "SendMessage", a2a.question(returnImmediately=True, taskPushNotificationConfig=push))
while not a2a.show(events.get(timeout=a2a.PATIENCE)):
    pass

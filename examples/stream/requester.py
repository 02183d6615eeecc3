"""A requester that streams: each step as it comes, over one connection. The worker knows nothing of streams."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
import a2a  # noqa: E402

ended = False
for event in a2a.stream(a2a.address(), "SendStreamingMessage", a2a.question()):
    ended = a2a.show(event)
sys.exit(0 if ended else "the stream ended before the task")

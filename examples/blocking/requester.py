"""A requester that blocks: one call, and the answer is the outcome. The worker would have it ask again and again."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
import a2a  # noqa: E402

task = a2a.call(a2a.address(), "SendMessage", a2a.question())
ended = a2a.show(task)
sys.exit(0 if ended else "not the outcome")

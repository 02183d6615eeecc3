"""A fasta2a 2.x server, the library unmodified, with a worker that sleeps.

`--quiet` gives it a worker that writes only storage and publishes nothing, as one written for fasta2a 0.x does.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager

from fasta2a import FastA2A, Worker
from fasta2a.broker import InMemoryBroker
from fasta2a.schema import Artifact, Message, Part
from fasta2a.storage import InMemoryStorage

from worker_common import arguments, job, listen, serve

STEPS = 3


class Sleeper(Worker):
    seconds = 1
    quiet = False

    async def run_task(self, params) -> None:
        task = await self.storage.load_task(params["id"])
        task_id, context_id = task["id"], task["context_id"]
        prompt = "".join(part["text"] for part in params["message"]["parts"] if "text" in part)
        job(prompt)
        await self.storage.update_task(task_id, state="working")
        if not self.quiet:
            await self.publish_status(task_id, context_id, "working")
        for step in range(STEPS):
            await asyncio.sleep(self.seconds / STEPS)
            if not self.quiet:
                said = self._message(f"step {step + 1}/{STEPS}")
                await self.publish_status(task_id, context_id, "working", said)
        (artifact,) = self.build_artifacts(f"done in {self.seconds}s: {prompt}")
        if not self.quiet:
            await self.publish_artifact(task_id, context_id, artifact)
        await self.storage.update_task(task_id, state="completed", new_artifacts=[artifact])

    async def cancel_task(self, params) -> None:
        await self.storage.update_task(params["id"], state="canceled")

    def build_message_history(self, history):
        return history

    def build_artifacts(self, result) -> list[Artifact]:
        return [Artifact(artifact_id=str(uuid.uuid4()), name="result", parts=[Part(text=result)])]

    @staticmethod
    def _message(text: str) -> Message:
        return Message(role="agent", parts=[Part(text=text)], message_id=str(uuid.uuid4()))


def main() -> None:
    args = arguments("--quiet")
    listener, url = listen()
    storage, broker = InMemoryStorage(), InMemoryBroker()
    worker = Sleeper(storage=storage, broker=broker)
    worker.seconds, worker.quiet = args.seconds, args.quiet

    @asynccontextmanager
    async def lifespan(app):
        async with app.task_manager, worker.run():
            yield

    app = FastA2A(
        storage=storage,
        broker=broker,
        name="sleepy",
        description="Sleeps, then answers",
        url=url,
        lifespan=lifespan,
    )
    serve(app, listener, url)


if __name__ == "__main__":
    main()

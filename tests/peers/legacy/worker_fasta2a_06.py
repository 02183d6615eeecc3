"""A pydantic-ai 1.x agent as `Agent.to_a2a()` serves it (fasta2a 0.6), unmodified, with a function for a model."""

from __future__ import annotations

import asyncio

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.function import FunctionModel

from worker_common import arguments, job, listen, serve


def main() -> None:
    args = arguments()
    listener, url = listen()

    async def answer(messages, info) -> ModelResponse:
        prompts = [part for message in messages for part in message.parts if isinstance(part, UserPromptPart)]
        content = prompts[-1].content
        prompt = content if isinstance(content, str) else "".join(item for item in content if isinstance(item, str))
        job(prompt)
        await asyncio.sleep(args.seconds)
        return ModelResponse(parts=[TextPart(f"done in {args.seconds}s: {prompt}")])

    agent = Agent(FunctionModel(answer), name="sleepy-agent")
    serve(agent.to_a2a(url=url), listener, url)


if __name__ == "__main__":
    main()

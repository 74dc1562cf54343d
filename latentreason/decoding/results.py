"""Checks before, and the result after decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from latentreason.decoding.decoder import Answer
from latentreason.errors import UserError
from latentreason.generation import Generation


def check_positions(prompts: Sequence[Sequence[int]], extra: int, limit: int | None) -> None:
    """Raise UserError where prompt, thoughts and markers leave no position for an answer.

    Args:
        prompts: token ids of each prompt.
        extra: positions that thoughts and markers take.
        limit: positions of the backbone; None is no limit.
    """
    longest = max(len(prompt) for prompt in prompts)
    if limit is not None and longest + extra >= limit:
        raise UserError(
            f"num_thoughts: a prompt of {longest} tokens and {extra} positions of thoughts and markers "
            f"leave no room for an answer in the model's {limit} positions; ask for fewer thoughts"
        )


def answers_to_generations(
    answers: Sequence[Answer],
    prompts: Sequence[Sequence[int]],
    tokenizer: Any,
    num_samples: int,
    thoughts: Tensor | None,
    num_thoughts: int = 0,
    num_steps: int = 0,
) -> list[Generation]:
    """Put answers (prompt-major) into `Generation`s; thoughts is (prompts x samples, n, H)."""
    return [
        Generation(
            text=tokenizer.decode(answer.token_ids),
            token_ids=answer.token_ids,
            num_thoughts=num_thoughts,
            num_steps=num_steps,
            num_tokens=answer.num_tokens,
            prompt_tokens=len(prompts[number // num_samples]),
            prompt_index=number // num_samples,
            sample_index=number % num_samples,
            finish_reason="stop" if answer.stopped else "length",
            thoughts=None if thoughts is None else thoughts[number],
        )
        for number, answer in enumerate(answers)
    ]

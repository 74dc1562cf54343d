"""What stands after the question: all steps, none, or what stepwise internalization has left."""

from __future__ import annotations

import math

import numpy as np

from latentreason.columns import IGNORED, Row
from latentreason.data.example import Example
from latentreason.prompt import Prompt


def lay_out(
    example: Example,
    stage: int,
    prompt: Prompt,
    steps: str,
    removal: tuple[int | None, float],
    rng: np.random.Generator,
) -> Row:
    """Question, what is left of the steps, answer; all but the question is supervised.

    Args:
        example: question, steps, answer.
        stage: tokens that are removed from the left of the chain, with steps "internalized".
        prompt: tokenises the parts.
        steps: "all", "none" or "internalized".
        removal: (`remove_all_at`, `removal_smoothing`) of `Settings`.
        rng: draws the offset.
    """
    question = prompt.question_ids(example.question)
    chain = [] if steps == "none" else [t for step in example.steps for t in prompt.step_ids(step)]
    if steps == "internalized":
        chain = chain[removed_tokens(stage, *removal, rng) :]
    target = chain + prompt.answer_ids(example.answer)
    return Row(question + target, [IGNORED] * len(question) + target)


def removed_tokens(
    stage: int, remove_all_at: int | None, smoothing: float, rng: np.random.Generator
) -> int:
    """Tokens that go from the left of a chain: the scheduled ones and a random offset.

    P(offset = o) is proportional to exp(-smoothing o) (2405.14838, section 3.2). Its purpose: the
    model has seen a few samples of the next stage before it comes.
    """
    # Drawn first, so that a sample's later chance does not depend on the schedule.
    offset = 0 if math.isinf(smoothing) else int(rng.geometric(1 - math.exp(-smoothing))) - 1
    if remove_all_at is not None and stage >= remove_all_at:
        return 2**31
    return stage + offset

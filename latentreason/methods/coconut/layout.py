"""One sample at one curriculum stage (Coconut, section 3; released code, `dataset.py`)."""

from __future__ import annotations

import numpy as np

from latentreason.columns import IGNORED, Row
from latentreason.data.example import Example
from latentreason.methods.coconut.config import Config
from latentreason.methods.coconut.curriculum import draw_stage, split_steps
from latentreason.prompt import Prompt

LATENT, START, END = "<|latent|>", "<|start-latent|>", "<|end-latent|>"


def lay_out(
    example: Example, stage: int, prompt: Prompt, config: Config, rng: np.random.Generator
) -> Row:
    """Question, begin, thoughts, end, remaining steps, answer; what follows `end` is supervised."""
    stage = draw_stage(stage, len(example.steps), config, rng)
    dropped, num_thoughts = split_steps(stage, len(example.steps), config)
    start, slots, end = thought_ids(num_thoughts, config)
    target = [token for step in example.steps[dropped:] for token in prompt.step_ids(step)]
    target += prompt.answer_ids(example.answer)
    before = prompt.question_ids(example.question) + start
    ids = before + slots + end + target
    return Row(
        ids=ids,
        labels=[IGNORED] * (len(ids) - len(target)) + target,
        first_thought=len(before) if num_thoughts else None,
        num_thoughts=num_thoughts,
    )


def thought_ids(num_thoughts: int, config: Config) -> tuple[list[int], list[int], list[int]]:
    """Ids before, in and after the thoughts' slots."""
    assert config.latent_token_id is not None
    slots = [config.latent_token_id] * num_thoughts
    if config.answer_mark_ids is not None:
        return [], slots, list(config.answer_mark_ids)
    if not config.markers:
        return [], slots, []
    assert config.start_latent_token_id is not None
    assert config.end_latent_token_id is not None
    return [config.start_latent_token_id], slots, [config.end_latent_token_id]

"""One sample at one curriculum stage (Coconut, section 3; released code, `dataset.py`)."""

from __future__ import annotations

import numpy as np

from latentreason.columns import IGNORED, Row
from latentreason.data.example import Example
from latentreason.methods.coconut.config import Config
from latentreason.prompt import Prompt

LATENT, START, END = "<|latent|>", "<|start-latent|>", "<|end-latent|>"


def draw_stage(stage: int, num_steps: int, mixing: float, rng: np.random.Generator) -> int:
    """The stage a sample is laid out for: with probability `mixing` uniform over 0..num_steps."""
    if mixing > 0 and rng.random() < mixing:
        return int(rng.integers(num_steps + 1))
    return stage


def split_steps(stage: int, num_steps: int, config: Config) -> tuple[int, int]:
    """How many steps a stage drops, and how many thoughts stand for them.

    A stage s <= S drops s steps for s * c thoughts, the final stage drops all for S * c. Without
    `pad_to_max` a sample of m steps gets at most m * c, at every stage; the released code does so at
    inference and in its final stage only, which trains what it does not test (docs/deviations.md).
    """
    latent_stage = min(stage, config.max_stage)
    dropped = num_steps if stage > config.max_stage else min(stage, num_steps)
    if not config.pad_to_max:
        latent_stage = min(latent_stage, num_steps)
    return dropped, latent_stage * config.thoughts_per_step


def lay_out(
    example: Example, stage: int, prompt: Prompt, config: Config, rng: np.random.Generator
) -> Row:
    """Question, begin, thoughts, end, remaining steps, answer; what follows `end` is supervised."""
    stage = draw_stage(stage, len(example.steps), config.stage_mixing, rng)
    dropped, num_thoughts = split_steps(stage, len(example.steps), config)
    question = prompt.question_ids(example.question)
    start, slots, end = thought_ids(num_thoughts, config)
    target = [token for step in example.steps[dropped:] for token in prompt.step_ids(step)]
    target += prompt.answer_ids(example.answer)
    before = question + start
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
    if not config.markers:
        return [], slots, []
    assert config.start_latent_token_id is not None
    assert config.end_latent_token_id is not None
    return [config.start_latent_token_id], slots, [config.end_latent_token_id]

"""What a stage means: how many steps are gone and how many thoughts stand for them."""

from __future__ import annotations

import numpy as np

from latentreason.errors import UserError
from latentreason.methods.coconut.config import Config


def draw_stage(stage: int, num_steps: int, config: Config, rng: np.random.Generator) -> int:
    """The stage a sample is laid out for: with probability `stage_mixing` another one.

    In text it is uniform over all stages of a sample with `num_steps` steps, as the released code
    has it; with a symbolic objective over those up to the scheduled one (2505.12514, released code).
    """
    if config.stage_mixing > 0 and rng.random() < config.stage_mixing:
        last = num_steps * stages_per_step(config)
        return int(rng.integers((last if config.objective == "text" else min(stage, last)) + 1))
    return stage


def split_steps(stage: int, num_steps: int, config: Config) -> tuple[int, int]:
    """How many steps a stage drops, and how many thoughts stand for them.

    A stage s <= S drops s steps for s * c thoughts, the final stage drops all for S * c. Where
    thoughts grow one at a time, stage u <= S * c has u thoughts, and a step goes with the first
    thought of its own. Without `pad_to_max` a sample of m steps gets at most m * c, at every stage;
    the released code does so at inference and in its final stage only (docs/deviations.md).
    """
    sub = stages_per_step(config)
    last = config.max_stage * sub
    final = stage > last or not config.curriculum
    latent_stage = last if final else stage
    dropped = num_steps if final else min(-(-stage // sub), num_steps)
    if not config.pad_to_max:
        latent_stage = min(latent_stage, num_steps * sub)
    return dropped, latent_stage * config.thoughts_per_step // sub


def stages_per_step(config: Config) -> int:
    """Stages in which one step is replaced."""
    return config.thoughts_per_step if config.growth == "thought" else 1


def check_stage(stage: int, curriculum: bool) -> None:
    """Raise UserError for a stage that would be ignored."""
    if not curriculum and stage != 0:
        raise UserError(
            f"train.phases: stage {stage}, and method.curriculum is false; the only stage is 0"
        )

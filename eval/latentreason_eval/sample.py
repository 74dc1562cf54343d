"""What goes to a backend and what comes back; no torch here, so that HTTP scoring needs none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from latentreason.errors import UserError


@dataclass(frozen=True)
class Question:
    """One question of a data set.

    Attributes:
        index: its row in the data set; it keys sampling, so results do not depend on batching.
        text: the question as the example has it; the method renders its own prompt.
        donor: the question whose thoughts "shuffle" puts in.
        num_steps: steps of the gold chain, for checkpoints that are scored with as many thoughts.
    """

    index: int
    text: str
    donor: str | None = None
    num_steps: int = 0


@dataclass(frozen=True)
class Sample:
    """One output for one question.

    Attributes:
        index: row of the question.
        sample: which of the question's samples.
        text: the visible output.
        prompt_tokens: tokens of the rendered prompt.
        num_tokens: visible tokens written.
        num_thoughts: continuous thoughts used.
        num_steps: denoising steps (NFE).
        finish_reason: "stop", "length" or "error".
        seconds: this sample's share of the time that its call took.
        error: why there is no output; such samples are not wrong answers.
    """

    index: int
    sample: int
    text: str
    prompt_tokens: int = 0
    num_tokens: int = 0
    num_thoughts: int = 0
    num_steps: int = 0
    finish_reason: str = "stop"
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn; the same words as the arguments of `generate`.

    Attributes:
        num_samples: answers per question.
        max_new_tokens: most visible tokens; None takes the checkpoint's default.
        temperature: 0 is greedy.
        top_p: nucleus.
        seed: keys sampling and noise.
        thought_mode: control on the thoughts.
        num_thoughts: thoughts per question; None takes the checkpoint's number.
        num_steps: denoising steps; None takes the checkpoint's number.
    """

    num_samples: int = 1
    max_new_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    thought_mode: str = "normal"
    num_thoughts: int | None = None
    num_steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("num_samples", "max_new_tokens", "num_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}: {value} is too small; give 1 or more")
        if self.num_thoughts is not None and self.num_thoughts < 0:
            raise UserError(f"num_thoughts: {self.num_thoughts} is negative; give 0 or more")
        if self.temperature < 0:
            raise UserError(f"temperature: {self.temperature} is negative; 0 is greedy")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p: {self.top_p} is not in (0, 1]; 1 keeps every token")


class Backend(Protocol):
    """Something that answers questions: a model in this process, or an endpoint.

    Attributes:
        parallel: calls that run at the same time; the seconds of samples overlap so often.
    """

    parallel: int

    def answer(self, questions: Sequence[Question], sampling: Sampling) -> Iterator[list[Sample]]:
        """Yield finished groups of samples, in any order; each question's samples come together."""

    def describe(self) -> dict[str, Any]:
        """Return what identifies the model: it goes into the run's settings."""

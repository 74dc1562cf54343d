"""What `generate` returns, and the arguments that every method's `generate` understands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from latentreason.errors import UserError, check_choice

ThoughtMode = Literal["normal", "none", "zero", "mean", "noise", "shuffle", "pause", "text"]
"""Controls on the thoughts of a trained model:

normal   the method's own thoughts
none     no thoughts at all (k = 0)
zero     each thought is the zero vector
mean     each thought is the mean thought of its position over a set of questions
noise    each thought is a Gaussian vector with the norm of the thought it replaces
shuffle  the thoughts of another question (the caller names the donor)
pause    each thought is the learned embedding of the placeholder token
text     words in place of the thoughts, written by the model that makes the thoughts
"""

THOUGHT_MODES: tuple[str, ...] = get_args(ThoughtMode)


@dataclass
class Generation:
    """One answer to one prompt.

    Attributes:
        text: the visible text, without prompt, thoughts and markers.
        token_ids: the visible token ids, without the end token.
        num_thoughts: continuous thoughts (latent positions) used.
        num_steps: denoising steps, i.e. the number of function evaluations; 0 where none.
        num_tokens: visible tokens written, end token included, thoughts and markers not.
        prompt_tokens: tokens of the rendered prompt.
        prompt_index: position of the prompt in the call.
        sample_index: which of the prompt's `num_samples` this is.
        finish_reason: "stop" (end token) or "length" (max_new_tokens reached).
        thoughts: (num_thoughts, hidden size), the vectors fed to the model, where asked for.
        thought_states: where thoughts are projected, the hidden states (num_thoughts, hidden size)
            they are made of: what the head can read.
    """

    text: str
    token_ids: list[int]
    num_thoughts: int
    num_steps: int
    num_tokens: int
    prompt_tokens: int
    prompt_index: int
    sample_index: int
    finish_reason: Literal["stop", "length"]
    thoughts: torch.Tensor | None = None
    thought_states: torch.Tensor | None = None

    @property
    def readable_thoughts(self) -> torch.Tensor | None:
        """What the language-model head can read: the thoughts before any projection."""
        return self.thoughts if self.thought_states is None else self.thought_states


@dataclass(frozen=True)
class EmbeddedPrompt:
    """A prompt in which vectors stand at some positions: what an inference engine is given.

    Attributes:
        ids: token ids of the whole prompt, a placeholder's where a vector stands.
        start: first position of the vectors; -1 where there are none.
        vectors: (L, H), as they are fed to the model.
        prompt_index: which question.
        chain: which of the question's chains.
    """

    ids: list[int]
    start: int
    vectors: torch.Tensor
    prompt_index: int
    chain: int


@dataclass(frozen=True)
class GenerateOptions:
    """The arguments of `generate` that do not depend on the method, checked once.

    Attributes:
        num_thoughts: thoughts per prompt; None takes the checkpoint's number.
        thought_mode: see `ThoughtMode`.
        num_samples: answers per prompt.
        max_new_tokens: most visible tokens per answer, end token included.
        temperature: 0 is greedy; otherwise logits are divided by it.
        top_p: nucleus; 1 keeps everything.
        seed: keys all sampling and noise, together with row id, sample and position.
        return_thoughts: keep the thought vectors in each `Generation`.
    """

    num_thoughts: int | None = None
    thought_mode: str = "normal"
    num_samples: int = 1
    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    return_thoughts: bool = False

    def __post_init__(self) -> None:
        check_choice("thought_mode", self.thought_mode, THOUGHT_MODES)
        if self.num_thoughts is not None and self.num_thoughts < 0:
            raise UserError(
                f"num_thoughts: {self.num_thoughts} is negative; give 0 or more thoughts"
            )
        for name in ("num_samples", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: {getattr(self, name)} is too small; give 1 or more")
        if self.temperature < 0:
            raise UserError(f"temperature: {self.temperature} is negative; 0 is greedy")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p: {self.top_p} is not in (0, 1]; 1 keeps every token")


def answer_in_groups(
    counts: Sequence[int],
    options: GenerateOptions,
    answer: Callable[[list[int], GenerateOptions], list[Generation]],
) -> list[Generation]:
    """Answer prompts that are to have different numbers of thoughts, one call per number.

    Args:
        counts: thoughts of each prompt.
        options: their `num_thoughts` is replaced.
        answer: (places of prompts, options) -> their generations, prompt-major.
    """
    found: dict[tuple[int, int], Generation] = {}
    for count in sorted(set(counts)):
        places = [place for place, own in enumerate(counts) if own == count]
        for generation in answer(places, dataclasses.replace(options, num_thoughts=count)):
            place = places[generation.prompt_index]
            generation.prompt_index = place
            found[place, generation.sample_index] = generation
    return [found[key] for key in sorted(found)]

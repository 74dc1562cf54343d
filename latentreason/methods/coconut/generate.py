"""Thinking and answering: prefill, one step per thought, then cached decoding.

Shapes: B prompts, H hidden size, n thoughts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentreason.decoding.decoder import Decoder
from latentreason.decoding.results import answers_to_generations, check_positions
from latentreason.decoding.sampling import gaussians
from latentreason.generation import GenerateOptions, Generation
from latentreason.methods.coconut.layout import thought_ids

if TYPE_CHECKING:
    from latentreason.methods.coconut.model import Model

Source = Callable[[int, Tensor], Tensor]
"""(position k, hidden state (B, H) before the slot) -> what is fed into slot k (B, H)."""


def generate(
    model: Model,
    prompts: Sequence[Sequence[int]],
    ids: Sequence[int],
    donors: Sequence[Sequence[int]] | None,
    options: GenerateOptions,
) -> list[Generation]:
    """Answer tokenised prompts; see `LatentModel.generate` for the arguments."""
    count = model.config.num_thoughts if options.num_thoughts is None else options.num_thoughts
    if options.thought_mode == "none":
        count = 0
    start, _, end = thought_ids(0, model.config)
    if donors is not None:
        check_positions(donors, count + len(start) + len(end), model.position_limit)
    check_positions(prompts, count + len(start) + len(end), model.position_limit)
    # Noise differs from sample to sample; every other kind of thought is shared by them.
    early = options.num_samples if options.thought_mode == "noise" else 1
    keys = [(row, sample) for row in ids for sample in range(options.num_samples)]
    decoder = Decoder(model, model.position_limit)
    rows = [prompt for prompt in prompts for _ in range(early)]
    source = _source(model, keys, donors, options, count)
    hidden, thoughts, states = _think(model, decoder, rows, count, source)
    late = options.num_samples // early
    decoder.repeat(late)
    answers = decoder.write(
        hidden.repeat_interleave(late, 0),
        keys,
        end=model.tokenizer.eos_token_id,
        banned=model.config.marker_ids,
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        seed=options.seed,
    )
    generations = answers_to_generations(
        answers, prompts, model.tokenizer, options.num_samples, None, count
    )
    if options.return_thoughts:
        projected = model.projection is not None
        for number, generation in enumerate(generations):
            generation.thoughts = thoughts[number // late].cpu()
            generation.thought_states = states[number // late].cpu() if projected else None
    return generations


def think(model: Model, prompts: Sequence[Sequence[int]], count: int) -> Tensor:
    """The thoughts of tokenised prompts, (B, count, H), as they are fed to the model."""
    source = _own_thoughts(model)
    return _think(model, Decoder(model, None), list(prompts), count, source, close=False)[1]


def _think(
    model: Model,
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    count: int,
    source: Source | None,
    close: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Read the prompts and think; return the state that predicts the first visible token (B, H), the
    thoughts and the hidden states before their slots (both (B, count, H)).

    A None source reads the placeholders with the prompt, in one pass.
    """
    start, slots, end = thought_ids(count, model.config)
    pad, device = model.tokenizer.pad_token_id, model.device
    if source is None or count == 0:
        hidden = decoder.prefill([[*p, *start, *slots, *end] for p in prompts], pad, device)
        embedding = model.embed(torch.tensor(slots, dtype=torch.long, device=device))
        thoughts = embedding[None].expand(len(prompts), -1, -1)
        return hidden, thoughts, thoughts
    hidden = decoder.prefill([[*p, *start] for p in prompts], pad, device)
    chain, states = [], []
    for k in range(count):
        thought = source(k, hidden).to(hidden.dtype)
        chain.append(thought)
        states.append(hidden)
        hidden = decoder.step(thought)
    for token in end if close else []:
        hidden = decoder.step_token(token)
    return hidden, torch.stack(chain, 1), torch.stack(states, 1)


def _own_thoughts(model: Model) -> Source:
    if model.config.thought_source == "hidden":
        return lambda k, hidden: model.as_thought(hidden)
    return lambda k, hidden: _placeholder(model, hidden)


def _placeholder(model: Model, hidden: Tensor) -> Tensor:
    return model.embed(hidden.new_full((len(hidden),), model.config.latent_token_id).long())


def _source(
    model: Model,
    keys: Sequence[tuple[int, int]],
    donors: Sequence[Sequence[int]] | None,
    options: GenerateOptions,
    count: int,
) -> Source | None:
    """What fills the slots under `options.thought_mode`; None is the placeholders in one pass."""
    own = _own_thoughts(model)
    mode = options.thought_mode
    if mode == "zero":
        return lambda k, hidden: torch.zeros_like(hidden)
    if mode == "pause":
        return lambda k, hidden: _placeholder(model, hidden)
    if mode == "mean":
        return lambda k, hidden: model.thought_mean[k].expand(len(hidden), -1)
    if mode == "noise":
        return lambda k, hidden: _noise(own(k, hidden), keys, options.seed, k)
    if mode == "shuffle":
        assert donors is not None
        foreign = think(model, donors, count) if count else None
        return lambda k, hidden: foreign[:, k] if foreign is not None else hidden
    return None if model.config.single_pass else own


def _noise(thought: Tensor, keys: Sequence[tuple[int, int]], seed: int, k: int) -> Tensor:
    """Gaussian vectors with the norms of `thought` (B, H), keyed by (seed, row id, sample, k)."""
    size = thought.shape[-1]
    noise = torch.stack([gaussians(seed, row, sample, k, size) for row, sample in keys])
    noise = noise.to(thought)
    scale = thought.norm(dim=-1, keepdim=True) / noise.norm(dim=-1, keepdim=True)
    return noise * scale

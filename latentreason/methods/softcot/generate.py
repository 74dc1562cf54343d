"""Answering with soft thoughts: all chains of all questions in one batch.

Shapes: B questions, N chains, L soft thoughts, H the LLM's hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentreason.decoding.decoder import Decoder
from latentreason.decoding.results import answers_to_generations, check_positions
from latentreason.decoding.sampling import gaussians
from latentreason.errors import UserError
from latentreason.generation import EmbeddedPrompt, GenerateOptions, Generation

if TYPE_CHECKING:
    from latentreason.methods.softcot.model import Model

WRITTEN_TOKENS = 24
"""Tokens of a hint in words where no number is given: what the paper's hard-token variant needs."""


def generate(
    model: Model,
    questions: Sequence[str],
    ids: Sequence[int],
    donors: Sequence[str] | None,
    options: GenerateOptions,
) -> list[Generation]:
    """Answer questions; see `LatentModel.generate` for the arguments.

    Sample s of a question is of chain s mod N.
    """
    mode, samples = options.thought_mode, options.num_samples
    count = model.config.num_thoughts if options.num_thoughts is None else options.num_thoughts
    # Without thoughts there are no chains among which samples could be dealt out.
    chains = 1
    if mode == "none" or count == 0:
        prompts = [EmbeddedPrompt(model.prompt.question(q, 0).ids, -1, _nothing(model), b, 0)
                   for b, q in enumerate(questions)]  # fmt: skip
    elif mode == "text":
        prompts = _written(model, questions, options.num_thoughts or WRITTEN_TOKENS)
    elif mode == "noise":
        # Noise differs from sample to sample.
        known, chains = num_chains(model, samples), samples
        own = embedded_prompts(model, questions, known, count)
        prompts = [_noise(own[b * known + s % known], options.seed, ids[b], s)
                   for b in range(len(questions)) for s in range(samples)]  # fmt: skip
    else:
        chains = num_chains(model, samples)
        prompts = embedded_prompts(model, questions, chains, count, mode, donors)
    return _answer(model, prompts, chains, ids, options)


def num_chains(model: Model, samples: int) -> int:
    """Chains among which `samples` answers to a question are dealt out."""
    known = model.config.num_chains
    if samples > known and samples % known:
        raise UserError(
            f"num_samples: {samples} answers cannot be dealt out evenly to the checkpoint's {known} "
            f"chains; give at most {known}, or a multiple of it"
        )
    return min(samples, known)


def embedded_prompts(
    model: Model,
    questions: Sequence[str],
    chains: int,
    count: int,
    mode: str = "normal",
    donors: Sequence[str] | None = None,
) -> list[EmbeddedPrompt]:
    """Prompts with `count` vectors each, question-major, as `mode` fills their slots."""
    known = model.config.num_chains
    if not 1 <= chains <= known:
        raise UserError(f"chains: the checkpoint has {known} and {chains} are asked for")
    spans = [model.prompt.question(question, count) for question in questions]
    vectors = _vectors(model, questions, chains, count, mode, donors)
    vectors = vectors.to(model.get_input_embeddings().weight.dtype)
    return [
        EmbeddedPrompt(span.ids, span.start, vectors[b, k], b, k)
        for b, span in enumerate(spans)
        for k in range(chains)
    ]


def _vectors(
    model: Model,
    questions: Sequence[str],
    chains: int,
    count: int,
    mode: str,
    donors: Sequence[str] | None,
) -> Tensor:
    """What stands in the slots, (B, chains, L, H)."""
    shape = (len(questions), chains, count, -1)
    if mode == "zero":
        return torch.zeros(model.config.hidden_size, device=model.device).expand(shape)
    if mode == "pause":
        placeholder = torch.tensor(model.config.placeholder_id, device=model.device)
        return model.embed(placeholder).expand(shape)
    if mode == "mean":
        known = model.thought_mean.shape[1]
        if count > known:
            raise UserError(
                f'num_thoughts: {count} thoughts, and thought_mode "mean" has a mean for {known}'
            )
        return model.thought_mean[:chains, :count].expand(shape)
    asked = questions if donors is None else donors
    return model.thoughts(asked, chains, count)


def _noise(prompt: EmbeddedPrompt, seed: int, row: int, sample: int) -> EmbeddedPrompt:
    """Gaussian vectors with the norms of the prompt's own, keyed by (seed, row id, sample, slot)."""
    own = prompt.vectors
    drawn = [gaussians(seed, row, sample, slot, own.shape[1]) for slot in range(len(own))]
    noise = torch.stack(drawn).to(own)
    scale = own.norm(dim=-1, keepdim=True) / noise.norm(dim=-1, keepdim=True)
    return EmbeddedPrompt(prompt.ids, prompt.start, noise * scale, prompt.prompt_index, sample)


class _Writer:
    """The assistant as something that can write."""

    def __init__(self, causal_lm: Any) -> None:
        self.causal_lm = causal_lm
        self.decoder = causal_lm.base_model

    def embed(self, ids: Tensor) -> Tensor:
        return self.causal_lm.get_input_embeddings()(ids)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.causal_lm.get_output_embeddings()(hidden)


def _written(model: Model, questions: Sequence[str], tokens: int) -> list[EmbeddedPrompt]:
    """Prompts whose hint are words that the assistant writes greedily (Assist-CoT)."""
    openings = [model.prompt.assistant_opening(question, tokens) for question in questions]
    writer, tokenizer = _Writer(model.assistant_lm), model.assistant_tokenizer
    limit = getattr(model.assistant_lm.config, "max_position_embeddings", None)
    check_positions(openings, tokens, limit)
    decoder = Decoder(writer, limit)
    hidden = decoder.prefill(openings, tokenizer.pad_token_id, model.device)
    answers = decoder.write(
        hidden,
        [(row, 0) for row in range(len(questions))],
        end=tokenizer.eos_token_id,
        banned=(),
        max_new_tokens=tokens,
        temperature=0.0,
        top_p=1.0,
        seed=0,
    )
    prompts = []
    for b, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        hint = tokenizer.decode(answer.token_ids, skip_special_tokens=True).strip()
        ids = model.prompt.question_with_text(question, hint)
        prompts.append(EmbeddedPrompt(ids, -1, _nothing(model), b, 0))
    return prompts


def _nothing(model: Model) -> Tensor:
    return torch.zeros(0, model.config.hidden_size, device=model.device)


def _answer(
    model: Model,
    prompts: Sequence[EmbeddedPrompt],
    chains: int,
    ids: Sequence[int],
    options: GenerateOptions,
) -> list[Generation]:
    """Write `num_samples` answers to each question; prompts are question-major, `chains` to each."""
    samples = options.num_samples
    repeats = samples // chains
    check_positions([prompt.ids for prompt in prompts], 0, model.position_limit)
    decoder = Decoder(model, model.position_limit)
    hidden = decoder.prefill(
        [prompt.ids for prompt in prompts],
        model.tokenizer.pad_token_id,
        model.device,
        [(prompt.start, prompt.vectors) for prompt in prompts],
    )
    decoder.repeat(repeats)
    # Rows come by question, chain, repeat; sample = repeat * chains + chain.
    shared = model.config.common_random_numbers
    rows = [(b, r, k) for b in range(len(ids)) for k in range(chains) for r in range(repeats)]
    answers = decoder.write(
        hidden.repeat_interleave(repeats, 0),
        [(ids[b], r if shared else r * chains + k) for b, r, k in rows],
        end=model.prompt.end_id,
        banned=(),
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        seed=options.seed,
    )
    order = sorted(range(len(rows)), key=lambda place: rows[place])
    of_row = [prompts[rows[place][0] * chains + rows[place][2]] for place in order]
    thoughts = None
    if options.return_thoughts:
        thoughts = torch.stack([prompt.vectors for prompt in of_row]).cpu()
    texts = [prompt.ids[: len(prompt.ids) - len(prompt.vectors)] for prompt in prompts[::chains]]
    return answers_to_generations(
        [answers[place] for place in order],
        texts,
        model.tokenizer,
        samples,
        thoughts,
        len(prompts[0].vectors),
    )

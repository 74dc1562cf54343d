"""Answers by a vLLM engine in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from latentreason.backbones.load import is_latent_checkpoint
from latentreason.errors import UserError
from latentreason.generation import EmbeddedPrompt, Generation
from latentreason_launch.serving.prompts import engine_prompts, request_seed, where
from latentreason_launch.serving.results import generation

MIXED_SINCE = (0, 21)


def open_engine(model: str, **options: Any) -> Any:
    """Open a `vllm.LLM` that takes vectors; `options` are its own.

    Raises:
        UserError: vLLM is not installed; a latentreason checkpoint, which no engine knows.
    """
    vllm = _vllm()
    if is_latent_checkpoint(model):
        raise UserError(
            f"{model} is a latentreason checkpoint, which vLLM does not know; give the base model, or "
            "write this one's with `latentreason export`"
        )
    return vllm.LLM(model=model, enable_prompt_embeds=True, **options)


def generate_offline(
    llm: Any,
    prompts: Sequence[EmbeddedPrompt],
    sampling_params: Any,
    *,
    mixed: bool = True,
    embedding: Tensor | None = None,
    salt: bool = True,
    tokenizer: Any = None,
) -> list[Generation]:
    """Answer prompts; the generations come in their order, `n` samples each.

    With N chains, sample s of a question is of chain s mod N, as in the models' own `generate`.
    The rows of a mixed prompt are made for all of its positions: give some hundred at a time.

    Args:
        llm: a `vllm.LLM`, from `open_engine` or made with `enable_prompt_embeds=True`.
        prompts: ids and the vectors among them.
        sampling_params: `vllm.SamplingParams` for all. Their seed is made into one for each
            (question, chain): chains with equal vectors draw different words.
        mixed, embedding, salt: see `engine_prompts`.
        tokenizer: decodes the answers' ids; None takes the engine's.

    Raises:
        UserError: prompts that do not fit the engine, or an engine that takes no vectors.
    """
    prompts = list(prompts)
    _check_engine(llm, prompts, mixed)
    dtype = llm.llm_engine.model_config.dtype
    cast = [dataclasses.replace(p, vectors=p.vectors.to(dtype)) for p in prompts]
    if embedding is not None:
        embedding = embedding.to(dtype)
    inputs = engine_prompts(cast, mixed=mixed, embedding=embedding, salt=salt)
    chains = 1 + max((prompt.chain for prompt in prompts), default=0)
    outputs = llm.generate(
        inputs, [_seeded(sampling_params, prompt) for prompt in prompts], use_tqdm=False
    )
    tokenizer = llm.get_tokenizer() if tokenizer is None else tokenizer
    return [
        generation(
            prompt,
            list(output.token_ids),
            output.text,
            str(output.finish_reason),
            output.stop_reason,
            number * chains + prompt.chain,
            tokenizer,
        )
        for prompt, result in zip(prompts, outputs, strict=True)
        for number, output in enumerate(result.outputs)
    ]


def _seeded(sampling_params: Any, prompt: EmbeddedPrompt) -> Any:
    if sampling_params.seed is None:
        return sampling_params
    made = sampling_params.clone()
    made.seed = request_seed(sampling_params.seed, prompt)
    return made


def _check_engine(llm: Any, prompts: Sequence[EmbeddedPrompt], mixed: bool) -> None:
    config = llm.llm_engine.model_config
    for prompt in prompts:
        if len(prompt.ids) >= config.max_model_len:
            raise UserError(
                f"prompts: {len(prompt.ids)} positions of {where(prompt)} leave no room for an "
                f"answer in the engine's {config.max_model_len}; raise max_model_len"
            )
    embedded = [prompt for prompt in prompts if len(prompt.vectors)]
    if not embedded:
        return
    if not config.enable_prompt_embeds:
        raise UserError("llm: it takes no vectors; make it with enable_prompt_embeds=True")
    version = _vllm().__version__
    if mixed and tuple(int(part) for part in version.split(".")[:2]) < MIXED_SINCE:
        raise UserError(
            f"mixed: vLLM {version} takes ids or vectors, not both in one prompt (0.21 does); give "
            "mixed=False and the model's embedding"
        )
    hidden = config.get_hidden_size()
    for prompt in embedded:
        if prompt.vectors.shape[-1] != hidden:
            raise UserError(
                f"vectors: {prompt.vectors.shape[-1]} wide for {where(prompt)}, but the engine's "
                f"model has a hidden size of {hidden}"
            )


def _vllm() -> Any:
    try:
        import vllm
    except ImportError as error:
        raise UserError('vLLM is not installed: pip install "latentreason[serve]"') from error
    return vllm

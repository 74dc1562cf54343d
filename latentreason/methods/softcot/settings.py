"""The recipe's `method` section for SoftCoT and SoftCoT++."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from latentreason.config import ModelConfig
from latentreason.errors import UserError, check_choice
from latentreason.methods.softcot.prompt import SoftPromptConfig, resolve


@dataclass
class ContrastiveConfig:
    """What pushes the chains of a question apart (SoftCoT++, arXiv 2505.11484).

    Attributes:
        weight: coefficient of the term; None takes 1 / num_chains as the released code does, 0 has no
            term.
        form: "cosine" (InfoNCE over cosines, the released code) or "dot" (the paper's dot products).
        temperature: of the cosines.
        positive_dropout: share of a chain's entries that is zero in its positive.
    """

    weight: float | None = None
    form: str = "cosine"
    temperature: float = 0.05
    positive_dropout: float = 0.5


@dataclass
class Settings:
    """A trainable map from a frozen assistant's states into a frozen LLM's prompt.

    `model` is the LLM, and has to be pretrained; so has the assistant.

    Attributes:
        name: registry name.
        assistant: the small model that writes the thoughts; `lora.rank` above 0 trains it.
        num_thoughts: soft thoughts per chain when answering (the paper's released set-up: 4).
        train_thoughts: soft thoughts per chain in training (there: 32); None takes `num_thoughts`.
        num_chains: chains per question; 1 is SoftCoT, more is SoftCoT++.
        initial: what a chain's placeholder is to the assistant: "copied" rows of its embedding,
            "gaussian" rows of the same mean and deviation, or "learned" (copied, then trained).
        initial_ids: ids of the rows that are copied, one for each chain; None takes the family's.
        projection_dtype: "float32", or "bfloat16" as published, which rounds most updates away.
        match_norm: scale each thought to the mean norm of the LLM's embeddings.
        nll_reduction: over chains: "sum" (the released code) or "mean".
        contrastive: see `ContrastiveConfig`; read with more than one chain.
        cache_states: compute the assistant's states once, before training, and read them from disk.
        common_random_numbers: sampling draws the same numbers for every chain of a question.
        max_new_tokens: default of `generate`, stored in the checkpoint.
        prompt: see `SoftPromptConfig`.
    """

    name: str = ""
    assistant: ModelConfig = field(default_factory=ModelConfig)
    num_thoughts: int = 4
    train_thoughts: int | None = None
    num_chains: int = 1
    initial: str = "copied"
    initial_ids: list[int] | None = None
    projection_dtype: str = "float32"
    match_norm: bool = False
    nll_reduction: str = "sum"
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    cache_states: bool = True
    common_random_numbers: bool = False
    max_new_tokens: int = 512
    prompt: SoftPromptConfig = field(default_factory=SoftPromptConfig)

    def check(self, source: str) -> None:
        """Raise UserError for values that are not allowed or would be ignored."""
        where = f"{source}: method"
        check_choice(f"{where}.initial", self.initial, ("copied", "gaussian", "learned"))
        check_choice(f"{where}.nll_reduction", self.nll_reduction, ("sum", "mean"))
        check_choice(f"{where}.projection_dtype", self.projection_dtype, ("float32", "bfloat16"))
        if not self.assistant.name:
            raise UserError(f"{where}.assistant.name: the assistant has to be pretrained; name it")
        for name, value in (
            ("num_thoughts", self.num_thoughts),
            ("train_thoughts", self.train_thoughts),
            ("num_chains", self.num_chains),
        ):
            if value is not None and value < 1:
                raise UserError(f"{where}.{name}: {value} is too small; give 1 or more")
        if self.initial_ids is not None:
            if self.initial == "gaussian":
                raise UserError(f"{where}.initial_ids: initial: gaussian copies no rows; drop one")
            if len(self.initial_ids) != self.num_chains:
                raise UserError(
                    f"{where}.initial_ids: {len(self.initial_ids)} ids for {self.num_chains} chains; "
                    "give one for each"
                )
        if self.cache_states and (self.initial == "learned" or self.assistant.lora.rank):
            trained = "initial rows" if self.initial == "learned" else "assistant"
            raise UserError(
                f"{where}.cache_states: the {trained} would be trained, and states kept from before "
                "would be wrong; set cache_states=false"
            )
        self._check_contrastive(where)
        resolve(self.prompt)

    def _check_contrastive(self, where: str) -> None:
        contrastive = self.contrastive
        check_choice(f"{where}.contrastive.form", contrastive.form, ("cosine", "dot"))
        if contrastive.temperature <= 0 or math.isinf(contrastive.temperature):
            raise UserError(
                f"{where}.contrastive.temperature: {contrastive.temperature} is not above 0"
            )
        if contrastive.weight is not None and contrastive.weight < 0:
            raise UserError(
                f"{where}.contrastive.weight: {contrastive.weight} would pull the chains together; "
                "give 0 or more"
            )
        if not 0 <= contrastive.positive_dropout < 1:
            raise UserError(
                f"{where}.contrastive.positive_dropout: {contrastive.positive_dropout} is not in "
                "[0, 1)"
            )
        if self.num_chains == 1 and contrastive != ContrastiveConfig():
            raise UserError(
                f"{where}.contrastive: one chain has nothing to be pushed from; set num_chains"
            )
        if contrastive.form == "dot" and contrastive.temperature != ContrastiveConfig.temperature:
            raise UserError(
                f"{where}.contrastive.temperature: form: dot has no temperature; leave it out"
            )

"""Chain of thought in words, answering directly, and what lies between: an ordinary causal LM."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from latentreason.backbones.load import ATTENTION, load_causal_lm, load_tokenizer
from latentreason.columns import align, check_lengths, count_supervised, cross_entropy_sum
from latentreason.data.example import Example
from latentreason.decoding.decoder import Decoder
from latentreason.decoding.results import answers_to_generations, check_positions
from latentreason.errors import UserError
from latentreason.generation import GenerateOptions, Generation
from latentreason.methods.text.layout import lay_out
from latentreason.methods.text.packing import pack, visibility
from latentreason.methods.text.settings import Settings
from latentreason.modeling import LatentConfig, LatentModel, LossTerms


class Config(LatentConfig):
    """Checkpoint config of the text baselines; for its own fields see `Settings`."""

    model_type = "latentreason_text"

    def __init__(
        self,
        steps: str = "all",
        remove_all_at: int | None = None,
        removal_smoothing: float = 4.0,
        **kwargs: Any,
    ) -> None:
        self.steps = steps
        self.remove_all_at = remove_all_at
        self.removal_smoothing = removal_smoothing
        super().__init__(**kwargs)


class Model(LatentModel):
    """Question, steps in words (or none), answer; loss on everything after the question."""

    config_class: Any = Config

    def __init__(self, config: Config, language_model: Any = None) -> None:
        super().__init__(config, language_model)
        # How training lays batches out; nothing that inference needs.
        self.pack_length: int | None = None
        self.post_init()

    @classmethod
    def create(cls, settings: Any, language_model: Any, tokenizer: Any) -> Model:
        config = Config(
            text_config=language_model.config,
            method_name=settings.name,
            steps=settings.steps,
            remove_all_at=settings.remove_all_at,
            removal_smoothing=settings.removal_smoothing,
            prompt=dataclasses.asdict(settings.prompt),
            max_new_tokens=settings.max_new_tokens,
        )
        if settings.pack_length and language_model.config._attn_implementation != ATTENTION:
            raise UserError(
                "method.pack_length: packed examples would see each other under "
                f"model.attn_implementation={language_model.config._attn_implementation}; "
                f"set it to {ATTENTION}"
            )
        model = cls(config, language_model)
        model.tokenizer = tokenizer
        model.pack_length = settings.pack_length
        return model

    @classmethod
    def from_causal_lm(cls, name: str, **options: Any) -> Model:
        """Wrap any causal LM so that it can be evaluated: prompt is the question and a newline."""
        language_model = load_causal_lm(name, **options)
        return cls.create(Settings(name="cot"), language_model, load_tokenizer(name))

    def layout(self, example: Example, stage: int, rng: np.random.Generator) -> Any:
        config = self.config
        removal = (config.remove_all_at, config.removal_smoothing)
        return lay_out(example, stage, self.prompt, config.steps, removal, rng)

    def collate(self, layouts: Sequence[Any], index: Sequence[int]) -> dict[str, Any]:
        check_lengths(layouts, index, self.position_limit)
        pad = self.tokenizer.pad_token_id
        batch: dict[str, Any] = (
            pack(layouts, index, self.pack_length, pad)
            if self.pack_length
            else align(layouts, index, pad)
        )
        counts = {"answer": count_supervised(batch["labels"])}
        return batch | {"index": list(index), "counts": counts, "num_passes": 0}

    def forward(self, batch: dict[str, Any]) -> LossTerms:
        if "documents" in batch:
            mask = {"visibility": visibility(batch["documents"], batch["position_ids"])}
        else:
            mask = {"attention_mask": batch["attention_mask"]}
        hidden = self.decoder(
            inputs_embeds=self.embed(batch["input_ids"]),
            position_ids=batch["position_ids"],
            use_cache=False,
            **mask,
        ).last_hidden_state
        return {"answer": (cross_entropy_sum(hidden, batch["labels"], self.logits), 1.0)}

    def gradient_checkpointing_enable(self, *args: Any, **kwargs: Any) -> None:
        """One pass and no cache: here Hugging Face's own checkpointing is right."""
        self.causal_lm.gradient_checkpointing_enable({"use_reentrant": False})

    def enable_recompute(self) -> None:
        self.gradient_checkpointing_enable()

    def _generate(
        self,
        prompts: Sequence[Sequence[int]],
        ids: Sequence[int],
        donors: Sequence[Sequence[int]] | None,
        options: GenerateOptions,
    ) -> list[Generation]:
        check_positions(prompts, 0, self.position_limit)
        decoder = Decoder(self, self.position_limit)
        hidden = decoder.prefill(prompts, self.tokenizer.pad_token_id, self.device)
        samples = options.num_samples
        decoder.repeat(samples)
        keys = [(row, sample) for row in ids for sample in range(samples)]
        answers = decoder.write(
            hidden.repeat_interleave(samples, 0),
            keys,
            end=self.tokenizer.eos_token_id,
            banned=(),
            max_new_tokens=options.max_new_tokens,
            temperature=options.temperature,
            top_p=options.top_p,
            seed=options.seed,
        )
        thoughts = torch.zeros(len(keys), 0, hidden.shape[-1]) if options.return_thoughts else None
        return answers_to_generations(answers, prompts, self.tokenizer, samples, thoughts)

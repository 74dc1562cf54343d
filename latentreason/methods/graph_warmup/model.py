"""A causal LM that is asked for children of nodes, many at once, before it is to search.

With one supervised token per graph the loss of the symbolic task stays on its plateau for hundreds of
thousands of graphs, because the look-up of an edge has to be found first. Here a graph gives Q
supervised tokens. Every arm of a comparison starts from the same checkpoint (`model.name`).

Shapes: B rows, P tokens of the longest prompt, Q queries, H hidden size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from latentreason.columns import IGNORED
from latentreason.data.example import Example
from latentreason.errors import UserError
from latentreason.methods.graph_warmup.layout import Queries, collate, lay_out
from latentreason.methods.text.model import Model as TextModel
from latentreason.modeling import LatentConfig, LossTerms
from latentreason_kernels.registration import NAME, register


class Config(LatentConfig):
    """Checkpoint config of the warm-up; `queries` as in `Settings`."""

    model_type = "latentreason_graph_warmup"

    def __init__(self, queries: int = 32, **kwargs: Any) -> None:
        self.queries = queries
        super().__init__(**kwargs)


class Model(TextModel):
    """Prompt, then node queries none of which sees another; loss on a random child of each."""

    config_class = Config

    def __init__(self, config: Config, language_model: Any = None) -> None:
        super().__init__(config, language_model)
        # Any other attention would not read `visibility` and let the queries see each other.
        register()
        self.causal_lm.set_attn_implementation(NAME)

    @classmethod
    def create(cls, settings: Any, language_model: Any, tokenizer: Any) -> Model:
        for name in ("attention_dropout", "attn_pdrop"):
            if getattr(language_model.config, name, 0):
                raise UserError(
                    f"model.config.{name}: the warm-up's attention has none; set it to 0"
                )
        config = Config(
            text_config=language_model.config,
            method_name=settings.name,
            queries=settings.queries,
            prompt=dataclasses.asdict(settings.prompt),
            max_new_tokens=settings.max_new_tokens,
        )
        model = cls(config, language_model)
        model.tokenizer = tokenizer
        return model

    def layout(self, example: Example, stage: int, rng: np.random.Generator) -> Queries:
        return lay_out(example, self.config.queries, self.prompt, rng)

    def collate(self, layouts: Sequence[Queries], index: Sequence[int]) -> dict[str, Any]:
        longest, limit = max(len(row.prompt) for row in layouts), self.position_limit
        if limit is not None and longest >= limit:
            raise UserError(
                f"data: a prompt of {longest} tokens, and the model has {limit} positions"
            )
        batch = collate(layouts, index, self.tokenizer.pad_token_id)
        counts = {"child": int((batch["labels"] != IGNORED).sum())}
        return batch | {"index": list(index), "counts": counts, "num_passes": 0}

    def forward(self, batch: dict[str, Any]) -> LossTerms:
        """One pass; {"child": (summed cross-entropy of the queries in nats, 1.0)}."""
        labels = batch["labels"]
        hidden = self.decoder(
            inputs_embeds=self.embed(batch["input_ids"]),
            position_ids=batch["position_ids"],
            visibility=batch["visibility"].to(labels.device),
            use_cache=False,
        ).last_hidden_state[:, -labels.shape[1] :]
        asked = labels != IGNORED
        logits = self.logits(hidden[asked])
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        return {"child": (F.cross_entropy(logits, labels[asked], reduction="sum"), 1.0)}

"""Coconut's model: all passes of a batch in one forward, and one generate.

Shapes: B rows, L columns, H hidden size, n thoughts of the batch's longest row, p column of the first
thought's slot.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentreason.backbones.tokens import add_tokens
from latentreason.columns import Row, align, check_lengths, count_supervised, cross_entropy_sum
from latentreason.data.example import Example
from latentreason.decoding.functional import Segment, run_pass
from latentreason.errors import UserError
from latentreason.generation import GenerateOptions, Generation
from latentreason.methods.coconut.config import Config
from latentreason.methods.coconut.convert import read_foreign
from latentreason.methods.coconut.curriculum import check_stage, split_steps
from latentreason.methods.coconut.generate import generate, think
from latentreason.methods.coconut.layout import END, LATENT, START, lay_out
from latentreason.methods.coconut.projection import fit_projection, make_projection
from latentreason.methods.coconut.settings import CURRICULUM_FIELDS, Settings
from latentreason.methods.coconut.symbolic import lay_out_graph
from latentreason.modeling import LatentModel, LossTerms

STATISTICS_QUESTIONS = 128

MODES = ("normal", "none", "zero", "mean", "noise", "shuffle", "pause")


class Model(LatentModel):
    """A causal LM whose last hidden state is its next input while it thinks.

    thought_1 = h(begin-of-thought), thought_m = h(thought_{m-1}), h after the final norm (Coconut,
    section 3.1).
    """

    config_class = Config
    thought_mean: Tensor

    def __init__(self, config: Config, language_model: Any = None) -> None:
        super().__init__(config, language_model)
        hidden_size = self.causal_lm.config.hidden_size
        # Without thoughts there is nothing to control.
        if config.thoughts_per_step:
            self.thought_modes = MODES
        self.projection = make_projection(config.thought_projection, hidden_size)
        # Mean thought of each position, for the control of that name; measured by `statistics`.
        self.register_buffer("thought_mean", torch.zeros(config.num_thoughts, hidden_size))
        self.post_init()

    @classmethod
    def create(cls, settings: Settings, language_model: Any, tokenizer: Any) -> Model:
        latent, start, end = add_tokens(
            language_model, tokenizer, (LATENT, START, END), settings.marker_init
        )
        config = Config(
            text_config=language_model.config,
            method_name=settings.name,
            prompt=dataclasses.asdict(settings.prompt),
            max_new_tokens=settings.max_new_tokens,
            **{name: getattr(settings, name) for name in CURRICULUM_FIELDS},
            latent_token_id=latent,
            start_latent_token_id=start,
            end_latent_token_id=end,
        )
        model = cls(config, language_model)
        model.tokenizer = tokenizer
        fit_projection(model.projection, model.get_input_embeddings().weight)
        if settings.objective != "text":
            opening = model.prompt.answer_opening
            config.answer_mark_ids = tokenizer(opening, add_special_tokens=False)["input_ids"]
        return model

    @classmethod
    def convert(
        cls, source: Path, settings: Settings, base: str | None, stage: int, num_thoughts: int
    ) -> Model:
        """Read the released code's state dict, or a causal LM that has its three tokens.

        Where the settings do not say how many thoughts a step has and how many stages there are, the
        smallest numbers are taken that give `num_thoughts` at `stage`.
        """
        settings = _fit_curriculum(settings, stage, num_thoughts)
        model = cls.create(settings, *read_foreign(source, base))
        model.set_stage(stage)
        if model.config.num_thoughts != num_thoughts:
            raise UserError(
                f"num_thoughts: {num_thoughts} does not go with stage {stage}, which has "
                f"{model.config.num_thoughts} at thoughts_per_step={settings.thoughts_per_step} and "
                f"max_stage={settings.max_stage}"
            )
        if base is not None:
            name = str(Path(base).resolve()) if Path(base).exists() else base
            model.config.base_model = {"name": name, "revision": None}
        return model

    def set_stage(self, stage: int) -> None:
        """Fix the stage and with it the number of thoughts that inference uses."""
        config = self.config
        check_stage(stage, config.curriculum)
        config.stage = stage
        # At inference a question has no steps to count: padded, the number depends on the stage only.
        config.num_thoughts = split_steps(stage, config.max_stage, config)[1]
        self.thought_mean = self.thought_mean.new_zeros(
            config.num_thoughts, self.thought_mean.shape[1]
        )

    def gold_num_thoughts(self, num_steps: int) -> int | None:
        return min(num_steps, self.config.stage) if self.config.gold_thoughts else None

    def statistics(self, examples: Sequence[Example]) -> None:
        """Measure the mean thought of each position over at most 128 questions."""
        if not self.config.num_thoughts:
            return
        count, limit = self.config.num_thoughts, self.position_limit or sys.maxsize
        rows = [self.prompt.question_ids(e.question) for e in examples[:STATISTICS_QUESTIONS]]
        rows = [row for row in rows if len(row) + count + 1 < limit]
        if not rows:
            return
        training = self.training
        self.eval()
        with torch.no_grad():
            thoughts = think(self, rows, count)
        self.train(training)
        self.thought_mean.copy_(thoughts.mean(0))

    def layout(self, example: Example, stage: int, rng: np.random.Generator) -> Row:
        lay = lay_out if self.config.objective == "text" else lay_out_graph
        return lay(example, stage, self.prompt, self.config, rng)

    def collate(self, layouts: Sequence[Row], index: Sequence[int]) -> dict[str, Any]:
        check_lengths(layouts, index, self.position_limit)
        batch: dict[str, Any] = align(layouts, index, self.tokenizer.pad_token_id)
        sequential = not self.config.single_pass
        batch["index"] = list(index)
        batch["counts"] = {"answer": count_supervised(batch["labels"])}
        batch["num_passes"] = int(batch["thought_counts"].max()) if sequential else 0
        return batch

    def forward(self, batch: dict[str, Any]) -> LossTerms:
        """All passes over a batch (Coconut, section 3.2) and the loss on its supervised tokens.

        Args:
            batch: of `collate`; `num_passes` may be larger than this batch needs (the maximum over
                ranks): the surplus is run with weight 0, so that every rank calls the backbone as
                often as the others.

        Returns:
            {"answer": (summed cross-entropy in nats, 1.0)}.
        """
        hidden = self.hidden_states(batch)
        loss = cross_entropy_sum(hidden, batch["labels"], self.logits)
        return {"answer": (loss, 1.0)}

    def hidden_states(self, batch: dict[str, Any]) -> Tensor:
        """Last hidden states (B, L, H) of all passes, in the order of the columns."""
        embeds = self.embed(batch["input_ids"])
        counts = batch["thought_counts"]
        n = 0 if self.config.single_pass else int(counts.max())
        start = batch["thought_start"]
        length = embeds.shape[1]
        past: list[Segment] = []
        hidden, segment = self._columns(embeds[:, : start if n else length], batch, past)
        states = [hidden]
        for k in range(n):
            past.append(segment)
            slot = self._slot(embeds[:, start + k], hidden[:, -1], counts - k)
            columns = slot[:, None]
            if k == n - 1:
                columns = torch.cat([columns, embeds[:, start + n :]], 1)
            hidden, segment = self._columns(columns, batch, past)
            states.append(hidden)
        states.append(self._surplus(batch, embeds, batch["num_passes"] - n))
        return torch.cat(states, 1)

    def _slot(self, token: Tensor, state: Tensor, left: Tensor) -> Tensor:
        """Input of one column (B, H): the thought where the row has thoughts left (B,), else its token."""
        if self.config.thought_source == "learned":
            return token
        truncate = self.config.truncate
        if truncate is not None:
            # Counted from each row's last thought: `truncate` links are kept, one is cut, and so on.
            cut = left % (truncate + 1) == 0
            state = torch.where(cut[:, None], state.detach(), state)
        return torch.where(left[:, None] > 0, self.as_thought(state).to(token.dtype), token)

    def as_thought(self, state: Tensor) -> Tensor:
        """What a hidden state (B, H) becomes when it is fed back."""
        return state if self.projection is None else self.projection(state)

    def _columns(
        self, embeds: Tensor, batch: dict[str, Any], past: list[Segment]
    ) -> tuple[Tensor, Segment]:
        before = sum(segment[0].shape[-2] for segment in past)
        end = before + embeds.shape[1]
        return run_pass(
            self.decoder,
            embeds,
            batch["attention_mask"][:, :end],
            batch["position_ids"][:, before:end],
            past,
            recompute=self.recompute_passes,
        )

    def _surplus(self, batch: dict[str, Any], embeds: Tensor, times: int) -> Tensor:
        """Passes that only keep the ranks in step: (B, 0, H), tied into the graph with weight 0."""
        nothing = embeds[:, :0]
        for _ in range(times):
            hidden, _ = run_pass(
                self.decoder,
                embeds[:, :1],
                None,
                batch["position_ids"][:, :1] * 0,
                [],
                recompute=self.recompute_passes,
            )
            nothing = nothing + 0 * hidden[:, :1]
        if self.projection is not None:
            # DDP waits for the gradient of every parameter, also in a batch without thoughts.
            nothing = nothing + 0 * self.as_thought(embeds[:, :1])
        return nothing

    def _generate(
        self,
        prompts: Sequence[Sequence[int]],
        ids: Sequence[int],
        donors: Sequence[Sequence[int]] | None,
        options: GenerateOptions,
    ) -> list[Generation]:
        self._check_mean(options)
        return generate(self, prompts, ids, donors, options)

    def _check_mean(self, options: GenerateOptions) -> None:
        if options.thought_mode != "mean":
            return
        wanted = options.num_thoughts
        if self.lacks_statistics():
            raise UserError(
                'thought_mode: "mean" needs the mean thoughts, which this checkpoint has not '
                "measured (training does; model.statistics(examples) does)"
            )
        if wanted is not None and wanted > len(self.thought_mean):
            raise UserError(
                f"num_thoughts: the checkpoint knows the mean of {len(self.thought_mean)} thoughts, "
                f"not of {wanted}"
            )


def _fit_curriculum(settings: Settings, stage: int, num_thoughts: int) -> Settings:
    """Settings whose curriculum has `num_thoughts` at `stage`, in what they leave at its default."""
    default = type(settings)()
    per_step = settings.thoughts_per_step
    if per_step == default.thoughts_per_step:
        # A step has as many thoughts as let the stages passed hold them all.
        fitting = (
            c
            for c in range(1, num_thoughts + 1)
            if num_thoughts % c == 0 and num_thoughts // c <= stage
        )
        per_step = next(fitting, per_step)
    if settings.max_stage != default.max_stage or not per_step:
        return dataclasses.replace(settings, thoughts_per_step=per_step)
    return dataclasses.replace(
        settings, thoughts_per_step=per_step, max_stage=num_thoughts // per_step
    )

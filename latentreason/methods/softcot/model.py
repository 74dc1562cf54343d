"""SoftCoT and SoftCoT++ as a model.

Shapes: B questions, N chains, L soft thoughts, A the assistant's hidden size, H the LLM's.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentreason.backbones.load import DTYPES, load_backbone
from latentreason.backbones.lora import add_adapters
from latentreason.columns import (
    IGNORED,
    Row,
    align,
    check_lengths,
    count_supervised,
    cross_entropy_sum,
)
from latentreason.config import Recipe
from latentreason.data.example import Example
from latentreason.decoding.functional import run_pass
from latentreason.errors import UserError
from latentreason.generation import EmbeddedPrompt, GenerateOptions, Generation
from latentreason.loading import pinned_base
from latentreason.methods.softcot.assistant import initial_rows, states
from latentreason.methods.softcot.chains import sum_over_chains
from latentreason.methods.softcot.config import Config
from latentreason.methods.softcot.contrastive import info_nce, pairwise_cosine, pairwise_distance
from latentreason.methods.softcot.generate import embedded_prompts, generate
from latentreason.methods.softcot.prompt import (
    SLOTS,
    SoftPrompt,
    SoftPromptConfig,
    first_rows,
    resolve,
    template_hash,
)
from latentreason.methods.softcot.states import (
    StateStore,
    fingerprint,
    questions_per_pass,
    write_states,
)
from latentreason.modeling import LatentModel, LossTerms, load_base

ASSISTANT_ADAPTER = "assistant_adapter"
STATISTICS_QUESTIONS = 64


@dataclass(frozen=True)
class Layout:
    """An example for both models.

    Attributes:
        row: the LLM's prompt with the block of placeholders, and the target.
        assistant: the assistant's prompt, ending with the placeholders; None where states are cached.
        seed: of the positives' dropout.
    """

    row: Row
    assistant: list[int] | None
    seed: int


class Model(LatentModel):
    """A frozen assistant, a frozen LLM, and the affine map between them, which is what is trained.

    T = W t + b (SoftCoT, arXiv 2502.12134, section 3); SoftCoT++ (arXiv 2505.11484) gives each of N
    chains a placeholder of its own.
    """

    config_class: Any = Config
    frozen = ("language_model", "assistant")
    thought_modes = ("normal", "none", "zero", "mean", "noise", "shuffle", "pause", "text")

    def __init__(self, config: Config, language_model: Any = None, assistant: Any = None) -> None:
        if language_model is None or assistant is None:
            raise UserError(
                "checkpoint: it holds no language model; load it with latentreason.load, which "
                "attaches it to its base models"
            )
        super().__init__(config, language_model)
        self.assistant = assistant
        self.assistant_tokenizer: Any = None
        dtype = DTYPES[config.projection_dtype]
        self.projection = nn.Linear(config.assistant_hidden_size, config.hidden_size, dtype=dtype)
        rows = torch.zeros(config.num_chains, config.assistant_hidden_size, dtype=assistant.dtype)
        self.initial_rows = nn.Parameter(rows, requires_grad=config.initial == "learned")
        mean = torch.zeros(config.num_chains, config.num_thoughts, config.hidden_size)
        self.register_buffer("thought_mean", mean)
        self.thought_mean: Tensor
        self._soft_prompt: SoftPrompt | None = None
        self._rendered_for: tuple[Any, Any] = (None, None)
        self._store: StateStore | None = None
        self.cache_states = False
        self.language_model.requires_grad_(False)
        self.assistant.requires_grad_(False)
        self.post_init()

    # --- making and loading -------------------------------------------------------------------

    @classmethod
    def create(cls, settings: Any, language_model: Any, tokenizer: Any) -> Model:
        assistant, assistant_tokenizer = load_backbone(settings.assistant)
        prompt = resolve(settings.prompt)
        soft = SoftPrompt(tokenizer, assistant_tokenizer, prompt)
        embedding = assistant.get_input_embeddings()
        wanted = settings.initial_ids or first_rows(prompt, settings.num_chains)
        if settings.num_chains == 1 and settings.initial_ids is None:
            wanted = [soft.assistant_placeholder_id]
        rows, ids = initial_rows(embedding, settings.initial, wanted, settings.num_chains)
        config = Config(
            text_config=language_model.config,
            method_name=settings.name,
            prompt=dataclasses.asdict(prompt),
            max_new_tokens=settings.max_new_tokens,
            num_thoughts=settings.num_thoughts,
            train_thoughts=settings.train_thoughts or settings.num_thoughts,
            num_chains=settings.num_chains,
            initial=settings.initial,
            initial_ids=ids,
            projection_dtype=settings.projection_dtype,
            match_norm=settings.match_norm,
            nll_reduction=settings.nll_reduction,
            contrastive=dataclasses.asdict(settings.contrastive),
            common_random_numbers=settings.common_random_numbers,
            assistant=pinned_base(settings.assistant, assistant),
            assistant_hidden_size=embedding.weight.shape[1],
            hidden_size=language_model.get_input_embeddings().weight.shape[1],
            placeholder_id=soft.placeholder_id,
            begin_id=soft.begin_id,
            end_id=soft.end_block_id,
            assistant_placeholder_id=soft.assistant_placeholder_id,
            template_hash=template_hash(prompt),
        )
        model = cls(config, language_model, assistant)
        model.initial_rows.data.copy_(rows)
        model.tokenizer, model.assistant_tokenizer = tokenizer, assistant_tokenizer
        model.cache_states = settings.cache_states
        if settings.assistant.lora.rank:
            model.assistant = add_adapters(assistant, settings.assistant.lora, [])
            config.assistant_adapter = True
        return model

    @classmethod
    def _on_bases(cls, config: Any, folder: Path, dtype: torch.dtype | None) -> LatentModel:
        language_model, _ = load_base(folder, config.base_model, dtype)
        assistant, assistant_tokenizer = load_base(folder, config.assistant, dtype)
        for name, base, size in (
            ("base_model", language_model, config.hidden_size),
            ("assistant", assistant, config.assistant_hidden_size),
        ):
            found = base.get_input_embeddings().weight.shape[1]
            if found != size:
                raise UserError(
                    f"checkpoint: {folder} was trained with a {name} of hidden size {size}, and "
                    f"{getattr(config, name)['name']!r} has {found}; name the one it was trained with"
                )
        model = cls(config, language_model, assistant)
        model.assistant_tokenizer = assistant_tokenizer
        if config.assistant_adapter:
            import peft

            model.assistant = peft.PeftModel.from_pretrained(assistant, folder / ASSISTANT_ADAPTER)
        return model

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Write the map, the initial rows and the config: a few MB; the base models are only named."""
        # First: the card that is written last lists results of all the weights.
        if self.config.assistant_adapter:
            self.assistant.save_pretrained(Path(save_directory) / ASSISTANT_ADAPTER)
        super().save_pretrained(save_directory, *args, **kwargs)

    def export(self, folder: str | Path) -> None:
        raise UserError(
            "export: the backbone is the base model itself; what was trained lives in its prompt. "
            "Serve it with latentreason_launch.serving"
        )

    def train(self, mode: bool = True) -> Model:
        """A frozen model is no place for dropout: it stays in evaluation mode."""
        super().train(mode)
        if not self.config.assistant_adapter:
            self.assistant.eval()
        if not hasattr(self.language_model, "peft_config"):
            self.language_model.eval()
        return self

    # --- the two models -----------------------------------------------------------------------

    @property
    def assistant_lm(self) -> Any:
        """The assistant as a causal LM, with adapters' layers in place but without peft's wrapper."""
        get = getattr(self.assistant, "get_base_model", None)
        return get() if get else self.assistant

    @property
    def prompt(self) -> Any:
        """The renderer of both models' prompts."""
        if self.tokenizer is None or self.assistant_tokenizer is None:
            raise UserError("checkpoint: it has no tokenizers; load it with latentreason.load")
        tokenizers = (self.tokenizer, self.assistant_tokenizer)
        if self._rendered_for != tokenizers:
            config = SoftPromptConfig(**self.config.prompt)
            self._soft_prompt, self._rendered_for = SoftPrompt(*tokenizers, config), tokenizers
        return self._soft_prompt

    def use_layout(self, layout: str) -> None:
        """Write prompts of another layout from now on: Date Understanding with GSM8K's map, say."""
        prompt = {**self.config.prompt, **dict.fromkeys(SLOTS), "layout": layout}
        resolved = resolve(SoftPromptConfig(**prompt))
        self.config.prompt = dataclasses.asdict(resolved)
        self.config.template_hash = template_hash(resolved)
        self._rendered_for = (None, None)

    def render(self, question: str) -> str:
        """Both models' prompts depend on the number of thoughts: rendered when that is known."""
        if not question.strip():
            raise UserError("prompt: it is empty; give a question")
        return question

    def assistant_states(self, prompts: Sequence[Sequence[int]], chains: int, count: int) -> Tensor:
        """Raw soft thoughts of tokenised assistant prompts, (B, chains, L, A)."""
        trained = self.initial_rows.requires_grad or self.config.assistant_adapter
        rows = [prompt for prompt in prompts for _ in range(chains)]
        initial = self.initial_rows[:chains].repeat(len(prompts), 1)
        base = self.assistant_lm
        with torch.set_grad_enabled(torch.is_grad_enabled() and trained):
            found = states(base.base_model, base.get_input_embeddings(), rows, initial, count)
        return found.unflatten(0, (len(prompts), chains))

    def project(self, raw: Tensor) -> Tensor:
        """Soft thoughts T from raw ones: (..., A) to (..., H) in the map's precision."""
        # Autocast would round the map's product; a step of 2e-5 would be lost in it.
        with torch.autocast(raw.device.type, enabled=False):
            thoughts = self.projection(raw.to(self.projection.weight.dtype))
            if self.config.match_norm:
                norm = thoughts.norm(dim=-1, keepdim=True)
                thoughts = thoughts * (self._embedding_norm / norm)
        return thoughts

    @functools.cached_property
    def _embedding_norm(self) -> float:
        """Mean norm of the LLM's embeddings, which are frozen: a table of gigabytes is read once."""
        return self.get_input_embeddings().weight.float().norm(dim=-1).mean().item()

    def thoughts(self, questions: Sequence[str], chains: int, count: int) -> Tensor:
        """Soft thoughts of questions, (B, chains, L, H)."""
        prompts = [self.prompt.assistant(question, count).ids for question in questions]
        size = questions_per_pass(chains)
        parts = [prompts[start : start + size] for start in range(0, len(prompts), size)]
        return torch.cat([self.project(self.assistant_states(p, chains, count)) for p in parts])

    # --- training -----------------------------------------------------------------------------

    def prepare(self, recipe: Recipe, examples: Sequence[Example], strategy: Any) -> None:
        """Compute the assistant's states of the train split, unless a file with them is there."""
        if not self.cache_states:
            return
        if recipe.data.train.augment is not None:
            raise UserError(
                "method.cache_states: data.train.augment draws every example anew, and states kept "
                "from before would be another's; drop one of them"
            )
        count = self.config.train_thoughts
        prompts = [self.prompt.assistant(example.question, count).ids for example in examples]
        name = fingerprint(self.assistant, self.initial_rows, prompts, count)
        folder = Path(recipe.run.root) / "cache" / "assistant_states" / name
        if strategy.main and not folder.is_dir():
            device = strategy.accelerator.device
            self.assistant.to(device)
            self.initial_rows.data = self.initial_rows.data.to(device)
            with torch.no_grad():
                write_states(
                    folder,
                    prompts,
                    lambda batch: self.assistant_states(batch, self.config.num_chains, count),
                    print,
                    self.config.num_chains,
                )
        strategy.barrier()
        self._store = StateStore(folder)

    def layout(self, example: Example, stage: int, rng: np.random.Generator) -> Layout:
        count = self.config.train_thoughts
        question = self.prompt.question(example.question, count)
        target = self.prompt.target_ids(example.steps, example.answer)
        row = Row(
            [*question.ids, *target],
            [IGNORED] * len(question.ids) + target,
            question.start,
            count,
        )
        assistant = None
        if self._store is None:
            assistant = self.prompt.assistant(example.question, count).ids
        return Layout(row, assistant, int(rng.integers(2**62)))

    def collate(self, layouts: Sequence[Layout], index: Sequence[int]) -> dict[str, Any]:
        rows = [layout.row for layout in layouts]
        check_lengths(rows, index, self.position_limit)
        batch: dict[str, Any] = dict(align(rows, index, self.tokenizer.pad_token_id))
        if self._store is None:
            batch["assistant_prompts"] = [layout.assistant for layout in layouts]
        else:
            # A filler (-1) is laid out from the first example.
            batch["states"] = self._store[[max(0, place) for place in index]]
        real = [place >= 0 for place in index]
        batch["real"] = torch.tensor(real)
        batch["seeds"] = [layout.seed for layout in layouts]
        counts = {"answer": count_supervised(batch["labels"])}
        if self.config.num_chains > 1:
            meters = ["chain_cosine", "chain_distance"]
            if self.contrastive_weight:
                meters.append("contrastive")
            counts |= dict.fromkeys(meters, sum(real))
        return batch | {"index": list(index), "counts": counts, "num_passes": 0}

    @property
    def contrastive_weight(self) -> float:
        """Coefficient of InfoNCE: 1 / N where none is given (the released code)."""
        weight = self.config.contrastive["weight"]
        return 1 / self.config.num_chains if weight is None else weight

    def forward(self, batch: dict[str, Any]) -> LossTerms:
        """Loss of all chains.

        Returns:
            answer: summed cross-entropy of the targets in nats, over tokens and chains; contrastive:
            InfoNCE summed over questions; and, without weight, chain_cosine and chain_distance:
            between the chains of a question, summed over questions.
        """
        chains, count = self.config.num_chains, self.config.train_thoughts
        raw = batch.get("states")
        if raw is None:
            raw = self.assistant_states(batch["assistant_prompts"], chains, count)
        thoughts = self.project(raw)

        def nll(chain: Tensor) -> Tensor:
            return self._answer_loss(batch, chain)

        trained = [p for p in self.language_model.parameters() if p.requires_grad]
        answer = sum_over_chains(nll, thoughts.transpose(0, 1), trained)
        scale = 1.0 if self.config.nll_reduction == "sum" else 1 / chains
        terms: LossTerms = {"answer": (answer, scale)}
        if chains > 1:
            flat, real = thoughts.flatten(2), batch["real"]
            if self.contrastive_weight:
                options = {k: v for k, v in self.config.contrastive.items() if k != "weight"}
                apart = info_nce(flat, seeds=batch["seeds"], **options)
                terms["contrastive"] = ((apart * real).sum(), self.contrastive_weight)
            flat = flat.detach()
            terms["chain_cosine"] = ((pairwise_cosine(flat) * real).sum(), None)
            terms["chain_distance"] = ((pairwise_distance(flat) * real).sum(), None)
        return terms

    def _answer_loss(self, batch: dict[str, Any], thoughts: Tensor) -> Tensor:
        """Summed cross-entropy of the targets, with thoughts (B, L, H) in their slots."""
        embeds = self.embed(batch["input_ids"])
        start, count = batch["thought_start"], thoughts.shape[1]
        parts = [embeds[:, :start], thoughts.to(embeds.dtype), embeds[:, start + count :]]
        hidden, _ = run_pass(
            self.decoder,
            torch.cat(parts, 1),
            batch["attention_mask"],
            batch["position_ids"],
            [],
            recompute=self.recompute_passes,
        )
        return cross_entropy_sum(hidden, batch["labels"], self.logits)

    def statistics(self, examples: Sequence[Example]) -> None:
        """Mean thought of each chain and slot over some train questions: what control "mean" feeds."""
        questions = [example.question for example in examples[:STATISTICS_QUESTIONS]]
        chains, count = self.config.num_chains, self.config.num_thoughts
        training = self.training
        self.eval()
        with torch.no_grad():
            total = sum(self.thoughts([question], chains, count)[0] for question in questions)
        self.train(training)
        self.thought_mean.copy_(total / len(questions))

    # --- generation ---------------------------------------------------------------------------

    def _generate(
        self,
        prompts: Sequence[str],
        ids: Sequence[int],
        donors: Sequence[str] | None,
        options: GenerateOptions,
    ) -> list[Generation]:
        return generate(self, prompts, ids, donors, options)

    @torch.no_grad()
    def embedded_prompts(
        self,
        questions: Sequence[str],
        *,
        num_thoughts: int | None = None,
        chains: int | None = None,
    ) -> list[EmbeddedPrompt]:
        """The LLM's prompts with their soft thoughts, question-major: what an engine is given.

        Args:
            questions: B of them.
            num_thoughts: L; None takes the checkpoint's.
            chains: of each question, at most as many as the checkpoint has; None takes all.

        Raises:
            UserError: more chains than the checkpoint has.
        """
        count = self.config.num_thoughts if num_thoughts is None else num_thoughts
        chains = self.config.num_chains if chains is None else chains
        return embedded_prompts(self, questions, chains, count)

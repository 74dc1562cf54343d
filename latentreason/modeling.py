"""What every method's model and checkpoint have in common.

A checkpoint is a `save_pretrained` directory: the config of the method's own `model_type` with the
backbone's config nested as `text_config`, the weights under `language_model.*`, and the tokenizer.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from latentreason.backbones.load import (
    DTYPES,
    check_complete,
    load_backbone,
    load_tokenizer,
)
from latentreason.backbones.precision import cast
from latentreason.card import CARD, take_edited_card, write_card
from latentreason.config import ModelConfig, Recipe
from latentreason.data.example import Example
from latentreason.errors import MissingFileError, UserError, check_choice, check_new_folder
from latentreason.generation import GenerateOptions, Generation, answer_in_groups
from latentreason.prompt import Prompt, PromptConfig

FORMAT_VERSION = 1
ADAPTER_FOLDER = "adapter"
LossTerms = dict[str, tuple[Tensor, float | None]]
"""{term: (sum over supervised elements, coefficient)}; the trainer divides by the global count. A term
without a coefficient is a meter: it is logged and is no part of the loss."""


class LatentConfig(PretrainedConfig):
    """Everything that inference needs; a method's config adds its own fields.

    Attributes:
        text_config: the backbone's config.
        method_name: the registry's name of what was trained.
        prompt: the fields of `PromptConfig`.
        max_new_tokens: default of `generate`.
        num_thoughts: continuous thoughts per question; 0 where the method has none.
        stage: the curriculum stage the weights come from.
        base_model: name and revision of the backbone's origin, or None.
        adapter: the checkpoint holds adapters only; `base_model` is loaded first.
        vocabulary: entries of the tokenizer, where an adapter's base has to be resized.
        provenance: data, command and commit of the training, for the model card.
    """

    model_type = "latentreason"
    sub_configs: ClassVar[dict[str, Any]] = {"text_config": AutoConfig}
    has_no_defaults_at_init = True

    def __init__(
        self,
        text_config: PretrainedConfig | dict[str, Any] | None = None,
        method_name: str = "",
        prompt: dict[str, Any] | None = None,
        max_new_tokens: int = 64,
        num_thoughts: int = 0,
        stage: int = 0,
        base_model: dict[str, Any] | None = None,
        adapter: bool = False,
        vocabulary: int | None = None,
        provenance: dict[str, Any] | None = None,
        format_version: int = FORMAT_VERSION,
        **kwargs: Any,
    ) -> None:
        if format_version > FORMAT_VERSION:
            raise UserError(
                f"checkpoint: format_version {format_version} is newer than this latentreason knows "
                f"({FORMAT_VERSION}); upgrade latentreason"
            )
        if isinstance(text_config, dict):
            text_config = AutoConfig.for_model(**text_config)
        self.text_config = text_config
        self.method_name = method_name
        self.prompt = prompt or dataclasses.asdict(PromptConfig())
        self.max_new_tokens = max_new_tokens
        self.num_thoughts = num_thoughts
        self.stage = stage
        self.base_model = base_model
        self.adapter = adapter
        self.vocabulary = vocabulary
        self.provenance = provenance
        self.format_version = format_version
        if text_config is not None:
            # transformers ties by the outer config only (design section 3, Checkpoint).
            kwargs["tie_word_embeddings"] = getattr(text_config, "tie_word_embeddings", True)
            # The outer constructor resets the nested config's; without a name there is no mask at all.
            attention = getattr(text_config, "_attn_implementation", None) or "sdpa"
            kwargs.setdefault("attn_implementation", attention)
        super().__init__(**kwargs)


class LatentModel(PreTrainedModel):
    """A backbone that reasons by one of the methods.

    A method's `Model` subclasses it and gives `layout`, `collate`, `forward`, `_generate` and
    `create`; see CONTRIBUTING.
    """

    config_class: Any = LatentConfig
    base_model_prefix = "language_model"
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    thought_modes: tuple[str, ...] = ("normal",)
    # Submodules that a checkpoint names (`base_model`) instead of holding their weights.
    frozen: tuple[str, ...] = ()

    def __init__(self, config: LatentConfig, language_model: Any = None) -> None:
        super().__init__(config)
        if language_model is None:
            language_model = AutoModelForCausalLM.from_config(
                config.text_config, attn_implementation=config._attn_implementation
            )
        self.language_model = language_model
        self.tokenizer: Any = None
        self.loaded_from: Path | None = None
        self._prompt: Prompt | None = None
        self.recompute_passes = False

    # --- the backbone -------------------------------------------------------------------------

    @property
    def causal_lm(self) -> Any:
        """The Hugging Face causal LM, with adapters' layers in place but without peft's wrapper."""
        get = getattr(self.language_model, "get_base_model", None)
        return get() if get else self.language_model

    @property
    def decoder(self) -> Any:
        """The backbone without its head; its `last_hidden_state` is after the final norm."""
        return self.causal_lm.base_model

    def embed(self, ids: Tensor) -> Tensor:
        """Token embeddings: (...,) ids to (..., H)."""
        return self.causal_lm.get_input_embeddings()(ids)

    def logits(self, hidden: Tensor) -> Tensor:
        """Head: (..., H) to (..., V), soft-capped where the backbone does."""
        logits = self.causal_lm.get_output_embeddings()(hidden)
        cap = getattr(self.causal_lm.config, "final_logit_softcapping", None)
        return torch.tanh(logits / cap) * cap if cap else logits

    @property
    def position_limit(self) -> int | None:
        """Positions the backbone was made for; None where it names none."""
        return getattr(self.causal_lm.config, "max_position_embeddings", None)

    def get_input_embeddings(self) -> nn.Module:
        return self.causal_lm.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.causal_lm.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.causal_lm.get_output_embeddings()

    def _init_weights(self, module: nn.Module) -> None:
        """The backbone initialises itself; the methods' own tensors are set where they are made."""

    def gradient_checkpointing_enable(self, *args: Any, **kwargs: Any) -> None:
        raise UserError(
            "gradient_checkpointing_enable: Hugging Face's checkpointing drops the cache between "
            "passes and trains something else; set train.activation_checkpointing=true"
        )

    def enable_recompute(self) -> None:
        """Recompute the activations of each pass in the backward (exact with several passes)."""
        self.recompute_passes = True

    def merged_backbone(self) -> Any:
        """The backbone as an ordinary causal LM.

        Adapters are merged into its weights for good: the model goes on without them.
        """
        if hasattr(self.language_model, "merge_and_unload"):
            # peft merges in place; what stayed wrapped would be saved as empty adapters.
            self.language_model = self.language_model.merge_and_unload()
        return self.language_model

    def check_backbone(self) -> None:
        """Raise UserError unless head(decoder(x)) is what the backbone itself computes."""
        causal_lm = self.causal_lm
        training = causal_lm.training
        causal_lm.eval()
        ids = torch.arange(3, device=self.device)[None]
        with torch.no_grad():
            positions = torch.arange(3, device=self.device)[None]
            states = self.decoder(inputs_embeds=self.embed(ids), position_ids=positions)
            ours = self.logits(states.last_hidden_state)
            theirs = causal_lm(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        causal_lm.train(training)
        if not torch.allclose(ours.float(), theirs.float(), rtol=1e-2, atol=1e-2):
            raise UserError(
                f"model.name: {type(causal_lm).__name__} does more to its logits than norm, head and "
                "soft-cap; it cannot be used as a backbone"
            )

    # --- the method's part --------------------------------------------------------------------

    @classmethod
    def create(cls, settings: Any, language_model: Any, tokenizer: Any) -> LatentModel:
        """Make a model for training from a backbone and the recipe's `method` section."""
        raise NotImplementedError

    @classmethod
    def convert(
        cls, source: Path, settings: Any, base: str | None, stage: int, num_thoughts: int
    ) -> LatentModel:
        """Read a checkpoint that others have trained by this method; see `latentreason.convert`."""
        raise UserError(f"method: {settings.name} has no converter of foreign checkpoints")

    def layout(self, example: Example, stage: int, rng: np.random.Generator) -> Any:
        """Lay one example out for `stage`; all chance comes from `rng`."""
        raise NotImplementedError

    def collate(self, layouts: Sequence[Any], index: Sequence[int]) -> dict[str, Any]:
        """Make a batch: what the method reads, plus `index`, `counts`, `num_tokens` and `num_passes`.

        Rows with index -1 are fillers: they are computed and count nothing.
        """
        raise NotImplementedError

    def prepare(self, recipe: Recipe, examples: Sequence[Example], strategy: Any) -> None:
        """Called by `train` once, before the first step: compute what is cached on disk.

        Args:
            recipe: what is trained; `run.root` is where caches lie.
            examples: the train split; `index` of `collate` counts in it.
            strategy: the ranks (`main`, `barrier`).
        """

    def render(self, question: str) -> Any:
        """What `_generate` reads of a question: its token ids, unless the method reads more."""
        return self.prompt.question_ids(question)

    def set_stage(self, stage: int) -> None:
        """Called by the trainer when a stage begins; writes what inference needs into the config."""
        self.config.stage = stage

    def gold_num_thoughts(self, num_steps: int) -> int | None:
        """Thoughts for a question whose gold chain has so many steps, for a checkpoint that is to be
        scored with that knowledge; None where it has a number of its own."""
        return None

    def statistics(self, examples: Sequence[Example]) -> None:
        """Called by the trainer before a checkpoint: measure what the controls need."""

    def lacks_statistics(self) -> bool:
        """Whether the mean thoughts are still to be measured, as in a converted checkpoint."""
        mean = getattr(self, "thought_mean", None)
        return mean is not None and mean.numel() > 0 and not bool(mean.any())

    def _generate(
        self,
        prompts: Sequence[Any],
        ids: Sequence[int],
        donors: Sequence[Any] | None,
        options: GenerateOptions,
    ) -> list[Generation]:
        """Answer what `render` has made of the questions; for the arguments see `generate`."""
        raise NotImplementedError

    # --- generation ---------------------------------------------------------------------------

    @property
    def prompt(self) -> Prompt:
        """The prompt renderer stored with the checkpoint."""
        if self.tokenizer is None:
            raise UserError("checkpoint: it has no tokenizer; load it with latentreason.load")
        if self._prompt is None or self._prompt.tokenizer is not self.tokenizer:
            self._prompt = Prompt(self.tokenizer, PromptConfig(**self.config.prompt))
        return self._prompt

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[str],
        *,
        num_thoughts: int | Sequence[int] | None = None,
        thought_mode: str = "normal",
        num_samples: int = 1,
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        ids: Sequence[int] | None = None,
        donors: Sequence[str] | None = None,
        return_thoughts: bool = False,
    ) -> list[Generation]:
        """Answer questions: batched, cached, deterministic under a seed.

        Args:
            prompts: questions; the method renders them.
            num_thoughts: thoughts per question, one number or one for each; None takes the
                checkpoint's number.
            thought_mode: "normal" or one of the controls of `latentreason.generation`.
            num_samples: answers per question.
            max_new_tokens: most visible tokens, the end token included; None takes the checkpoint's.
            temperature: 0 is greedy.
            top_p: nucleus.
            seed: keys sampling and noise together with row id, sample and position.
            ids: the rows' numbers in their data set, so that results do not depend on batching;
                default 0, 1, ...
            donors: for "shuffle", the question whose thoughts each prompt is given.
            return_thoughts: keep the thought vectors.

        Returns:
            One `Generation` per (prompt, sample), prompt-major.

        Raises:
            UserError: an argument that cannot be used, or that would be ignored.
        """
        if isinstance(prompts, str):
            raise UserError("prompts: give a list of questions, not one string")
        each = None if num_thoughts is None or isinstance(num_thoughts, int) else [*num_thoughts]
        if each is not None and len(each) != len(prompts):
            raise UserError(f"num_thoughts: {len(each)} numbers for {len(prompts)} prompts")
        options = GenerateOptions(
            num_thoughts=max(each, default=0) if each is not None else num_thoughts,  # type: ignore[arg-type]
            thought_mode=thought_mode,
            num_samples=num_samples,
            max_new_tokens=self.config.max_new_tokens if max_new_tokens is None else max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            return_thoughts=return_thoughts,
        )
        self._check_controls(options, donors, len(prompts))
        ids = list(range(len(prompts))) if ids is None else list(ids)
        if len(ids) != len(prompts):
            raise UserError(f"ids: {len(ids)} ids for {len(prompts)} prompts; give one for each")
        if not prompts:
            return []
        rows = [self.render(question) for question in prompts]
        donor_rows = [self.render(question) for question in donors] if donors else None

        def answer(places: Sequence[int], options: GenerateOptions) -> list[Generation]:
            foreign = [donor_rows[place] for place in places] if donor_rows else None
            own = [rows[place] for place in places]
            return self._generate(own, [ids[place] for place in places], foreign, options)

        training = self.training
        self.eval()
        try:
            if each is not None:
                return answer_in_groups(each, options, answer)
            return answer(range(len(rows)), options)
        finally:
            self.train(training)

    def _check_controls(
        self, options: GenerateOptions, donors: Sequence[str] | None, num_prompts: int
    ) -> None:
        mode = options.thought_mode
        if mode not in self.thought_modes:
            raise UserError(
                f'thought_mode: "{mode}" has no meaning for method {self.config.method_name}; '
                f"it has {', '.join(self.thought_modes)}"
            )
        if options.num_thoughts and len(self.thought_modes) == 1:
            raise UserError(
                f"num_thoughts: method {self.config.method_name} has no thoughts; leave it out"
            )
        if mode == "none" and options.num_thoughts:
            raise UserError(
                f'num_thoughts: {options.num_thoughts} would be ignored by thought_mode "none"; '
                "leave one of them out"
            )
        if (mode == "shuffle") != (donors is not None):
            raise UserError(
                'donors: thought_mode "shuffle" needs them, and no other mode reads them'
            )
        if donors is not None and len(donors) != num_prompts:
            raise UserError(f"donors: {len(donors)} for {num_prompts} prompts; give one for each")

    # --- checkpoints --------------------------------------------------------------------------

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Write config, weights and tokenizer; of a backbone with adapters, the adapters only.

        Raises:
            UserError: `push_to_hub`, which transformers does before tokenizer and card are written.
        """
        if kwargs.pop("push_to_hub", False):
            raise UserError("push_to_hub: call the model's own push_to_hub(repo_id) instead")
        folder = Path(save_directory)
        adapted = hasattr(self.language_model, "peft_config")
        self.config.adapter = adapted
        self.config.architectures = [type(self).__name__]
        left_out = self.frozen
        if adapted:
            self.config.vocabulary = len(self.tokenizer)
            # "auto" would write the whole embedding, whose new rows the adapter holds already.
            self.language_model.save_pretrained(
                folder / ADAPTER_FOLDER, save_embedding_layers=False
            )
            # peft's card is a form that nobody filled in.
            (folder / ADAPTER_FOLDER / CARD).unlink(missing_ok=True)
            left_out = (*left_out, self.base_model_prefix)
        if left_out:
            prefixes = tuple(f"{name}." for name in left_out)
            kwargs["state_dict"] = {
                name: tensor
                for name, tensor in self.state_dict().items()
                if not name.startswith(prefixes)
            }
        super().save_pretrained(folder, *args, **kwargs)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)
        write_card(folder, self.config, [self.loaded_from] if self.loaded_from else [])

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        commit_message: str = "Upload a latentreason checkpoint",
        create_pr: bool = False,
    ) -> str:
        """Upload weights, tokenizer and card to the hub; return the commit's address.

        transformers' own would put a card of its own over ours. A branch `revision` is made where
        there is none. Base models that the checkpoint only names are not uploaded.
        """
        from huggingface_hub import HfApi

        self._warn_of_local_bases(repo_id)
        api = HfApi(token=token)
        name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision is not None and not create_pr and not revision.startswith("refs/"):
            api.create_branch(name, branch=revision, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            if self.loaded_from is not None:
                take_edited_card(Path(folder), self.loaded_from)
            commit = api.upload_folder(
                repo_id=name,
                folder_path=folder,
                revision=revision,
                commit_message=commit_message,
                create_pr=create_pr,
            )
        return commit.commit_url

    def _warn_of_local_bases(self, repo_id: str) -> None:
        bases = [getattr(self.config, name, None) for name in self.frozen]
        if self.frozen or hasattr(self.language_model, "peft_config"):
            bases.append(self.config.base_model)
        for base in filter(None, bases):
            if Path(base["name"]).exists():
                logging.getLogger(__name__).warning(
                    "%s needs base model %s, a folder of this machine: others cannot load it; upload "
                    "the base and put its name into config.json",
                    *(repo_id, base["name"]),
                )

    @classmethod
    def from_pretrained(cls, name: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint with its tokenizer; an adapter checkpoint attaches to its base model."""
        config = kwargs.get("config") or AutoConfig.from_pretrained(
            name, revision=kwargs.get("revision", "main")
        )
        if not isinstance(config, cls.config_class):
            method = getattr(config, "method_name", config.model_type)
            raise UserError(
                f"checkpoint: {name} is of method {method}, which {cls.__module__} does not load; "
                "use latentreason.load"
            )
        if config.adapter or cls.frozen:
            model = cls._load_onto_bases(
                _local_folder(name, kwargs.get("revision")), config, kwargs
            )
            report: dict[str, Any] = {
                "missing_keys": set(),
                "unexpected_keys": set(),
                "mismatched_keys": set(),
                "error_msgs": [],
            }
        else:
            model, report = super().from_pretrained(
                name, *args, **{**kwargs, "output_loading_info": True}
            )
            check_complete(name, report)
        model.loaded_from = Path(name) if Path(name).is_dir() else None
        model.tokenizer = load_tokenizer(str(name), kwargs.get("revision"))
        return (model, report) if kwargs.get("output_loading_info") else model

    @classmethod
    def _load_onto_bases(cls, folder: Path, config: Any, kwargs: dict[str, Any]) -> Any:
        """Make the model from its base models, then load what the checkpoint itself holds."""
        import peft
        from safetensors.torch import load_file

        model = cls._on_bases(config, folder, _asked_dtype(kwargs))
        if model.language_model.config._attn_implementation != config._attn_implementation:
            model.set_attn_implementation(config._attn_implementation)
        if config.adapter:
            # As in training: the rows of a padded vocabulary stay.
            if config.vocabulary > model.get_input_embeddings().weight.shape[0]:
                model.language_model.resize_token_embeddings(config.vocabulary, mean_resizing=False)
            model.language_model = peft.PeftModel.from_pretrained(
                model.language_model, folder / ADAPTER_FOLDER
            )
        own = folder / "model.safetensors"
        held = load_file(own) if own.is_file() else {}
        missing, unexpected = model.load_state_dict(held, strict=False)
        named = tuple(f"{name}." for name in (*cls.frozen, cls.base_model_prefix))
        missing = [name for name in missing if not name.startswith(named)]
        if unexpected:
            raise UserError(f"checkpoint: {own} has {unexpected[0]}, which no part of it reads")
        if missing:
            raise UserError(f"checkpoint: {own} lacks {missing[0]}; copy the whole folder")
        return model.eval()

    @classmethod
    def _on_bases(cls, config: Any, folder: Path, dtype: torch.dtype | None) -> LatentModel:
        """The model around the base models that `config` names, its own weights not yet loaded."""
        model = cls(config, load_base(folder, config.base_model, dtype)[0])
        # In training, too, what stands beside the backbone has its precision.
        for name, part in model.named_children():
            if name != cls.base_model_prefix:
                part.to(model.get_input_embeddings().weight.dtype)
        return model

    def export(self, folder: str | Path) -> None:
        """Write the backbone alone as an ordinary Hugging Face directory.

        It can be loaded by anything, and it answers without thoughts.

        Raises:
            UserError: `folder` holds a model already, or is a file.
        """
        check_new_folder("out", folder)
        self.merged_backbone().save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def _local_folder(name: Any, revision: str | None) -> Path:
    """`name` where it is a directory, else the hub repository of that name, downloaded."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(str(name), revision=revision))


def _asked_dtype(kwargs: dict[str, Any]) -> torch.dtype | None:
    """The dtype that `from_pretrained` was asked for, in any of the ways transformers takes."""
    dtype = kwargs.get("dtype", kwargs.get("torch_dtype"))
    if dtype is None or dtype == "auto":
        return None
    if isinstance(dtype, str):
        check_choice("dtype", dtype, DTYPES)
        return DTYPES[dtype]
    return dtype


def load_base(
    folder: Path, base: dict[str, Any] | None, dtype: torch.dtype | None = None
) -> tuple[Any, Any]:
    """Load a base model that the checkpoint in `folder` names, and its tokenizer.

    Raises:
        MissingFileError: it is not where the checkpoint says.
    """
    section = ModelConfig(**(base or {}))
    try:
        model, tokenizer = load_backbone(section)
    except MissingFileError as error:
        raise MissingFileError(
            f"checkpoint: {folder} needs base model {section.name!r}, which cannot be loaded; put it "
            "where the config says, or edit its name in config.json"
        ) from error
    return (model if dtype is None else cast(model, dtype)), tokenizer

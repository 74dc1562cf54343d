"""A latentreason model, or any plain causal LM, in this process."""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from latentreason.errors import MissingFileError, UserError, check_choice
from latentreason_eval import distributed
from latentreason_eval.sample import Question, Sample, Sampling


class ModelBackend:
    """Calls `generate` of a model on batches of questions of similar length.

    Attributes:
        model: what `latentreason.load` returns.
        batch_size: questions per call.
        checkpoint: where it came from.
    """

    parallel = 1

    def __init__(self, model: Any, batch_size: int, checkpoint: str = "") -> None:
        if batch_size < 1:
            raise UserError(f"batch_size: {batch_size} is too small; give 1 or more")
        self.model = model
        self.batch_size = batch_size
        self.checkpoint = checkpoint

    def answer(self, questions: Sequence[Question], sampling: Sampling) -> Iterator[list[Sample]]:
        """Yield one group per batch; see `Backend`."""
        for start in range(0, len(questions), self.batch_size):
            yield self._batch(questions[start : start + self.batch_size], sampling)

    def describe(self) -> dict[str, Any]:
        """Return checkpoint, method, thoughts and size."""
        config = self.model.config
        # Where prompts can be written otherwise by the same weights: other answers, another folder.
        template = getattr(config, "template_hash", None)
        return ({} if template is None else {"template_hash": template}) | {
            "checkpoint": self.checkpoint,
            "method": getattr(config, "method_name", None),
            "num_thoughts": getattr(config, "num_thoughts", None),
            "num_parameters": self.model.num_parameters(),
            "dtype": str(getattr(self.model, "dtype", None)),
            # A run folder trained further holds other weights under the same name.
            "weights": weights_fingerprint(self.checkpoint),
            # As many thoughts as the gold chain has steps are an oracle: the record says so.
            "gold_num_thoughts": gold_thoughts(self.model, [Question(0, "")]) is not None,
        }

    def _batch(self, questions: Sequence[Question], sampling: Sampling) -> list[Sample]:
        begin = time.perf_counter()
        arguments = generate_arguments(questions, sampling)
        if sampling.num_thoughts is None and sampling.thought_mode != "none":
            arguments["num_thoughts"] = gold_thoughts(self.model, questions)
        generations = self.model.generate(
            [question.text for question in questions],
            ids=[question.index for question in questions],
            **arguments,
        )
        seconds = (time.perf_counter() - begin) / max(1, len(generations))
        return [
            Sample(
                index=questions[generation.prompt_index].index,
                sample=generation.sample_index,
                text=generation.text,
                prompt_tokens=generation.prompt_tokens,
                num_tokens=generation.num_tokens,
                num_thoughts=generation.num_thoughts,
                num_steps=generation.num_steps,
                finish_reason=generation.finish_reason,
                seconds=seconds,
            )
            for generation in generations
        ]


def generate_arguments(questions: Sequence[Question], sampling: Sampling) -> dict[str, Any]:
    """Return the keyword arguments of `generate` for a batch.

    Denoising steps are passed only where they are asked for: methods without them do not know the
    argument, and an argument that would be ignored has to be an error.
    """
    arguments: dict[str, Any] = {
        "num_thoughts": sampling.num_thoughts,
        "thought_mode": sampling.thought_mode,
        "num_samples": sampling.num_samples,
        "max_new_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
    }
    if sampling.num_steps is not None:
        arguments["num_steps"] = sampling.num_steps
    if sampling.thought_mode == "shuffle":
        arguments["donors"] = [question.donor for question in questions]
    return arguments


def weights_fingerprint(checkpoint: str) -> str | None:
    """Return a hash of a local checkpoint's weight files (names, sizes, times); None elsewhere."""
    for folder in (Path(checkpoint), Path(checkpoint, "best"), Path(checkpoint, "last")):
        if checkpoint and (folder / "config.json").is_file():
            files = sorted((*folder.rglob("*.safetensors"), *folder.rglob("*.bin")))
            facts = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
            return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return None


def gold_thoughts(model: Any, questions: Sequence[Question]) -> list[int] | None:
    """Return thoughts per question where the checkpoint is to be scored with the gold number."""
    count = getattr(model, "gold_num_thoughts", None)
    counts = [count(question.num_steps) if count else None for question in questions]
    known = [number for number in counts if number is not None]
    return known if len(known) == len(counts) else None


def check_compute(model: Any, num_thoughts: Sequence[int], num_steps: Sequence[int]) -> None:
    """Raise before anything is scored if the model has no thoughts or steps to set.

    Args:
        model: the loaded model.
        num_thoughts, num_steps: all values that will be asked for.

    Raises:
        UserError: naming `num_thoughts` or `num_steps`.
    """
    name = getattr(model.config, "method_name", "model")
    if any(num_thoughts) and len(model.thought_modes) == 1:
        raise UserError(f"num_thoughts: method {name} has no thoughts; leave it out")
    if num_steps and "num_steps" not in inspect.signature(model.generate).parameters:
        raise UserError(f"num_steps: method {name} has no denoising steps; leave it out")


def rank_device(device: str | None) -> str | None:
    """Return the device to load on: under torchrun every rank takes a GPU of its own."""
    if device is not None or distributed.rank_and_size()[1] == 1:
        return device
    import os

    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else None


def check_checkpoint(checkpoint: str) -> None:
    """Raise before anything is loaded if a local path cannot be a checkpoint.

    Raises:
        MissingFileError: the folder does not exist or holds no config.json.
    """
    path = Path(checkpoint)
    if path.is_dir():
        # A run folder stands for its best or its last checkpoint.
        inner = (path, path / "best", path / "last")
        if not any((folder / "config.json").is_file() for folder in inner):
            raise MissingFileError(
                f"checkpoint: {checkpoint} holds no config.json; give a folder that training or "
                "save_pretrained wrote"
            )
    elif path.is_absolute() or checkpoint.startswith(".") or checkpoint.count("/") > 1:
        raise MissingFileError(f"checkpoint: {checkpoint} does not exist")


def check_thought_mode(thought_mode: str, model: Any | None = None) -> None:
    """Raise unless the mode is known, and, given a model, unless that model has it.

    Raises:
        UserError: naming `thought_mode`.
    """
    from latentreason.generation import THOUGHT_MODES

    check_choice("thought_mode", thought_mode, THOUGHT_MODES)
    if model is not None and thought_mode not in model.thought_modes:
        raise UserError(
            f'thought_mode: "{thought_mode}" is not defined for a '
            f"{getattr(model.config, 'method_name', 'model')} checkpoint; it has: "
            f"{', '.join(model.thought_modes)}"
        )

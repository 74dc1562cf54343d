"""The assistant's states of a train split, computed once and read from disk.

Shapes: E examples, N chains, L placeholders, A the assistant's hidden size.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

BATCH = 64
"""Rows of the assistant per pass: questions x chains."""


def questions_per_pass(chains: int) -> int:
    """Questions whose chains fill one pass of the assistant."""
    return max(1, BATCH // chains)


class StateStore:
    """A file of states in the assistant's dtype, mapped into memory: (E, N, L, A)."""

    def __init__(self, folder: Path) -> None:
        record = json.loads((folder / "shape.json").read_text(encoding="utf-8"))
        self.shape, self.dtype = tuple(record["shape"]), getattr(torch, record["dtype"])
        self.states = _mapped(folder / "states.bin", self.shape, self.dtype, shared=False)

    def __getitem__(self, index: Sequence[int]) -> Tensor:
        """States of the examples `index`: (len(index), N, L, A)."""
        return self.states[list(index)]


def fingerprint(
    assistant: nn.Module, initial: Tensor, prompts: Iterable[Sequence[int]], count: int
) -> str:
    """A hash of everything the states depend on: config, weights, initial rows, prompts, L."""
    found = hashlib.blake2b(digest_size=16)
    # The same weights under another number of heads, say, give other states.
    found.update(repr(sorted(_settings(assistant.config).items())).encode())
    for name, tensor in [*assistant.state_dict().items(), ("initial", initial)]:
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        # Viewed as bytes, since numpy has no bfloat16.
        flat = tensor.detach().cpu().contiguous().flatten()
        found.update(flat.view(torch.uint8).numpy().data)
    for prompt in prompts:
        found.update(repr(list(prompt)).encode())
    found.update(str(count).encode())
    return found.hexdigest()


def _settings(config: Any) -> dict[str, str]:
    """A model's config as text, without where it lies and what wrote it."""
    idle = ("_name_or_path", "transformers_version")
    return {key: str(value) for key, value in config.to_dict().items() if key not in idle}


def write_states(
    folder: Path,
    prompts: Sequence[Sequence[int]],
    compute: Callable[[Sequence[Sequence[int]]], Tensor],
    say: Callable[[str], Any],
    chains: int = 1,
) -> None:
    """Compute the states of all prompts and write them, unless they are there: complete or absent.

    Where two runs are started together, the second waits for the first and reads what it wrote.

    Args:
        folder: where to; its name is the fingerprint.
        prompts: of the assistant, one for each example.
        compute: prompts to their states (B, N, L, A).
        say: told how far it is.
        chains: N, for the size of a pass.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            temporary = folder.with_name(f"{folder.name}.tmp")
            # What a killed run has left.
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            _write(temporary, prompts, compute, lambda text: say(f"{text} in {folder}"), chains)
            os.replace(temporary, folder)


def _write(
    folder: Path,
    prompts: Sequence[Sequence[int]],
    compute: Callable[[Sequence[Sequence[int]]], Tensor],
    say: Callable[[str], Any],
    chains: int,
) -> None:
    states: Tensor | None = None
    questions = questions_per_pass(chains)
    for start in range(0, len(prompts), questions):
        batch = compute(prompts[start : start + questions]).cpu()
        if states is None:
            shape = (len(prompts), *batch.shape[1:])
            dtype = str(batch.dtype).removeprefix("torch.")
            record = json.dumps({"shape": shape, "dtype": dtype})
            (folder / "shape.json").write_text(record + "\n", encoding="utf-8")
            states = _mapped(folder / "states.bin", shape, batch.dtype, shared=True)
            size = states.numel() * states.element_size() / 1e6
            say(f"assistant states: {len(prompts)} questions, {size:.0f} MB")
        states[start : start + len(batch)] = batch


def _mapped(file: Path, shape: Sequence[int], dtype: torch.dtype, *, shared: bool) -> Tensor:
    size = 1
    for length in shape:
        size *= length
    flat = torch.from_file(str(file), shared=shared, size=size, dtype=dtype)
    return flat.view(*shape)

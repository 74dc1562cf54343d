"""One process, DDP or DeepSpeed behind one face, through accelerate.

The loss contract is `loss x world size x accumulation steps`: DDP and ZeRO average over ranks, and
accelerate (DDP) or DeepSpeed divides by the accumulation steps.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator, DeepSpeedPlugin, InitProcessGroupKwargs
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration, GradientAccumulationPlugin
from torch import Tensor

from latentreason.backbones.precision import exact_frequencies
from latentreason.config import OptimConfig, TrainConfig
from latentreason.errors import MissingFileError, UserError

ZERO = {"zero1": 1, "zero2": 2}

_OF_THE_RECIPE = ("betas", "eps", "weight_decay")
"""Settings of the optimizer that a resumed run takes from its recipe, not from the checkpoint."""


class Strategy:
    """How a model is trained over ranks."""

    def __init__(self, train: TrainConfig, optim: OptimConfig) -> None:
        self.deepspeed = train.strategy == "deepspeed"
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.micro, self.accumulation = cut_batch(train, self.world)
        self.clip = optim.clip
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available() and not self.deepspeed,
            mixed_precision="bf16" if train.precision == "bf16" else "no",
            gradient_accumulation_plugin=GradientAccumulationPlugin(
                num_steps=self.accumulation, sync_with_dataloader=False
            ),
            dataloader_config=DataLoaderConfiguration(),
            deepspeed_plugin=self._plugin(train) if self.deepspeed else None,
            kwargs_handlers=self._process_group(),
        )
        self.model: Any = None
        self.optimizer: Any = None

    # --- set-up -------------------------------------------------------------------------------

    def prepare(self, model: Any, optim: OptimConfig) -> None:
        """Wrap the model and make its AdamW; frozen parameters have no place in it."""
        trainable = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trainable,
            lr=optim.lr,
            betas=tuple(optim.betas),
            eps=optim.eps,
            weight_decay=optim.weight_decay,
        )
        # DeepSpeed casts the whole model where it trains in bf16.
        with exact_frequencies(model):
            self.model, self.optimizer = self.accelerator.prepare(model, optimizer)

    def _process_group(self) -> list[Any]:
        # Without it accelerate takes every DeepSpeed rank on CPU for the only one.
        if self.deepspeed and not torch.cuda.is_available():
            return [InitProcessGroupKwargs(backend="gloo")]
        return []

    def _plugin(self, train: TrainConfig) -> DeepSpeedPlugin:
        if not torch.cuda.is_available():
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
        os.environ.setdefault("RANK", "0")
        os.environ.setdefault("LOCAL_RANK", "0")
        os.environ.setdefault("WORLD_SIZE", "1")
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", str(_free_port()))
        config = deepspeed_config(train.deepspeed or "zero2")
        config |= {
            "train_micro_batch_size_per_gpu": self.micro,
            "gradient_accumulation_steps": self.accumulation,
            # 0.0 is said aloud: left out, accelerate fills in 1.0.
            "gradient_clipping": self.clip or 0.0,
            "bf16": {"enabled": train.precision == "bf16"},
        }
        try:
            return DeepSpeedPlugin(hf_ds_config=config)
        except ImportError:
            raise UserError(
                "train.strategy: deepspeed is not installed; pip install 'latentreason[train]'"
            ) from None

    # --- ranks --------------------------------------------------------------------------------

    @property
    def rank(self) -> int:
        """This process among all."""
        return self.accelerator.process_index

    @property
    def main(self) -> bool:
        """Whether this rank writes."""
        return self.accelerator.is_main_process

    def total(self, values: list[float]) -> list[float]:
        """Sums over the ranks."""
        return self._reduce(values, dist.ReduceOp.SUM if self.world > 1 else None)

    def largest(self, values: list[float]) -> list[float]:
        """Maxima over the ranks."""
        return self._reduce(values, dist.ReduceOp.MAX if self.world > 1 else None)

    def _reduce(self, values: list[float], operation: Any) -> list[float]:
        if self.world == 1 or not values:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.accelerator.device)
        dist.all_reduce(tensor, op=operation)
        return tensor.tolist()

    def barrier(self) -> None:
        """Wait for the other ranks."""
        self.accelerator.wait_for_everyone()

    def close(self) -> None:
        """Leave the process group: a rank that only exits may hang the others."""
        self.accelerator.end_training()
        if dist.is_initialized():
            dist.destroy_process_group()
        # accelerate keeps its settings for the life of the process; the next run may want others.
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    # --- a step -------------------------------------------------------------------------------

    def set_rate(self, lr: float) -> None:
        """Set the learning rate of the step to come; DeepSpeed steps within `backward`."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def backward(self, loss: Tensor) -> None:
        """Back-propagate one micro-batch's share of the mean loss."""
        self.accelerator.backward(loss * (self.world * self.accumulation))

    def step(self) -> float | None:
        """Clip, step and clear, where this micro-batch ends the step; return the gradient norm."""
        norm = None
        if self.accelerator.sync_gradients and self.clip is not None:
            norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return None if norm is None else float(norm)

    def reset_optimizer(self) -> None:
        """Forget moments and step counts."""
        inner = self.optimizer
        while hasattr(inner, "optimizer"):
            inner = inner.optimizer
        inner.state.clear()

    # --- state --------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write trainable weights and optimizer, by the ranks that hold them."""
        if self.deepspeed:
            self.model.save_checkpoint(str(folder), tag="deepspeed", exclude_frozen_parameters=True)
        elif self.main:
            model = self.accelerator.unwrap_model(self.model)
            weights = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
            torch.save(weights, folder / "weights.pt")
            torch.save(self.optimizer.state_dict(), folder / "optimizer.pt")
        torch.save(_random_state(), folder / f"random_{self.rank}.pt")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote, into a prepared model.

        Raises:
            UserError: another strategy wrote it, or it does not fit the model.
        """
        groups = self.optimizer.param_groups
        asked = [{name: group[name] for name in _OF_THE_RECIPE} for group in groups]
        if self.deepspeed:
            self._load_deepspeed(folder)
        else:
            self._load_plain(folder)
        for group, ours in zip(self.optimizer.param_groups, asked, strict=True):
            group.update(ours)
        random = folder / f"random_{self.rank}.pt"
        if random.is_file():
            _set_random_state(torch.load(random, weights_only=False))

    def _load_plain(self, folder: Path) -> None:
        if not (folder / "weights.pt").is_file():
            raise UserError(
                f"train.strategy: {folder} was written by DeepSpeed; resume with train.strategy=deepspeed"
            )
        model = self.accelerator.unwrap_model(self.model)
        weights = torch.load(folder / "weights.pt", map_location="cpu")
        parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        ours = {n: p.shape for n, p in parameters.items()}
        theirs = {n: p.shape for n, p in weights.items()}
        odd = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
        if odd:
            raise UserError(
                f"run.resume: {folder} does not fit this recipe's model ({odd[0]}); give another "
                "run.name, or remove that run"
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])
        self.optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location="cpu"))

    def _load_deepspeed(self, folder: Path) -> None:
        shards = list(folder.glob("deepspeed/*optim_states.pt"))
        if not shards:
            raise UserError(
                f"train.strategy: {folder} was not written by DeepSpeed; resume with train.strategy=ddp"
            )
        if len(shards) == self.world:
            self.model.load_checkpoint(str(folder), tag="deepspeed", load_module_strict=False)
        else:
            self._load_universal(folder)

    def _load_universal(self, folder: Path) -> None:
        """Load what another number of ranks has written, through DeepSpeed's universal format."""
        universal = folder / "universal"
        if self.main:
            command = [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal",
                       "--input_folder", str(folder / "deepspeed"), "--output_folder", str(universal),
                       "--num_extract_workers", "1", "--num_merge_workers", "1",
                       "--inject_missing_state"]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise UserError(
                    f"run.resume: deepspeed cannot convert {folder} for {self.world} ranks "
                    f"({done.stderr.strip().splitlines()[-1]})"
                )
        self.barrier()
        # The engine reads the switch from its config when it loads, and only then.
        self.model._config.load_universal_checkpoint = True
        self.model.load_checkpoint(str(folder), tag="universal", load_module_strict=False)
        self.model._config.load_universal_checkpoint = False
        self.barrier()
        if self.main:
            shutil.rmtree(universal)


def cut_batch(train: TrainConfig, world: int) -> tuple[int, int]:
    """Micro-batch size and accumulation steps that make up `train.batch_size` over `world` ranks.

    Raises:
        UserError: the three numbers do not fit.
    """
    if train.batch_size % world:
        raise UserError(f"train.batch_size: {train.batch_size} does not divide by {world} ranks")
    per_rank = train.batch_size // world
    micro = train.micro_batch_size or per_rank
    if per_rank % micro:
        raise UserError(
            f"train.micro_batch_size: {per_rank} examples per rank do not divide by {micro}"
        )
    return micro, per_rank // micro


def deepspeed_config(name: str) -> dict[str, Any]:
    """A DeepSpeed config by name or from a JSON file; batch sizes and clipping are filled in later."""
    if name in ZERO:
        return {
            "zero_optimization": {"stage": ZERO[name]},
            "zero_allow_untested_optimizer": True,
        }
    if not Path(name).is_file():
        raise MissingFileError(
            f'train.deepspeed: "{name}" is neither a file nor one of {", ".join(ZERO)}'
        )
    config = json.loads(Path(name).read_text(encoding="utf-8"))
    taken = {"train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps",
             "gradient_clipping", "bf16", "optimizer", "scheduler"}  # fmt: skip
    if set(config) & taken:
        key = sorted(set(config) & taken)[0]
        raise UserError(
            f"train.deepspeed: {name} sets {key}, which the recipe sets; remove it there"
        )
    if config.get("zero_optimization", {}).get("stage", 0) > 2:
        raise UserError(f"train.deepspeed: {name} asks for ZeRO-3, which this version cannot train")
    return config


def _free_port() -> int:
    """A port for the rendezvous of a run that torchrun did not start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _random_state() -> dict[str, Any]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

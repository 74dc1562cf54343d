"""The loop: phases, epochs, steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from latentreason.config import PhaseConfig, Recipe
from latentreason.data.augment import AUGMENTATIONS
from latentreason.data.example import Example
from latentreason.errors import UserError
from latentreason.modeling import LatentModel
from latentreason.recipes import expand_phases
from latentreason.training.batches import StageDataset, micro_batch_stream, to_device
from latentreason.training.checkpoints import STATE_FOLDER, Checkpoints
from latentreason.training.ema import Ema, resume_average
from latentreason.training.order import Order, micro_batches, steps_per_epoch
from latentreason.training.progress import Progress
from latentreason.training.schedule import describe, learning_rate, loss_is_low, phase_steps
from latentreason.training.signals import StopRequest
from latentreason.training.state import TrainerState
from latentreason.training.strategy import Strategy

Validate = Callable[[LatentModel, Sequence[Example]], dict[str, float]]
"""(model, this rank's questions) -> figures, "accuracy" among them; they are averaged over ranks."""


class Trainer:
    """Trains one model by one recipe; see `latentreason.training.train` for what goes around it."""

    def __init__(
        self,
        recipe: Recipe,
        model: LatentModel,
        train: Sequence[Example],
        valid: Sequence[Example],
        folder: Path,
        strategy: Strategy,
        validate: Validate | None = None,
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.examples = train
        self.augment = AUGMENTATIONS.get(recipe.data.train.augment or "")
        self.order = Order(train, recipe.run.seed, recipe.train)
        self.valid = valid
        self.validate = validate
        self.strategy = strategy
        self.checkpoints = Checkpoints(folder)
        self.phases = expand_phases(recipe.train.phases)
        self.per_epoch = steps_per_epoch(len(train), recipe.train.batch_size)
        self.planned = [phase_steps(phase, self.per_epoch) for phase in self.phases]
        self.state = TrainerState()
        self.stop = StopRequest()
        self._stopping = False
        self.progress: Progress
        if recipe.train.activation_checkpointing:
            model.enable_recompute()
        if recipe.train.compile:
            model.compile(backend=recipe.train.compile)
        strategy.prepare(model, recipe.optim)
        self.ema = Ema(model, recipe.train.ema) if recipe.train.ema else None

    # --- the plan -----------------------------------------------------------------------------

    def run(self) -> TrainerState:
        """Train to the end of the plan, or to SIGTERM; resume first where there is a checkpoint."""
        self._resume()
        total = self._total_steps()
        self.progress = Progress(
            self.checkpoints.run,
            self.recipe.run.loggers,
            total,
            self.state.step,
            self.strategy.main,
        )
        if self.state.step:
            done = "nothing is left to do" if self._halt() else "going on"
            self.progress.say(f"resumed at step {self.state.step} of {total}: {done}")
        with self.stop:
            while self.state.phase < len(self.phases) and not self._halt():
                self._run_phase()
        self.progress.close()
        return self.state

    def _reached_limit(self) -> bool:
        limit = self.recipe.train.max_steps
        return limit is not None and self.state.step >= limit

    def _total_steps(self) -> int:
        total = sum(self.planned)
        limit = self.recipe.train.max_steps
        return total if limit is None else min(total, limit)

    def _halt(self) -> bool:
        return self.state.finished or self._stopping or self._reached_limit()

    def _run_phase(self) -> None:
        phase = self.phases[self.state.phase]
        self.model.set_stage(int(phase.stage))
        self.model.train()
        if self.state.phase_step == 0:
            self.progress.say(describe(self.phases, self.planned, self.state.phase))
            if self.recipe.optim.reset == "stage" and self._stage_begins():
                self.strategy.reset_optimizer()
        while self.state.phase_step < self.planned[self.state.phase]:
            ended = self._run_epoch(phase)
            if ended:
                break
            if self._stopping or self._reached_limit():
                self._save()
                if self._stopping:
                    self.progress.say(
                        f"stopped by a signal at step {self.state.step} of {self._total_steps()}; "
                        "start the same command again to go on"
                    )
                return
        self._validate(phase)
        self.state.next_phase()
        self.state.finished = self.state.phase == len(self.phases)
        self._save()

    def _stage_begins(self) -> bool:
        before = self.state.phase - 1
        return before >= 0 and self.phases[before].stage != self.phases[self.state.phase].stage

    def _run_epoch(self, phase: PhaseConfig) -> bool:
        """Train to the end of the epoch, phase or patience; return whether the phase ended early."""
        state, strategy = self.state, self.strategy
        if self.recipe.optim.reset == "epoch" and state.epoch_step == 0 and state.step > 0:
            self.strategy.reset_optimizer()
        left = self.planned[state.phase] - state.phase_step
        steps = range(state.epoch_step, min(self.per_epoch, state.epoch_step + left))
        stream = self._stream(phase, steps)
        for _ in steps:
            self._step(phase, [next(stream) for _ in range(strategy.accumulation)])
            # Agreed on by all ranks: one that stops alone leaves the others waiting.
            self._stopping = strategy.largest([float(self.stop.requested)])[0] > 0
            if loss_is_low(phase, state.recent):
                return True
            if state.epoch_step == self.per_epoch:
                state.next_epoch()
            self._at_boundary(phase)
            if self._stopping or self._reached_limit():
                return False
        return False

    def _stream(self, phase: PhaseConfig, steps: range) -> Iterator[dict[str, Any]]:
        seed, state, strategy = self.recipe.run.seed, self.state, self.strategy
        stage = int(phase.stage)
        order = self.order.of_epoch(state.epoch, stage)
        size = self.recipe.train.batch_size
        batches = [
            batch
            for step in steps
            for batch in micro_batches(
                order, step, size, strategy.micro, strategy.rank, strategy.world
            )
        ]
        dataset = StageDataset(self.examples, self.model, seed, state.epoch, stage, self.augment)
        return micro_batch_stream(dataset, batches, self.recipe.train.num_workers)

    # --- a step -------------------------------------------------------------------------------

    def _step(self, phase: PhaseConfig, batches: list[dict[str, Any]]) -> None:
        """One optimizer step: the gradient of the mean over all supervised elements of the step,
        however ranks and micro-batches cut it up."""
        strategy, state = self.strategy, self.state
        terms = sorted(batches[0]["counts"])
        sums = strategy.total(
            [float(sum(b["counts"][term] for b in batches)) for term in terms]
            + [float(sum(b["num_tokens"] for b in batches))]
        )
        counts, tokens = dict(zip(terms, sums, strict=False)), int(sums[-1])
        passes = strategy.largest([float(batch["num_passes"]) for batch in batches])
        lr = learning_rate(self.recipe.optim, phase, state.step, sum(self.planned))
        strategy.set_rate(lr)
        parts = dict.fromkeys(terms, 0.0)
        norm, meters = None, set[str]()
        for batch, num_passes in zip(batches, passes, strict=True):
            batch["num_passes"] = int(num_passes)
            with strategy.accelerator.accumulate(strategy.model):
                losses = strategy.model(to_device(batch, strategy.accelerator.device))
                means = {
                    term: (1.0 if weight is None else weight) * total / max(counts[term], 1.0)
                    for term, (total, weight) in losses.items()
                }
                meters |= {term for term, (_, weight) in losses.items() if weight is None}
                strategy.backward(sum(v for term, v in means.items() if term not in meters))
                norm = strategy.step()
            for term, value in means.items():
                parts[term] += value.item()
        figures = dict(zip(terms, strategy.total(list(parts.values())), strict=True))
        meter = {term: figures.pop(term) for term in sorted(meters)}
        self._after_step(figures, meter, phase, lr, norm, tokens)

    def _after_step(
        self,
        losses: dict[str, float],
        meters: dict[str, float],
        phase: PhaseConfig,
        lr: float,
        norm: float | None,
        tokens: int,
    ) -> None:
        state = self.state
        state.step += 1
        state.phase_step += 1
        state.epoch_step += 1
        if self.ema is not None:
            self.ema.update(state.step)
        loss = sum(losses.values())
        state.recent = [*state.recent, loss][-phase.window :]
        self.progress.step(loss, int(phase.stage), tokens)
        if state.step % self.recipe.train.log_every == 0:
            record = {"step": state.step, "epoch": state.epoch, "stage": int(phase.stage),
                      "loss": loss, "lr": lr}  # fmt: skip
            if len(losses) > 1:
                record |= {f"loss_{term}": value for term, value in losses.items()}
            record |= meters
            if norm is not None:
                record["gradient_norm"] = norm
            self.progress.log(record)

    def _at_boundary(self, phase: PhaseConfig) -> None:
        """Between two steps: validate and save where it is time."""
        better = self._is_time(self.recipe.eval.every) and self._validate(phase)
        if better or self._is_time(self.recipe.train.save_every):
            self._save()

    def _is_time(self, every: int | str | None) -> bool:
        if every is None:
            return False
        if every == "epoch":
            return self.state.epoch_step == 0
        return self.state.step % int(every) == 0

    # --- validation and checkpoints -----------------------------------------------------------

    def _validate(self, phase: PhaseConfig) -> bool:
        """Score the `valid` split, once for a step; return whether the model is the best so far."""
        if self.validate is None or not self.valid or self.state.validated == self.state.step:
            return False
        self.state.validated = self.state.step
        figures = self._validation_figures()
        self.progress.log(
            {"step": self.state.step, "stage": int(phase.stage)}
            | {f"valid_{name}": value for name, value in figures.items()}
        )
        self.progress.say(
            f"step {self.state.step}, stage {phase.stage}: "
            + ", ".join(f"valid {name} {value:.4g}" for name, value in figures.items())
        )
        # Early stages still read steps in words: their accuracy says nothing about the last one's.
        final = int(phase.stage) == int(self.phases[-1].stage)
        if not final or (self.state.best is not None and figures["accuracy"] <= self.state.best):
            return False
        self.state.best, self.state.best_step = figures["accuracy"], self.state.step
        self.state.best_stage = int(phase.stage)
        return True

    def _validation_figures(self) -> dict[str, float]:
        assert self.validate is not None
        strategy = self.strategy
        mine = self.valid[strategy.rank :: strategy.world]
        # A rank without a question of its own answers one that counts nothing: all sum the same names.
        weight = float(len(mine))
        with self._averaged():
            figures = self.validate(self.model, mine or self.valid[:1])
        self.model.train()
        names = sorted(figures)
        sums = strategy.total([figures[name] * weight for name in names] + [weight])
        return {name: value / sums[-1] for name, value in zip(names, sums, strict=False)}

    def _averaged(self) -> AbstractContextManager[None]:
        """What is validated and saved: the average of the weights, where there is one."""
        return nullcontext() if self.ema is None else self.ema.applied()

    def _save(self) -> None:
        """Write a checkpoint: complete or absent, whatever happens."""
        strategy, step = self.strategy, self.state.step
        temporary = self.checkpoints.temporary(step)
        if strategy.main:
            self.checkpoints.begin(step)
            with self._averaged():
                self.model.statistics(self.examples)
                self.model.save_pretrained(temporary)
            if self.ema is not None:
                self.ema.save(temporary / STATE_FOLDER)
            self.state.save(temporary / STATE_FOLDER / "state.json")
        strategy.barrier()
        strategy.save(temporary / STATE_FOLDER)
        strategy.barrier()
        if strategy.main:
            self.checkpoints.commit(step)
            if self.state.best_step == step:
                self.checkpoints.link("best", step)
            self.checkpoints.thin(self.recipe.train.keep_last, self.state.best_step)
        strategy.barrier()

    def _resume(self) -> None:
        latest = self.checkpoints.latest()
        if latest is None:
            return
        saved = json.loads((latest / "config.json").read_text(encoding="utf-8"))
        ours, theirs = self.model.config.method_name, saved["method_name"]
        if ours != theirs:
            raise UserError(
                f"run.name: {self.checkpoints.run} holds a run of method {theirs}, this recipe "
                f"trains {ours}; give another run.name, or remove that run"
            )
        # Buffers take the size they have in that stage.
        self.model.set_stage(saved["stage"])
        self.state = TrainerState.load(latest / STATE_FOLDER / "state.json")
        # A plan may have been given further phases since.
        self.state.finished = self.state.phase >= len(self.phases)
        if self.state.best_stage != int(self.phases[-1].stage):
            self.state.best = self.state.best_step = self.state.best_stage = None
            if self.strategy.main:
                self.checkpoints.unlink("best")
        self.strategy.load(latest / STATE_FOLDER)
        resume_average(self.ema, latest / STATE_FOLDER)

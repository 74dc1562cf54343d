"""The functions behind the commands: plain arguments in, plain results out.

from latentreason_eval.api import evaluate
evaluate("runs/demo/coconut", "prosqa", controls=True, out="runs/eval/coconut")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentreason.data.sources import SourceFile
from latentreason.errors import UserError, check_choice
from latentreason_eval.backends.model import (
    ModelBackend,
    check_checkpoint,
    check_compute,
    check_thought_mode,
    rank_device,
)
from latentreason_eval.benchmark import Benchmark, benchmark_names, find_benchmark
from latentreason_eval.check import check_benchmarks
from latentreason_eval.compare import compare
from latentreason_eval.evaluation import Evaluation, conditions, parse_sweep
from latentreason_eval.report.build import report
from latentreason_eval.rescore import rescore
from latentreason_eval.rules import AnswerRule, named_rule
from latentreason_eval.sample import Backend, Sampling
from latentreason_eval.sources import load_split
from latentreason_eval.validation import validator

__all__ = [
    "answer_rule",
    "benchmark_sources",
    "check_benchmarks",
    "compare",
    "evaluate",
    "list_benchmarks",
    "report",
    "rescore",
    "validator",
]

CONTROLS = ("none", "zero", "mean", "noise", "shuffle", "pause", "text")


def list_benchmarks() -> list[dict[str, Any]]:
    """Return one row per benchmark: name, title, splits, licence, source."""
    rows = []
    for name in benchmark_names():
        benchmark = find_benchmark(name)
        rows.append(
            {
                "benchmark": name,
                "title": benchmark.title,
                "splits": ", ".join(benchmark.splits),
                "licence": benchmark.licence,
                "source": benchmark.source,
            }
        )
    return rows


def benchmark_sources(name: str) -> list[SourceFile]:
    """Return the official files of a benchmark, for `latentreason data get`.

    Raises:
        UserError: no benchmark has this name.
    """
    return [
        SourceFile(str(split.file), split.url, split.sha256)
        for split in find_benchmark(name).splits.values()
        if split.url is not None
    ]


def evaluate(
    checkpoint: str,
    benchmark: str,
    *,
    out: str | Path,
    split: str | None = None,
    data: str | None = None,
    root: str | None = None,
    batch_size: int = 32,
    limit: int | None = None,
    thought_mode: str = "normal",
    num_thoughts: int | None = None,
    num_steps: int | None = None,
    num_samples: int = 1,
    max_new_tokens: int | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    controls: bool = False,
    sweep: str | None = None,
    extractor: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    show_progress: bool = True,
    measure_latency: bool = True,
    model: Any | None = None,
    endpoint: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Score a checkpoint on a benchmark.

    Args:
        checkpoint: a latentreason checkpoint, any causal LM directory, or the address of an
            OpenAI-compatible endpoint ("http://localhost:8000/v1").
        benchmark: a name that `latentreason ls` prints, or a benchmark YAML file.
        out: the folder for records and summary; a run that was killed goes on from what is there.
        split: None takes the benchmark's default split.
        data: a file in the benchmark's own schema, scored instead of the split's file.
        root: folder of the data files; None takes LATENTREASON_DATA, then the download cache.
        batch_size: questions per generate call.
        limit: score only the first so many questions.
        thought_mode, num_thoughts, num_steps, num_samples, max_new_tokens, temperature, top_p,
            seed: arguments of `generate`; see `latentreason_eval.sample.Sampling`.
        controls: score the model's other thought modes as well. A converted checkpoint has no mean
            thoughts; they are then measured on the split, and the result says so in `thought_mean`.
        sweep: "thoughts=0..8" or "steps=5,10,30": accuracy against compute.
        extractor: name of an answer rule that replaces the benchmark's own.
        device, dtype: where and how the weights are held.
        show_progress: draw a progress bar on standard error.
        measure_latency: ask nine questions one at a time after each condition, for the column
            `seconds_per_question`; off, it has the time in the batch.
        model: a loaded model, used instead of loading `checkpoint`.
        endpoint: for an address, the other fields of `latentreason_eval.backends.http.Endpoint`:
            `model`, `api`, `instruction`, `concurrency`, `timeout`, `retries`, `backoff`, ...

    Returns:
        The main condition's row (`accuracy`, `ci_low`, `ci_high`, `n`, `tokens`, `thoughts`,
        `seconds_per_question`, ...) with `controls`, `sweep` and `baselines`: lists of rows.

    Raises:
        UserError: naming the argument that cannot be used.
    """
    chosen = find_benchmark(benchmark)
    sampling = Sampling(
        num_samples=num_samples,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        thought_mode=thought_mode,
        num_thoughts=num_thoughts,
        num_steps=num_steps,
    )
    for name, value in (("batch_size", batch_size), ("limit", limit)):
        if value is not None and value < 1:
            raise UserError(f"{name}: {value} is too small; give 1 or more")
    sweeps = parse_sweep(sweep)
    rule = answer_rule(chosen, extractor)
    if split is not None:
        chosen.split(split)
    is_address = checkpoint.startswith(("http://", "https://"))
    if is_address:
        _check_address_arguments(sampling, controls, sweep)
    else:
        check_thought_mode(thought_mode)
        if endpoint:
            raise UserError("endpoint: it would be ignored, since the checkpoint is no address")
        if model is None:
            check_checkpoint(checkpoint)
    loaded = load_split(chosen, split, data=data, root=root)
    modes: list[str] = []
    backend: Backend
    if is_address:
        backend = _http_backend(checkpoint, endpoint or {})
    else:
        backend = _model_backend(checkpoint, batch_size, device, dtype, model)
        model = backend.model
        check_thought_mode(thought_mode, model)
        wanted = [value for value in (num_thoughts, *sweeps.get("thoughts", [])) if value]
        steps = [value for value in (num_steps, *sweeps.get("steps", [])) if value]
        check_compute(model, wanted, steps)
        modes = [mode for mode in CONTROLS if controls and mode in model.thought_modes]
    evaluation = Evaluation(
        backend,
        chosen,
        loaded,
        rule,
        Path(out),
        limit=limit,
        show_progress=show_progress,
        # An endpoint's requests are timed one by one as it is.
        measure_latency=measure_latency and not is_address,
    )
    # Only now: the evaluation has noted which weights it scores.
    notes: dict[str, Any] = {}
    if model is not None and "mean" in (thought_mode, *modes) and model.lacks_statistics():
        model.statistics(loaded.examples)
        notes["thought_mean"] = "of questions of this split: the checkpoint holds none"
    rows = [evaluation.condition(item) for item in conditions(sampling, modes, sweeps)]
    summary = {
        **rows[0],
        **notes,
        "controls": [row for row in rows if row["kind"] == "control"],
        "sweep": [row for row in rows if row["kind"] == "sweep"],
        "baselines": evaluation.baselines(),
    }
    evaluation.finish(summary)
    return summary


def _check_address_arguments(sampling: Sampling, controls: bool, sweep: str | None) -> None:
    """Refuse what an endpoint cannot be told in OpenAI's words, instead of ignoring it."""
    unusable = {
        "thought_mode": sampling.thought_mode != "normal",
        "num_thoughts": sampling.num_thoughts is not None,
        "num_steps": sampling.num_steps is not None,
        "controls": controls,
        "sweep": bool(sweep),
    }
    for name, given in unusable.items():
        if given:
            raise UserError(
                f"{name}: an endpoint does not understand it; score the checkpoint in this "
                "process, or pass the server's own field through endpoint extra"
            )


def _http_backend(url: str, fields: Mapping[str, Any]) -> Backend:
    from latentreason_eval.backends.http import Endpoint, HttpBackend

    names = [item.name for item in dataclasses.fields(Endpoint)]
    for name in fields:
        check_choice("endpoint", name, names)
    return HttpBackend(Endpoint(url=url, **fields))


def _model_backend(
    checkpoint: str, batch_size: int, device: str | None, dtype: str | None, model: Any | None
) -> ModelBackend:
    if model is None:
        import latentreason

        model = latentreason.load(checkpoint, device=rank_device(device), dtype=dtype)
    return ModelBackend(model, batch_size, checkpoint)


def answer_rule(benchmark: Benchmark, extractor: str | None) -> AnswerRule:
    """Return the benchmark's own rule, or the one called `extractor`."""
    if extractor is None:
        return benchmark.rule()
    return named_rule(extractor, kind=benchmark.answer)

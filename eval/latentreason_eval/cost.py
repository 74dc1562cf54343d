"""What an answer costs: seconds alone, questions per second in batches, FLOPs, peak memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from latentreason_eval.record import EvalRecord
from latentreason_eval.sample import Backend, Question, Sampling
from latentreason_eval.summary import mean

LATENCY_QUESTIONS = 8


def latency(
    backend: Backend,
    questions: Sequence[Question],
    sampling: Sampling,
    count: int = LATENCY_QUESTIONS,
) -> float | None:
    """Return the median seconds per question, asked one at a time; the first one only warms up.

    The questions are taken evenly from `questions`. None where there are none.
    """
    if not questions:
        return None
    step = max(1, len(questions) // count)
    chosen = list(questions[::step][:count])
    times = []
    for question in [chosen[0], *chosen]:
        begin = time.perf_counter()
        list(backend.answer([question], sampling))
        times.append(time.perf_counter() - begin)
    times = sorted(times[1:])
    middle = len(times) // 2
    return times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2


def flops_per_sample(num_parameters: int, record: Mapping[str, float]) -> float:
    """Estimate the floating-point operations of one answer.

    Two per parameter and position (Kaplan et al. 2020, eq. 2.2, without the attention term):
    prompt, thoughts and visible tokens pass once; a denoising method passes its latent positions
    once per step.
    """
    latents = record["thoughts"] * max(1.0, record["steps"])
    return 2.0 * num_parameters * (record["prompt_tokens"] + latents + record["tokens"])


def reset_peak_memory() -> None:
    """Begin to measure anew, where that is possible: a process's resident peak only rises."""
    import sys

    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()


def peak_memory() -> int:
    """Return the peak memory of this process so far in bytes: GPU memory where there is a GPU."""
    import resource
    import sys

    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            return int(torch.cuda.max_memory_allocated())
    # Linux counts in kilobytes, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cost_columns(
    records: Sequence[EvalRecord],
    summary: Mapping[str, Any],
    num_parameters: int | None,
    parallel: int = 1,
) -> dict[str, Any]:
    """Return the cost columns that follow from records: throughput, FLOPs, memory.

    Args:
        records: of one condition.
        summary: its row, for the mean tokens.
        num_parameters: of the model; None where nobody knows (an endpoint).
        parallel: calls and ranks at the same time.
    """
    answered = [record for record in records if record.error is None]
    per_sample = mean([record.seconds for record in answered])
    per_question = per_sample * max(1.0, len(answered) / max(1, summary["n"]))
    return {
        "questions_per_second": parallel / per_question if per_question else None,
        "seconds_in_batch": per_question or None,
        "flops_per_sample": (
            flops_per_sample(num_parameters, summary) if num_parameters is not None else None
        ),
        "peak_memory_bytes": peak_memory(),
    }

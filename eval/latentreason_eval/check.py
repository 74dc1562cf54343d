"""`latentreason data check`: is a benchmark's file whole, and do its own golds score as they must?

Every gold answer is written as a model might write it, in each form that the benchmark's extraction
chain looks for, and judged: for its own question it has to be right, for another question, whose
gold the verifier tells apart, wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from latentreason.data.example import Example
from latentreason.errors import UserError
from latentreason_eval.benchmark import Benchmark, benchmark_names, find_benchmark
from latentreason_eval.rules import AnswerRule
from latentreason_eval.sources import LoadedSplit, at_hand, load_split

FORMS: dict[str, str] = {
    "boxed": "So we are done: \\boxed{GOLD}",
    "hashes": "One step, then another.\n#### GOLD",
    "closing": "One step, then another. The answer is GOLD.",
    "answer_tag": "<answer>GOLD</answer>",
    "last_line": "GOLD",
    "everything": "GOLD",
}
DONOR_TRIES = 50


def check_benchmarks(
    names: Sequence[str] | None = None,
    *,
    data: str | None = None,
    root: str | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Check every split at hand of the named benchmarks.

    Args:
        names: benchmarks; None takes all, and leaves out splits whose files are not at hand.
        data: check this file, in the schema of the one benchmark named, instead.
        root: folder of the data files; None takes LATENTREASON_DATA, then the download cache.
        report: called with every row as it is ready.

    Returns:
        Rows of `benchmark`, `split`, `n`, `gold_accuracy`, `wrong_accuracy` (None where no two
        golds differ), `excluded`, and `failures`: up to five ids that did not score as they must.

    Raises:
        UserError: an unknown name, or a named benchmark of which nothing is at hand.
        DataError: a file with a row that cannot be read.
    """
    if data is not None and (names is None or len(names) != 1):
        raise UserError("data: name exactly one benchmark whose schema the file has")
    rows = []
    for name in benchmark_names() if names is None else names:
        benchmark = find_benchmark(name)
        for loaded in _splits(benchmark, data, root, required=names is not None):
            rows.append(check_split(benchmark, loaded))
            if report is not None:
                report(rows[-1])
    return rows


def check_split(benchmark: Benchmark, loaded: LoadedSplit) -> dict[str, Any]:
    """Return one row; see `check_benchmarks`."""
    rule, places = benchmark.rule(), benchmark.chain().places
    examples = loaded.examples
    rng = random.Random(f"check:{benchmark.name}:{loaded.name}")
    failures: list[str] = []
    right = foreign = told_apart = 0
    for index, example in enumerate(examples):
        if all(
            rule.judge(t, example.answer, _meta(benchmark, example)).correct
            for t in outputs(example.answer, places)
        ):
            right += 1
        else:
            failures.append(example.meta["id"])
        donor = _donor(index, examples, rule, benchmark, rng)
        if donor is None:
            continue
        told_apart += 1
        if any(
            rule.judge(t, example.answer, _meta(benchmark, example)).correct
            for t in outputs(donor, places)
        ):
            foreign += 1
            failures.append(example.meta["id"])
    return {
        "benchmark": benchmark.name,
        "split": loaded.name,
        "n": len(examples),
        "gold_accuracy": right / len(examples),
        "wrong_accuracy": foreign / told_apart if told_apart else None,
        "excluded": loaded.excluded,
        "failures": failures[:5],
    }


def outputs(gold: str, places: Sequence[str]) -> Iterator[str]:
    """Yield the gold answer as model output, once for every place of a chain."""
    for place in places:
        yield FORMS[place].replace("GOLD", gold)


def _donor(
    index: int,
    examples: Sequence[Example],
    rule: AnswerRule,
    benchmark: Benchmark,
    rng: random.Random,
) -> str | None:
    """A gold of another question that is not right here by the verifier alone, or None."""
    own = examples[index]
    for _ in range(DONOR_TRIES):
        other = examples[rng.randrange(len(examples))].answer
        if not rule.verifier.correct(other, own.answer, _meta(benchmark, own)):
            return other
    return None


def _meta(benchmark: Benchmark, example: Example) -> dict[str, Any]:
    """What a record would keep: the check must not see more than a scored run."""
    return {name: example.meta[name] for name in benchmark.keep if name in example.meta}


def _splits(
    benchmark: Benchmark, data: str | None, root: str | None, required: bool
) -> Iterator[LoadedSplit]:
    if data is not None:
        yield load_split(benchmark, data=data, root=root)
        return
    here = [name for name, split in benchmark.splits.items() if at_hand(split, root)]
    if required and not here:
        load_split(benchmark, root=root)
    for name in here:
        yield load_split(benchmark, name, root=root)

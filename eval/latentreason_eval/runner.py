"""The loop: what is left to do, by length, shared over ranks, scored and written as it comes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from latentreason.data.example import Example
from latentreason_eval import distributed
from latentreason_eval.record import EvalRecord, judge
from latentreason_eval.rules import AnswerRule
from latentreason_eval.sample import Backend, Question, Sampling
from latentreason_eval.store import RunFolder


class Progress(Protocol):
    """Told about every scored group."""

    def __call__(self, records: Sequence[EvalRecord]) -> None:
        """Count these records."""


def run(
    backend: Backend,
    examples: Sequence[Example],
    rule: AnswerRule,
    sampling: Sampling,
    out: str | Path,
    settings: Mapping[str, Any],
    *,
    limit: int | None = None,
    keep: Sequence[str] = (),
    show_progress: bool = True,
) -> tuple[list[EvalRecord], int]:
    """Score examples into a folder.

    Questions whose samples are all in the folder already are not asked again. Under torchrun every
    rank answers its share, rank 0 merges; all ranks return the same.

    Args:
        backend: who answers.
        examples: the whole split, so that rows and donors do not depend on `limit`.
        rule: extraction and verification.
        sampling: how answers are drawn.
        out: the folder.
        settings: what has to be the same for the folder to be continued.
        limit: score only the first so many rows.
        keep: keys of `Example.meta` that go into the records.
        show_progress: draw a bar with the accuracy so far on standard error.

    Returns:
        All records, sorted by row and sample, and how many questions were asked this time.

    Raises:
        UserError: the folder holds an evaluation with other settings.
    """
    rank, size = distributed.rank_and_size()
    distributed.start()
    folder = RunFolder(out, rank)
    if rank == 0:
        folder.open(settings)
    distributed.barrier()
    folder.open(settings)
    rows = range(len(examples) if limit is None else min(limit, len(examples)))
    done = folder.finished(sampling.num_samples)
    # All ranks have to see the same list before the first of them writes to it.
    distributed.barrier()
    left = [question for question in questions(examples, sampling.seed) if question.index in rows]
    left = [question for question in left if question.index not in done]
    left.sort(key=lambda question: (-len(question.text), question.index))
    mine = distributed.share(left, rank, size)
    with _progress(len(rows), show_progress and rank == 0, size) as count:
        count([record for index in rows for record in done.get(index, [])])
        for samples in backend.answer(mine, sampling):
            records = [judge(examples[s.index], s, rule, keep) for s in samples]
            folder.append(records)
            count(records)
    distributed.barrier()
    if rank == 0:
        folder.merge(sampling.num_samples)
    distributed.barrier()
    return [record for record in folder.records() if record.index in rows], len(left)


def questions(examples: Sequence[Example], seed: int) -> list[Question]:
    """Return the questions with their donors: a seeded permutation without fixed points."""
    donors = derangement(len(examples), seed)
    return [
        Question(
            index,
            example.question,
            examples[donors[index]].question if donors else None,
            len(example.steps),
        )
        for index, example in enumerate(examples)
    ]


def derangement(count: int, seed: int) -> list[int]:
    """Return a random cyclic permutation: nothing stays in its place. Empty for fewer than two."""
    if count < 2:
        return []
    order = list(range(count))
    random.Random(f"donors:{seed}").shuffle(order)
    places = [0] * count
    for here, there in zip(order, order[1:] + order[:1], strict=True):
        places[here] = there
    return places


@contextmanager
def _progress(total: int, shown: bool, ranks: int) -> Iterator[Progress]:
    if not shown:
        yield lambda records: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    right = scored = 0
    seen: set[int] = set()
    note = f" (rank 0 of {ranks})" if ranks > 1 else ""
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task(f"scoring{note}", total=total)

        def count(records: Sequence[EvalRecord]) -> None:
            nonlocal right, scored
            seen.update(record.index for record in records)
            scored += sum(record.correct is not None for record in records)
            right += sum(bool(record.correct) for record in records)
            accuracy = f"{right / scored:.1%}" if scored else "-"
            bar.update(task, completed=len(seen), description=f"accuracy {accuracy}{note}")

        yield count

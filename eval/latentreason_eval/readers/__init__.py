"""Readers of files that only benchmarks have; the others are in `latentreason.data`."""

from __future__ import annotations

from latentreason.data.readers.base import Reader
from latentreason_eval.readers.arithmetic import INPUT_TARGET, SVAMP
from latentreason_eval.readers.choice import BBH, BIG_BENCH, LOGIC_LLM
from latentreason_eval.readers.competition import OLYMPIADBENCH, QUESTION_ANSWER, THEOREMQA
from latentreason_eval.readers.puzzles import GAME24, SUDOKU

READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        SVAMP,
        INPUT_TARGET,
        BBH,
        BIG_BENCH,
        LOGIC_LLM,
        QUESTION_ANSWER,
        OLYMPIADBENCH,
        THEOREMQA,
        GAME24,
        SUDOKU,
    )
}

"""GSM8k-Aug text (2405.14838): `question||<<eq>> <<eq>> #### answer`, one example per line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader
from latentreason.data.rows import fail, text_lines

# Blanks end an equation only outside its brackets.
_STEP = re.compile(r"<<.*?>>|\S+")


def read_gsm8k_aug(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield the examples; a line may have no equation, but it has to have an answer."""
    for index, (line, text) in enumerate(text_lines(path)):
        question, bars, rest = text.partition("||")
        chain, mark, answer = rest.rpartition("####")
        if not bars:
            fail(path, line, 'no "||" between question and equations')
        if not mark or not answer.strip():
            fail(path, line, 'no "#### answer" at the end of the line')
        if not question.strip():
            fail(path, line, 'no question before "||"')
        yield Example(question, tuple(_STEP.findall(chain)), answer.strip(), {"id": str(index)})


GSM8K_AUG = Reader(
    name="gsm8k_aug",
    summary="GSM8k-Aug text: question||<<eq>> <<eq>> #### answer",
    options=NoOptions,
    read=read_gsm8k_aug,
)

"""Readers of data files: the registry by name."""

from __future__ import annotations

from latentreason.data.readers.aqua import AQUA
from latentreason.data.readers.base import Reader
from latentreason.data.readers.countdown import COUNTDOWN
from latentreason.data.readers.generic import JSON
from latentreason.data.readers.gsm8k import GSM8K
from latentreason.data.readers.gsm8k_aug import GSM8K_AUG
from latentreason.data.readers.hub import DATASETS
from latentreason.data.readers.multiplication import MULTIPLICATION
from latentreason.data.readers.prontoqa import PRONTOQA
from latentreason.data.readers.prosqa import PROSQA
from latentreason.data.readers.prosqa_symbolic import PROSQA_SYMBOLIC
from latentreason.data.readers.strategyqa import STRATEGYQA

READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        JSON,
        PROSQA,
        PROSQA_SYMBOLIC,
        PRONTOQA,
        GSM8K_AUG,
        GSM8K,
        AQUA,
        STRATEGYQA,
        MULTIPLICATION,
        COUNTDOWN,
        DATASETS,
    )
}

__all__ = ["READERS", "Reader"]

"""Lay out and collate micro-batches, in this process or in workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from latentreason.data.augment import Augment
from latentreason.data.example import Example
from latentreason.modeling import LatentModel
from latentreason.training.order import FILLER, layout_rng


class StageDataset(Dataset):
    """A data set's examples as one stage and epoch lay them out."""

    def __init__(
        self,
        examples: Sequence[Example],
        model: LatentModel,
        seed: int,
        epoch: int,
        stage: int,
        augment: Augment | None = None,
    ) -> None:
        self.examples = examples
        self.model = model
        self.seed, self.epoch, self.stage = seed, epoch, stage
        self.augment = augment

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        place = 0 if index == FILLER else index
        rng = layout_rng(self.seed, self.epoch, place)
        example = self.examples[place]
        if self.augment is not None:
            example = self.augment(example, rng)
        return index, self.model.layout(example, self.stage, rng)

    def collate(self, items: list[tuple[int, Any]]) -> dict[str, Any]:
        """Collate with the method's own collator."""
        return self.model.collate([row for _, row in items], [index for index, _ in items])


def micro_batch_stream(
    dataset: StageDataset, batches: list[list[int]], num_workers: int
) -> Iterator[dict[str, Any]]:
    """Collated micro-batches in the given order."""
    return iter(
        DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=dataset.collate,
            num_workers=num_workers,
            # The loader draws a seed when it starts; from the global generator that draw would make a
            # resumed run's dropout differ.
            generator=torch.Generator(),
        )
    )


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Move a batch's tensors."""
    return {
        key: value.to(device, non_blocking=True) if torch.is_tensor(value) else value
        for key, value in batch.items()
    }

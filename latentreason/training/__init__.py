"""The training loop: phases, exact resume, one loss contract for every strategy."""

from latentreason.training.train import train

__all__ = ["train"]

"""Attention under structured masks: four integers per token instead of a mask.

from latentreason_kernels import attention, layouts
out = attention(q, k, v, layouts.causal(q.shape[2]))
"""

from latentreason_kernels.attention import attention
from latentreason_kernels.describe import describe, visible_pairs
from latentreason_kernels.merge import merge_partials
from latentreason_kernels.tokens import PADDING, Tokens
from latentreason_kernels.visibility import Visibility

__all__ = [
    "PADDING",
    "Tokens",
    "Visibility",
    "attention",
    "describe",
    "merge_partials",
    "visible_pairs",
]

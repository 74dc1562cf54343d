"""A prompt and its queries.

Shapes: B rows, P tokens of the longest prompt, Q queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from latentreason.columns import IGNORED
from latentreason.data.example import Example
from latentreason.errors import UserError
from latentreason.prompt import Prompt
from latentreason_kernels.tokens import PADDING, Tokens
from latentreason_kernels.visibility import Visibility


@dataclass(frozen=True)
class Queries:
    """Token ids of a prompt, of the nodes asked for, and of a child of each."""

    prompt: list[int]
    nodes: list[int]
    children: list[int]


def lay_out(example: Example, count: int, prompt: Prompt, rng: np.random.Generator) -> Queries:
    """Draw `count` nodes that have children, with replacement, and one child of each.

    Raises:
        UserError: the example has no graph, or a node is not one token.
    """
    if "edges" not in example.meta:
        raise UserError(
            f"data: example {example.meta['id']} has no graph; read it with prosqa_symbolic, or "
            "generate prosqa with form: symbolic"
        )
    children: dict[int, list[int]] = {}
    for parent, child in example.meta["edges"]:
        children.setdefault(parent, []).append(child)
    parents = sorted(children)
    nodes = [parents[place] for place in rng.integers(len(parents), size=count)]
    answers = [children[node][int(rng.integers(len(children[node])))] for node in nodes]
    return Queries(
        prompt.question_ids(example.question),
        [_token(prompt, node) for node in nodes],
        [_token(prompt, node) for node in answers],
    )


def _token(prompt: Prompt, node: int) -> int:
    ids = prompt.step_ids(str(node))
    if len(ids) != 1:
        raise UserError(
            f"method.prompt.step: node {node} becomes {len(ids)} tokens and has to be one; use "
            "model.tokenizer.kind=word and method.prompt.step={step}"
        )
    return ids[0]


def collate(rows: Sequence[Queries], index: Sequence[int], pad: int) -> dict[str, Any]:
    """Prompts padded on the right, then the queries, all at the position after their prompt.

    Returns:
        input_ids, position_ids (B, P + Q); labels (B, Q), IGNORED for fillers; visibility.
    """
    longest, count = max(len(row.prompt) for row in rows), len(rows[0].nodes)
    shape = (len(rows), longest + count)
    input_ids = torch.full(shape, pad)
    doc = torch.full(shape, PADDING)
    position = torch.zeros(shape, dtype=torch.long)
    labels = torch.full((len(rows), count), IGNORED)
    for b, row in enumerate(rows):
        length = len(row.prompt)
        input_ids[b, :length], input_ids[b, longest:] = (
            torch.tensor(row.prompt),
            torch.tensor(row.nodes),
        )
        doc[b, :length], doc[b, longest:] = 0, 0
        position[b, :length], position[b, longest:] = torch.arange(length), length
        if index[b] >= 0:
            labels[b] = torch.tensor(row.children)
    # A group of its own hides a query from the others; what it sees is public: the prompt.
    group = torch.zeros(shape, dtype=torch.long)
    group[:, longest:] = torch.arange(1, count + 1)
    tokens = Tokens(doc, position, position, group)
    return {
        "input_ids": input_ids,
        "position_ids": position,
        "labels": labels,
        "visibility": Visibility.of(tokens),
        "num_tokens": int((doc == 0).sum()),
    }

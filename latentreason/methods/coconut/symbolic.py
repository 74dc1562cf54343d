"""One symbolic graph at one stage: one supervised token (2505.12514 and its released code).

Stage i < L of a question with L hops: the prompt, i thoughts, and the last of them predicts a node of
hop i + 1. Stage >= L: L thoughts, the answer's mark, and the mark predicts the target.
"""

from __future__ import annotations

import numpy as np

from latentreason.columns import IGNORED, Row
from latentreason.data.example import Example
from latentreason.data.graph import adjacency, distances, num_nodes_of
from latentreason.errors import UserError
from latentreason.methods.coconut.config import Config
from latentreason.methods.coconut.curriculum import draw_stage
from latentreason.methods.coconut.layout import thought_ids
from latentreason.prompt import Prompt


def lay_out_graph(
    example: Example, stage: int, prompt: Prompt, config: Config, rng: np.random.Generator
) -> Row:
    """Question, thoughts, and the token that is supervised."""
    hops = len(example.steps)
    _check(example, config)
    stage = draw_stage(stage, hops, config, rng)
    question = prompt.question_ids(example.question)
    num_thoughts = min(stage, hops)
    _, slots, mark = thought_ids(num_thoughts, config)
    if stage < hops:
        nodes = next_nodes(example, stage, config.objective)
        mark, target = [], node_id(prompt, nodes[int(rng.integers(len(nodes)))])
    else:
        target = node_id(prompt, int(example.answer))
    ids = [*question, *slots, *mark, target]
    return Row(
        ids=ids,
        labels=[IGNORED] * (len(ids) - 1) + [target],
        first_thought=len(question) if num_thoughts else None,
        num_thoughts=num_thoughts,
    )


def next_nodes(example: Example, stage: int, objective: str) -> list[int]:
    """The nodes that a thought of `stage` may name: those of hop stage + 1.

    "on_path" are the ones on some shortest path to the target, "frontier" all whose distance from the
    root is stage + 1 (Coconut-BFS).
    """
    if objective == "on_path":
        return example.meta["neighbor_k"][str(stage + 1)]
    children, _ = adjacency(num_nodes_of(example.meta), example.meta["edges"])
    reached = distances(children, example.meta["root"])
    return [node for node, hop in reached.items() if hop == stage + 1]


def node_id(prompt: Prompt, node: int) -> int:
    """The token of a node.

    Raises:
        UserError: the tokenizer does not hold it as one token.
    """
    ids = prompt.step_ids(str(node))
    if len(ids) != 1 or ids[0] == prompt.tokenizer.unk_token_id:
        raise UserError(
            f"method.objective: node {node} is {len(ids)} tokens of this tokenizer, or unknown to it, "
            "and exactly one is supervised; use model.tokenizer.kind=word and method.prompt.step={step}"
        )
    return ids[0]


def _check(example: Example, config: Config) -> None:
    if "neighbor_k" not in example.meta or "edges" not in example.meta:
        raise UserError(
            f"method.objective: {config.objective} needs graphs; read them with prosqa_symbolic, or "
            "generate prosqa with form: symbolic"
        )
    if len(example.steps) > config.max_stage:
        raise UserError(
            f"method.max_stage: {config.max_stage} is less than the {len(example.steps)} hops of "
            f"example {example.meta['id']}; raise it, or read shorter paths (path_lengths)"
        )

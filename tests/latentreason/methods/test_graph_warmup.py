"""The warm-up on symbolic graphs: each query sees the prompt and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from runs import tree
from symbolic_graphs import PROMPT, build_symbolic, graphs, words_of
from tiny import assert_close, exact, example, gradients, loss_of

from latentreason.recipes import build_recipe


def rng(seed=0):
    return np.random.default_rng(seed)


def test_queries_are_nodes_with_children_and_targets_their_children():
    model = build_symbolic(method="graph_warmup", queries=32)
    for item in graphs():
        row = model.layout(item, 0, rng())
        pairs = zip(words_of(model, row.nodes), words_of(model, row.children), strict=True)
        asked = [[int(node), int(child)] for node, child in pairs]
        assert len(asked) == 32
        assert all(pair in item.meta["edges"] for pair in asked)
        assert row.prompt == model.prompt.question_ids(item.question)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_loss_is_that_of_every_query_alone_behind_its_prompt(family):
    model = exact(build_symbolic(family, "graph_warmup", queries=5)).eval()
    rows = [model.layout(item, 0, rng(n)) for n, item in enumerate(graphs(3))]
    batch = model.collate(rows, [0, 1, 2])
    assert batch["counts"] == {"child": 15}
    loss = loss_of(model, batch)
    loss.backward()
    ours = {"loss": loss.detach(), **gradients(model)}
    slow = torch.zeros((), dtype=torch.float64)
    for row in rows:
        for node, child in zip(row.nodes, row.children, strict=True):
            logits = model.language_model(input_ids=torch.tensor([[*row.prompt, node]])).logits
            slow = slow + F.cross_entropy(logits[0, -1:], torch.tensor([child]), reduction="sum")
    slow.backward()
    assert_close(ours, {"loss": slow.detach(), **gradients(model)}, 1e-9)


def test_fillers_count_nothing():
    model = exact(build_symbolic(method="graph_warmup", queries=3)).eval()
    rows = [model.layout(item, 0, rng(n)) for n, item in enumerate(graphs(2))]
    batch = model.collate([*rows, rows[0]], [0, 1, -1])
    assert batch["counts"] == {"child": 6}
    alone = loss_of(model, model.collate(rows, [0, 1]))
    assert loss_of(model, batch).item() == pytest.approx(alone.item(), abs=1e-9)


def test_a_loaded_checkpoint_computes_the_same_loss(tmp_path):
    model = build_symbolic(method="graph_warmup").eval()
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).eval()
    batch = model.collate([model.layout(graphs(1)[0], 0, rng())], [0])
    assert torch.equal(loss_of(model, batch), loss_of(loaded, batch))


def test_text_is_refused():
    model = build_symbolic(method="graph_warmup")
    with pytest.raises(ValueError, match="has no graph"):
        model.layout(example(3, 2), 0, rng())


def test_every_arm_starts_from_the_run_folder_of_a_warm_up(tmp_path):
    from latentreason.training import train
    from latentreason.training.train import build_model

    options = {"form": "symbolic", "path_lengths": [3, 4]}
    own = {"objective": "on_path", "markers": False, "max_new_tokens": 1, "max_stage": 4}
    common = {
        "data": {"train": {"generator": "prosqa", "size": 8, "options": options,
                           "augment": "edge_order"}},
        "train": {"batch_size": 4, "phases": [{"stage": 0, "steps": 2}]},
    }  # fmt: skip

    def arm(method, model, settings):
        made = tree(tmp_path, f"run.name={method}", family="llama", method=method) | common
        made["method"] = {"name": method, "prompt": PROMPT, **settings}
        return build_recipe(made | {"model": model})

    base = tree(tmp_path, "model.config.max_position_embeddings=256", family="llama")["model"]
    warm = train(arm("graph_warmup", base, {"queries": 4}))
    tables = []
    for method, settings in {"coconut": own, "pause": own, "cot": {}, "no_cot": {}}.items():
        recipe = arm(method, {"name": str(warm.folder)}, settings)
        model = build_model(recipe, [])
        assert model.causal_lm.config._attn_implementation == "sdpa"
        tables.append(model.get_input_embeddings().weight[:30])
        assert train(recipe).state.finished
    assert all(torch.equal(table, tables[0]) for table in tables)

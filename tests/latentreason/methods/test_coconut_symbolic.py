"""The symbolic set-up of "Reasoning by superposition" (2505.12514): layout, targets, gold thoughts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from slow_coconut import row_loss
from symbolic_graphs import build_symbolic, chain, graphs, words_of
from tiny import assert_close, exact, gradients, loss_of

from latentreason.data.augment import AUGMENTATIONS

EXACT = 1e-9


def rng(seed=0):
    return np.random.default_rng(seed)


def test_one_token_is_supervised_and_it_is_a_node_of_the_next_layer():
    model = build_symbolic()
    for example in graphs():
        hops = len(example.steps)
        question = model.prompt.question_ids(example.question)
        for stage in range(6):
            row = model.layout(example, stage, rng(stage))
            supervised = [place for place, label in enumerate(row.labels) if label != -100]
            assert supervised == [len(row.ids) - 1]
            thoughts = min(stage, hops)
            assert row.num_thoughts == thoughts
            assert row.first_thought == (len(question) if thoughts else None)
            slots = [model.config.latent_token_id] * thoughts
            (target,) = words_of(model, row.ids[-1:])
            if stage < hops:
                assert row.ids[:-1] == question + slots
                assert int(target) in example.meta["neighbor_k"][str(stage + 1)]
            else:
                assert words_of(model, row.ids[len(question + slots) : -1]) == ["###"]
                assert target == example.answer


def test_targets_are_drawn_uniformly_from_the_layer():
    model = build_symbolic(objective="frontier")
    example = max(graphs(40), key=lambda e: len(frontier(e, 2)))
    layer, count = sorted(frontier(example, 2)), 3000
    assert len(layer) >= 3
    found = [
        int(words_of(model, model.layout(example, 1, rng(seed)).ids[-1:])[0])
        for seed in range(count)
    ]
    share = np.array([found.count(node) / count for node in layer])
    expected = 1 / len(layer)
    assert sorted(set(found)) == layer
    assert (np.abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / count)).all()


def frontier(example, hop):
    """Nodes at distance `hop`, by the obvious breadth-first search."""
    seen, layer = {example.meta["root"]}, {example.meta["root"]}
    for _ in range(hop):
        layer = {c for p, c in example.meta["edges"] if p in layer} - seen
        seen |= layer
    return layer


def test_the_breadth_first_target_is_a_node_of_the_true_frontier():
    model = build_symbolic(objective="frontier")
    for example in graphs():
        for stage in range(len(example.steps)):
            found = {int(words_of(model, model.layout(example, stage, rng(s)).ids[-1:])[0])
                     for s in range(60)}  # fmt: skip
            assert found <= frontier(example, stage + 1)
            assert set(example.meta["neighbor_k"][str(stage + 1)]) <= frontier(example, stage + 1)


@pytest.mark.parametrize("length", [1, 3, 4])
def test_on_a_chain_the_breadth_first_target_is_the_on_path_target(length):
    on_path, bfs = build_symbolic(), build_symbolic(objective="frontier")
    for stage in range(length + 2):
        left, right = (m.layout(chain(length), stage, rng()) for m in (on_path, bfs))
        assert left == right


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_batch_of_different_hops_equals_its_rows_one_by_one(family):
    model = exact(build_symbolic(family)).eval()
    three = next(e for e in graphs() if len(e.steps) == 3)
    four = next(e for e in graphs() if len(e.steps) == 4)
    items = [three, four, three, chain(2)]
    layouts = [model.layout(e, s, rng()) for e, s in zip(items, (4, 4, 1, 4), strict=True)]
    assert [row.num_thoughts for row in layouts] == [3, 4, 1, 2]
    batch = model.collate(layouts, range(4))
    assert batch["counts"] == {"answer": 4}
    loss = loss_of(model, batch)
    loss.backward()
    together = {"loss": loss.detach(), **gradients(model)}
    slow = sum(row_loss(model, row) for row in layouts)
    slow.backward()
    assert_close(together, {"loss": slow.detach(), **gradients(model)}, EXACT)


def test_mixing_goes_up_to_the_scheduled_stage_or_the_hops():
    model = build_symbolic(stage_mixing=1.0)
    example = next(e for e in graphs() if len(e.steps) == 3)
    for stage, expected in ((0, {0}), (2, {0, 1, 2}), (4, {0, 1, 2, 3})):
        found = {model.layout(example, stage, rng(seed)).num_thoughts for seed in range(120)}
        assert found == expected


def test_pause_as_thought_runs_the_same_layouts():
    coconut, pause = build_symbolic(), build_symbolic(method="pause")
    for example in graphs(4):
        for stage in range(5):
            left, right = (m.layout(example, stage, rng()) for m in (coconut, pause))
            assert left == right


def test_thoughts_may_be_given_for_every_prompt():
    model = exact(build_symbolic()).eval()
    model.set_stage(4)
    examples = graphs(6)
    questions = [example.question for example in examples]
    counts = [len(example.steps) for example in examples]
    assert len(set(counts)) == 2
    assert [model.gold_num_thoughts(count) for count in counts] == counts
    together = model.generate(questions, num_thoughts=counts, num_samples=2, temperature=1.0)
    assert [g.prompt_index for g in together] == [n // 2 for n in range(12)]
    for number, generation in enumerate(together):
        place, sample = divmod(number, 2)
        alone = model.generate(
            [questions[place]], num_thoughts=counts[place], num_samples=2, temperature=1.0,
            ids=[place],
        )[sample]  # fmt: skip
        assert generation.token_ids == alone.token_ids
        assert generation.num_thoughts == counts[place]
    with pytest.raises(ValueError, match="num_thoughts: 1 numbers for 6 prompts"):
        model.generate(questions, num_thoughts=[3])


def test_the_answer_is_read_behind_its_mark():
    model = exact(build_symbolic()).eval()
    model.set_stage(4)
    example = graphs(1)[0]
    generation = model.generate([example.question], num_thoughts=len(example.steps))[0]
    row = model.layout(example, 4, rng())
    hidden = model.hidden_states(model.collate([row], [0]))
    logits = model.logits(hidden[0, -2])
    logits[model.config.marker_ids] = float("-inf")
    assert generation.token_ids == [int(logits.argmax())]
    assert generation.num_tokens == 1


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_a_graph_drawn_anew_is_the_same_graph(name):
    from latentreason.data.graph import shape_key

    redraw = AUGMENTATIONS[name]
    for example in graphs():
        drawn = [redraw(example, rng(seed)) for seed in range(4)]
        assert len({e.question for e in drawn}) == 4
        size = max(max(edge) for edge in example.meta["edges"]) + 1
        for other in drawn:
            assert len(other.steps) == len(example.steps)
            key = shape_key(size, other.meta["edges"])
            assert key == shape_key(size, example.meta["edges"])
            if name == "edge_order":
                assert sorted(other.meta["edges"]) == sorted(example.meta["edges"])
                assert other.answer == example.answer
            edges = {tuple(edge) for edge in other.meta["edges"]}
            path = [other.meta["root"], *map(int, other.steps)]
            assert all(pair in edges for pair in pairwise(path))
    if name == "node_labels":
        assert len({redraw(graphs(1)[0], rng(seed)).answer for seed in range(30)}) > 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"thoughts_per_step": 2}, "thoughts_per_step"),
        ({"markers": True}, "markers"),
        ({"max_new_tokens": 8}, "max_new_tokens"),
        ({"objective": "bfs"}, "method.objective"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build_symbolic(**settings)


def test_text_and_long_paths_are_refused():
    from tiny import example

    model = build_symbolic()
    with pytest.raises(ValueError, match="needs graphs"):
        model.layout(example(3, 2), 0, rng())
    with pytest.raises(ValueError, match=r"method.max_stage: 4 is less than the 5 hops"):
        model.layout(chain(5), 0, rng())

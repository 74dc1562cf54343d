"""Acceptance of the multi-pass forward, in fp64 to 1e-9 (Coconut, section 3.2)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from slow_coconut import row_logits, row_loss
from tiny import assert_close, batch_of, build_exact, example, gradients, loss_of

FAMILIES = ("gpt2", "llama")
EXACT = 1e-9


@pytest.fixture(params=FAMILIES)
def model(request):
    """Two layers in fp64; weights of a size at which thoughts matter."""
    return build_exact(request.param, max_stage=6)


def rows_of(model, items, stages):
    rng = np.random.default_rng(0)
    return [model.layout(item, stage, rng) for item, stage in zip(items, stages, strict=True)]


MIXED = [example(4, 6, 1), example(6, 6, 2), example(3, 6, 3), example(5, 2, 4)]
MIXED_STAGES = [0, 2, 6, 6]


def test_without_thoughts_the_loss_is_the_plain_language_model_loss(model):
    items = [example(4, 3, 1), example(7, 1, 2)]
    batch = batch_of(model, items, [0, 0])
    assert batch["num_passes"] == 0
    labels = batch["labels"]
    logits = model.language_model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
    ).logits
    plain = F.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
    )
    assert loss_of(model, batch).item() == pytest.approx(plain.item(), abs=EXACT)


@pytest.mark.parametrize("recompute", [False, True], ids=["stored", "recomputed"])
@pytest.mark.parametrize("tie", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("family", FAMILIES)
def test_cached_passes_equal_the_uncached_reference_in_logits_and_gradients(family, tie, recompute):
    model = build_exact(family, max_stage=6, tie=tie)
    model.recompute_passes = recompute
    items, stages = [example(4, 6, 1), example(6, 6, 2)], [3, 3]
    rows = rows_of(model, items, stages)
    batch = batch_of(model, items, stages)
    logits = model.logits(model.hidden_states(batch))
    for number, row in enumerate(rows):
        real = batch["attention_mask"][number].bool()
        assert (logits[number, real] - row_logits(model, row)).abs().max() <= EXACT
    loss_of(model, batch).backward()
    ours = gradients(model)
    sum(row_loss(model, row) for row in rows).backward()
    assert_close(ours, gradients(model), EXACT)


def test_recomputed_passes_draw_the_same_dropout():
    """In training mode the recomputation has to see the masks of the first run."""
    results = []
    for recompute in (False, True):
        drop = {"resid_pdrop": 0.2, "embd_pdrop": 0.2, "attn_pdrop": 0.2}
        model = build_exact("gpt2", config=drop).train()
        model.recompute_passes = recompute
        torch.manual_seed(5)
        loss_of(model, batch_of(model, [example(4, 3, 1)], [3])).backward()
        results.append(gradients(model))
    assert_close(*results, EXACT)


def test_a_padded_batch_has_the_loss_of_its_rows_together(model):
    batch = batch_of(model, MIXED, MIXED_STAGES)
    loss_of(model, batch).backward()
    ours = gradients(model)
    singles = [
        loss_of(model, batch_of(model, [item], [stage]))
        for item, stage in zip(MIXED, MIXED_STAGES, strict=True)
    ]
    sum(singles).backward()
    assert loss_of(model, batch).item() == pytest.approx(sum(singles).item(), abs=EXACT)
    assert_close(ours, gradients(model), EXACT)


def test_rows_with_0_2_and_6_thoughts_share_a_batch(model):
    rows = rows_of(model, MIXED, MIXED_STAGES)
    assert [row.num_thoughts for row in rows] == [0, 2, 6, 6]
    batch = batch_of(model, MIXED, MIXED_STAGES)
    assert batch["num_passes"] == 6
    loss = loss_of(model, batch)
    assert loss.item() == pytest.approx(sum(row_loss(model, r).item() for r in rows), abs=EXACT)
    loss.backward()
    ours = gradients(model)
    sum(row_loss(model, row) for row in rows).backward()
    assert_close(ours, gradients(model), EXACT)


def test_surplus_passes_change_nothing(model):
    batch = batch_of(model, MIXED, MIXED_STAGES)
    results = []
    for passes in (6, 9):
        loss = loss_of(model, {**batch, "num_passes": passes})
        loss.backward()
        results.append({"loss": loss.detach(), **gradients(model)})
    assert_close(*results, EXACT)


def test_surplus_passes_call_the_backbone_as_often_as_asked(model):
    calls = []
    model.decoder.register_forward_hook(lambda *_: calls.append(1))
    batch = batch_of(model, MIXED[:1], [0])
    for passes, expected in ((0, 1), (4, 5)):
        calls.clear()
        model({**batch, "num_passes": passes})
        assert len(calls) == expected
    calls.clear()
    model({**batch_of(model, MIXED[1:2], [2]), "num_passes": 4})
    assert len(calls) == 5


def test_fillers_count_nothing(model):
    full = batch_of(model, MIXED[:2], [2, 2])
    padded = batch_of(model, [*MIXED[:2], MIXED[0]], [2, 2, 2], index=[0, 1, -1])
    assert padded["counts"] == full["counts"]
    assert loss_of(model, padded).item() == pytest.approx(loss_of(model, full).item(), abs=EXACT)


def test_counts_are_the_supervised_tokens(model):
    batch = batch_of(model, MIXED, MIXED_STAGES)
    rows = rows_of(model, MIXED, MIXED_STAGES)
    assert batch["counts"] == {"answer": sum(t != -100 for row in rows for t in row.labels)}
    assert batch["num_tokens"] == sum(len(row.ids) for row in rows)


def question_gradient(model, n=3):
    """Gradient of the loss w.r.t. the question's embeddings along paths through thoughts only.

    Attention to the question from behind the thoughts is cut: the keys and values of the first pass
    are detached where later passes read them.
    """
    item = example(4, n, 1)
    batch = batch_of(model, [item], [n])
    leaves = []
    embed, columns = model.embed, model._columns

    def leaf(ids):
        value = embed(ids).detach().requires_grad_()
        leaves.append(value)
        return value

    def cut(embeds, batch, past):
        return columns(embeds, batch, [tuple(t.detach() for t in segment) for segment in past])

    model.embed, model._columns = leaf, cut
    try:
        loss_of(model, batch).backward()
    finally:
        del model.embed, model._columns
    model.zero_grad()
    return leaves[0].grad[0, : batch["thought_start"] - 1]


def test_gradients_reach_the_question_through_the_thoughts(model):
    assert question_gradient(model).norm(dim=-1).min() > 1e-8


@pytest.mark.parametrize("family", FAMILIES)
def test_truncate_0_cuts_the_gradient_through_thoughts(family):
    model = build_exact(family, max_stage=6, truncate=0)
    assert question_gradient(model).abs().max() == 0


def test_truncate_cuts_the_chain_and_not_the_loss(model):
    batch = batch_of(model, [example(4, 6, 1)], [6])
    found = []
    for truncate in (None, 0, 1, 3, 6, 100):
        model.config.truncate = truncate
        loss = loss_of(model, batch)
        loss.backward()
        found.append({"loss": loss.detach(), **gradients(model)})
    for other in found[1:]:
        assert abs(found[0]["loss"] - other["loss"]) <= EXACT
    assert_close(found[0], found[-1], EXACT)
    name = next(name for name in found[0] if "embed" in name or "wte" in name)
    for other in found[1:4]:
        assert (found[0][name] - other[name]).abs().max() > 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_pause_in_one_pass_equals_pause_step_by_step(family):
    items, stages = MIXED, MIXED_STAGES
    found = []
    for passes in ("single", "sequential"):
        model = build_exact(family, "pause", max_stage=6, passes=passes)
        batch = batch_of(model, items, stages)
        assert batch["num_passes"] == (0 if passes == "single" else 6)
        loss = loss_of(model, batch)
        loss.backward()
        found.append({"loss": loss.detach(), **gradients(model)})
    assert_close(*found, EXACT)


@pytest.mark.parametrize("family", FAMILIES)
def test_pause_learns_its_placeholder_and_coconut_ignores_it(family):
    for method, used in (("pause", True), ("coconut", False)):
        model = build_exact(family, method, max_stage=6, tie=False)
        loss_of(model, batch_of(model, [example(4, 6, 1)], [6])).backward()
        row = model.get_input_embeddings().weight.grad[model.config.latent_token_id]
        assert (row.abs().max() > 0) == used


def test_hugging_face_checkpointing_is_refused(model):
    with pytest.raises(ValueError, match="activation_checkpointing"):
        model.gradient_checkpointing_enable()
    with pytest.raises(ValueError, match="activation_checkpointing"):
        model.gradient_checkpointing_enable({"use_reentrant": False})

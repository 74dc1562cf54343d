"""Packing: several examples in one row train as if each had its own."""

from __future__ import annotations

import pytest
import torch
from tiny import assert_close, batch_of, build, build_exact, example, gradients, loss_of

from latentreason.backbones.load import register_attention
from latentreason.errors import UserError
from latentreason.methods.text.packing import first_fit, pack

EXACT = 1e-9
ITEMS = [example(4, 3, 1), example(7, 0, 2), example(2, 1, 3), example(3, 2, 4)]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_packed_equals_unpacked_in_loss_and_gradient(family):
    model = build_exact(family, "cot")
    apart = batch_of(model, ITEMS, [0] * len(ITEMS))
    loss = loss_of(model, apart)
    loss.backward()
    expected = gradients(model)
    model.zero_grad()
    register_attention()
    model.language_model.set_attn_implementation("latentreason")
    model.pack_length = 40
    together = batch_of(model, ITEMS, [0] * len(ITEMS))
    assert together["input_ids"].shape[0] < len(ITEMS)
    assert together["counts"] == apart["counts"]
    packed = loss_of(model, together)
    packed.backward()
    assert packed.item() == pytest.approx(loss.item(), abs=EXACT)
    assert_close(gradients(model), expected, EXACT)


def test_examples_of_a_row_do_not_see_each_other():
    model = build_exact("gpt2", "cot")
    register_attention()
    model.language_model.set_attn_implementation("latentreason")
    model.pack_length = 40
    batch = batch_of(model, ITEMS[:2], [0, 0])
    first = batch["documents"][0] == 0

    def states() -> torch.Tensor:
        with torch.no_grad():
            from latentreason.methods.text.packing import visibility

            return model.decoder(
                inputs_embeds=model.embed(batch["input_ids"]),
                position_ids=batch["position_ids"],
                use_cache=False,
                visibility=visibility(batch["documents"], batch["position_ids"]),
            ).last_hidden_state

    before = states()
    batch["input_ids"][0, 0] += 1
    after = states()
    assert not torch.equal(before[0, first], after[0, first])
    assert torch.equal(before[0, ~first], after[0, ~first])


def test_first_fit_fills_rows_and_loses_nothing():
    bins = first_fit([5, 9, 3, 2, 8, 1], 10)
    assert sorted(item for members in bins for item in members) == list(range(6))
    assert all(sum([5, 9, 3, 2, 8, 1][i] for i in members) <= 10 for members in bins)
    assert len(bins) == 3


def test_fillers_take_no_place():
    model = build("gpt2", "cot")
    rows = [model.layout(item, 0, None) for item in ITEMS[:2]]
    batch = pack(rows, [7, -1], 40, 0)
    assert batch["num_tokens"] == len(rows[0].ids)
    empty = pack(rows, [-1, -1], 40, 0)
    assert (empty["documents"] == -1).all()
    assert (empty["labels"] == -100).all()


def test_an_example_longer_than_a_row_is_refused():
    with pytest.raises(UserError, match="pack_length"):
        first_fit([50], 40)


def test_packing_without_its_attention_is_refused():
    with pytest.raises(UserError, match="attn_implementation"):
        build("gpt2", "cot", pack_length=40)

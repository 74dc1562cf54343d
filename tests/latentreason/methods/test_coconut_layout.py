"""Layout, labels and curriculum as Coconut (sections 3, 4.1) and its released code have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import build, example

IGNORED = -100


def rng(seed=0):
    return np.random.default_rng(seed)


def row_of(model, num_steps, stage):
    return model.layout(example(4, num_steps), stage, rng())


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("c", [1, 2])
def test_the_curriculum_table(pad, c):
    """(steps m, stage s) -> (steps left, thoughts); S = 3, so stage 4 is the final one."""
    model = build(thoughts_per_step=c, max_stage=3, pad_to_max=pad)
    left = {(5, 0): 5, (5, 1): 4, (5, 2): 3, (5, 3): 2, (5, 4): 0, (5, 9): 0}
    left |= {(2, 0): 2, (2, 1): 1, (2, 2): 0, (2, 3): 0, (2, 4): 0, (0, 2): 0}
    thoughts = {(5, 0): 0, (5, 1): 1, (5, 2): 2, (5, 3): 3, (5, 4): 3, (5, 9): 3}
    thoughts |= {(2, 0): 0, (2, 1): 1, (2, 2): 2}
    # Fewer steps than thoughts: the padded curriculum gives them all the same.
    thoughts |= {(2, 3): 3 if pad else 2, (2, 4): 3 if pad else 2, (0, 2): 2 if pad else 0}
    prompt = model.prompt
    for (m, s), steps_left in left.items():
        row, item = row_of(model, m, s), example(4, m)
        target = [t for step in item.steps[m - steps_left :] for t in prompt.step_ids(step)]
        target += prompt.answer_ids(item.answer)
        assert row.num_thoughts == thoughts[m, s] * c, (m, s)
        assert [t for t in row.labels if t != IGNORED] == target, (m, s)


def test_the_sequence_is_question_begin_thoughts_end_steps_answer_eos():
    model = build(thoughts_per_step=2)
    item, config, prompt = example(4, 3), model.config, model.prompt
    row = model.layout(item, 1, rng())
    question = prompt.question_ids(item.question)
    steps = prompt.step_ids(item.steps[1]) + prompt.step_ids(item.steps[2])
    expected = [*question, config.start_latent_token_id, *[config.latent_token_id] * 2,
                config.end_latent_token_id, *steps, *prompt.answer_ids(item.answer)]  # fmt: skip
    assert row.ids == expected
    assert row.ids[-1] == model.tokenizer.eos_token_id
    assert row.first_thought == len(question) + 1
    supervised = len(steps) + len(prompt.answer_ids(item.answer))
    assert row.labels == [IGNORED] * (len(row.ids) - supervised) + row.ids[-supervised:]


def test_stage_0_keeps_the_empty_markers():
    model = build()
    row = row_of(model, 3, 0)
    question = model.prompt.question_ids(example(4, 3).question)
    markers = [model.config.start_latent_token_id, model.config.end_latent_token_id]
    assert row.ids[len(question) : len(question) + 2] == markers
    assert row.first_thought is None
    assert row.num_thoughts == 0


def test_without_markers_the_thoughts_follow_the_question():
    model = build(markers=False)
    row = row_of(model, 3, 2)
    question = model.prompt.question_ids(example(4, 3).question)
    assert row.ids[len(question) : len(question) + 2] == [model.config.latent_token_id] * 2
    assert not {model.config.start_latent_token_id, model.config.end_latent_token_id} & set(row.ids)


@pytest.mark.parametrize(("pad", "thoughts"), [(True, 6), (False, 6)])
def test_inference_uses_the_thoughts_of_its_stage(pad, thoughts):
    model = build(thoughts_per_step=2, max_stage=3, pad_to_max=pad)
    for stage, expected in ((0, 0), (1, 2), (3, thoughts), (4, thoughts), (9, thoughts)):
        model.set_stage(stage)
        assert (model.config.stage, model.config.num_thoughts) == (stage, expected)


def test_stage_mixing_draws_all_stages_of_the_sample_alike():
    """With probability 0.5 uniform over 0..m, else the scheduled stage."""
    model = build(stage_mixing=0.5, max_stage=3)
    item = example(4, 3)
    count = 4000
    found = [model.layout(item, 2, rng(number)).num_thoughts for number in range(count)]
    share = np.bincount(found, minlength=4) / count
    expected = np.array([0.125, 0.125, 0.625, 0.125])
    # Four standard deviations of a share.
    assert (np.abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / count)).all()


def test_stage_mixing_may_draw_a_later_stage():
    model = build(stage_mixing=1.0, max_stage=3)
    found = {model.layout(example(4, 3), 0, rng(number)).num_thoughts for number in range(200)}
    assert found == {0, 1, 2, 3}


def test_layout_chance_comes_from_the_given_generator_alone():
    model = build(stage_mixing=0.5)
    item = example(4, 3)

    def layouts():
        return [model.layout(item, 1, rng(number)) for number in range(50)]

    first = layouts()
    torch.manual_seed(99)
    np.random.seed(99)
    assert layouts() == first


def test_collation_aligns_first_thoughts_and_keeps_positions():
    model = build()
    items = [example(2, 3), example(6, 3), example(4, 0)]
    layouts = [model.layout(e, s, rng()) for e, s in zip(items, (2, 3, 0), strict=True)]
    batch = model.collate(layouts, [0, 1, 2])
    start = batch["thought_start"]
    assert start == max(row.first_thought or 0 for row in layouts)
    latent = model.config.latent_token_id
    for number, row in enumerate(layouts):
        real = batch["attention_mask"][number].bool()
        assert batch["input_ids"][number, real].tolist() == row.ids
        assert batch["position_ids"][number, real].tolist() == list(range(len(row.ids)))
        assert batch["labels"][number, real].tolist() == row.labels
        assert (batch["labels"][number, ~real] == IGNORED).all()
        assert (batch["position_ids"][number, ~real] == 0).all()
        if row.num_thoughts:
            assert batch["input_ids"][number].tolist().index(latent) == start
    # A row without thoughts has no padding on its left.
    assert batch["attention_mask"][2, 0] == 1
    assert batch["input_ids"].shape[1] == max(
        len(row.ids) + (start - row.first_thought if row.first_thought else 0) for row in layouts
    )


def test_new_tokens_copy_the_chosen_row():
    for tie in (True, False):
        model = build(tie=tie, marker_init="w3")
        source = model.tokenizer.convert_tokens_to_ids("w3")
        for table in (model.get_input_embeddings(), model.get_output_embeddings()):
            for token in model.config.marker_ids:
                assert torch.equal(table.weight[token], table.weight[source])


def test_new_tokens_take_the_mean_of_the_old_rows():
    model = build(marker_init="mean", tie=False)
    for table in (model.get_input_embeddings(), model.get_output_embeddings()):
        old = table.weight[: min(model.config.marker_ids)]
        for token in model.config.marker_ids:
            torch.testing.assert_close(table.weight[token], old.mean(0))


def test_random_new_tokens_differ_from_one_another():
    model = build(marker_init="random")
    rows = model.get_input_embeddings().weight[model.config.marker_ids]
    assert not torch.equal(rows[0], rows[1])
    assert rows.abs().max() < 1


def test_an_unknown_marker_init_is_named():
    with pytest.raises(ValueError, match=r'method.marker_init: "w3 w4"'):
        build(marker_init="w3 w4")
    with pytest.raises(ValueError, match=r'method.marker_init: "unheard"'):
        build(marker_init="unheard")

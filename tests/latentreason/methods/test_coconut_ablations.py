"""Coconut's switches: each equals plain Coconut where it should, in fp64 to 1e-9."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_coconut import answer
from tiny import assert_close, batch_of, build, build_exact, example, gradients, loss_of

EXACT = 1e-9
FAMILIES = ("gpt2", "llama")
ITEMS = [example(4, 6, 1), example(6, 6, 2), example(3, 6, 3), example(5, 2, 4)]
STAGES = [0, 2, 6, 6]


def loss_and_gradients(model, items=ITEMS, stages=STAGES):
    loss = loss_of(model, batch_of(model, items, stages))
    loss.backward()
    return {"loss": loss.detach(), **gradients(model)}


def rng():
    return np.random.default_rng(0)


# --- truncated back-propagation -------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("window", [6, 7, 100])
def test_a_window_of_all_thoughts_is_full_back_propagation(family, window):
    full = loss_and_gradients(build_exact(family, max_stage=6))
    cut = loss_and_gradients(build_exact(family, max_stage=6, truncate=window))
    assert_close(full, cut, EXACT)


def test_every_shorter_window_cuts_something_else():
    found = []
    for window in (None, 0, 1, 2, 3, 4, 5):
        model = build_exact("llama", max_stage=6, truncate=window)
        found.append(loss_and_gradients(model)["language_model.model.embed_tokens.weight"])
    for place, left in enumerate(found):
        for right in found[place + 1 :]:
            assert (left - right).abs().max() > 1e-7


@pytest.mark.parametrize(
    ("window", "cut"),
    [
        (0, [[0, 1, 2, 3, 4], [0, 1]]),
        (1, [[1, 3], [0]]),
        (2, [[2], []]),
        (4, [[0], []]),
    ],
)
def test_links_are_cut_counting_from_each_rows_last_thought(window, cut):
    counts = (5, 2)
    model = build("llama", max_stage=5, truncate=window).eval()
    cuts = [[] for _ in counts]
    keep = model._slot

    def spy(token, state, left):
        slot = keep(token, state, left)
        (reached,) = torch.autograd.grad(slot.sum(), state, retain_graph=True)
        number = max(counts) - int(left.max())
        for row, count in enumerate(counts):
            if number < count and not reached[row].any():
                cuts[row].append(number)
        return slot

    model._slot = spy
    loss_of(model, batch_of(model, [example(4, 5), example(4, 2)], list(counts)))
    assert cuts == cut


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("window", [0, 1, 2, 3])
def test_a_window_cuts_a_row_alike_alone_and_in_a_batch(family, window):
    model = build_exact(family, max_stage=6, truncate=window)
    together = loss_and_gradients(model)
    model.zero_grad()
    alone = {}
    for item, stage in zip(ITEMS, STAGES, strict=True):
        for name, value in loss_and_gradients(model, [item], [stage]).items():
            alone[name] = alone.get(name, 0) + value
        model.zero_grad()
    assert_close(together, alone, EXACT)


# --- projections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["linear", "scale"])
def test_a_fresh_identity_projection_is_none(family, kind):
    plain = build_exact(family, max_stage=6)
    projected = build_exact(family, max_stage=6, thought_projection=kind)
    ours, theirs = loss_and_gradients(projected), loss_and_gradients(plain)
    own = {name for name in ours if name.startswith("projection")}
    assert own
    assert all(ours[name].abs().max() > 1e-6 for name in own), "the projection has no gradient"
    assert_close({n: t for n, t in ours.items() if n not in own}, theirs, EXACT)
    for model in (plain, projected):
        model.set_stage(6)
    question = [ITEMS[0].question]
    left, right = (m.generate(question, return_thoughts=True)[0] for m in (projected, plain))
    assert left.token_ids == right.token_ids
    assert (left.thoughts - right.thoughts).abs().max() <= EXACT


@pytest.mark.parametrize("kind", ["linear", "mlp_norm", "norm", "scale"])
def test_projected_thoughts_are_trained_saved_and_answered_alike(tmp_path, kind):
    model = build("llama", max_stage=3, thought_projection=kind)
    with torch.no_grad():
        for parameter in model.projection.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.set_stage(3)
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    questions = [example(2 + n, 0, n).question for n in range(4)]
    ours, theirs = (m.generate(questions, return_thoughts=True) for m in (model, loaded))
    for left, right in zip(ours, theirs, strict=True):
        assert left.token_ids == right.token_ids
        assert torch.equal(left.thoughts, right.thoughts)
        fed = model.as_thought(left.thought_states)
        torch.testing.assert_close(fed, left.thoughts)
        assert torch.equal(left.readable_thoughts, left.thought_states)


def test_norm_gives_new_thoughts_the_length_of_token_embeddings():
    model = build("gpt2", thought_projection="norm")
    expected = model.get_input_embeddings().weight.norm(dim=-1).mean()
    lengths = model.as_thought(torch.randn(5, 16) * 40).norm(dim=-1)
    torch.testing.assert_close(lengths, expected.expand(5), rtol=1e-4, atol=1e-4)


def test_training_and_generation_see_the_same_projected_thoughts():
    model = build_exact("llama", max_stage=3, thought_projection="mlp_norm", markers=False)
    model.set_stage(3)
    batch = batch_of(model, [example(4, 3, 1)], [3])
    fed = []
    project = model.as_thought
    model.as_thought = lambda state: fed.append(project(state)) or fed[-1]
    model.hidden_states(batch)
    trained = torch.cat([thought for thought in fed if thought.dim() == 2])
    generated = model.generate([example(4, 3, 1).question], return_thoughts=True)[0].thoughts
    assert (trained - generated).abs().max() <= EXACT


# --- schedules ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("steps", [0, 1, 3, 5])
def test_thoughts_grown_one_at_a_time_pass_through_the_plain_layouts(pad, steps):
    plain = build(thoughts_per_step=3, max_stage=3, pad_to_max=pad)
    grown = build(thoughts_per_step=3, max_stage=3, pad_to_max=pad, growth="thought")
    item = example(4, steps)
    for stage in range(4):
        assert grown.layout(item, 3 * stage, rng()) == plain.layout(item, stage, rng())
    for late in (10, 99):
        assert grown.layout(item, late, rng()) == plain.layout(item, 4, rng())
    for model, last in ((plain, 4), (grown, 10)):
        model.set_stage(last)
        assert model.config.num_thoughts == 9


def test_grown_thoughts_come_one_by_one_and_a_step_goes_with_its_first():
    model = build(thoughts_per_step=3, max_stage=2, growth="thought")
    item, prompt = example(4, 3), model.prompt
    for stage, (left, thoughts) in enumerate(
        [(3, 0), (2, 1), (2, 2), (2, 3), (1, 4), (1, 5), (1, 6), (0, 6)]
    ):
        row = model.layout(item, stage, rng())
        target = [t for step in item.steps[3 - left :] for t in prompt.step_ids(step)]
        assert row.num_thoughts == thoughts
        assert [t for t in row.labels if t != -100] == target + prompt.answer_ids(item.answer)


def test_without_a_curriculum_every_sample_is_the_final_one():
    plain = build(thoughts_per_step=2, max_stage=3)
    bare = build(thoughts_per_step=2, max_stage=3, curriculum=False)
    for steps in (0, 2, 5):
        assert bare.layout(example(4, steps), 0, rng()) == plain.layout(example(4, steps), 4, rng())
    bare.set_stage(0)
    assert bare.config.num_thoughts == 6
    with pytest.raises(ValueError, match=r"stage 4, and method.curriculum is false"):
        bare.set_stage(4)


def test_pause_tokens_stand_between_question_and_answer_and_are_learned():
    model = build_exact("llama", "pause_tokens", max_stage=3, tie=False)
    item, prompt = example(4, 3), model.prompt
    row = model.layout(item, 0, rng())
    pause = [model.config.latent_token_id] * 3
    question, gold = prompt.question_ids(item.question), prompt.answer_ids(item.answer)
    assert row.ids == question + pause + gold
    batch = model.collate([row], [0])
    assert batch["num_passes"] == 0
    loss_of(model, batch).backward()
    assert model.get_input_embeddings().weight.grad[pause[0]].abs().max() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_no_thoughts_is_the_language_model_on_what_is_left(family):
    model = build_exact(family, "no_thoughts", max_stage=6)
    text = build_exact(family, "cot")
    for stage in (0, 2, 6, 7):
        item = example(4, 6, 1)
        left = example(4, 6, 1).steps[stage if stage <= 6 else 6 :]
        rest = type(item)(item.question, left, item.answer, item.meta)
        ours = loss_of(model, batch_of(model, [item], [stage])).item()
        # The vocabularies differ by the three markers, which are no target here.
        row = model.layout(item, stage, rng())
        assert row.ids == text.layout(rest, 0, rng()).ids
        logits = model.language_model(input_ids=torch.tensor([row.ids])).logits[0]
        labels = torch.tensor(row.labels)
        plain = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], reduction="sum")
        assert ours == pytest.approx(plain.item(), abs=EXACT)


def test_no_thoughts_answers_as_the_uncached_loop_and_has_no_controls():
    model = build_exact("llama", "no_thoughts", max_stage=2, seed=1)
    model.set_stage(3)
    question = example(4, 0).question
    generation = model.generate([question], max_new_tokens=8)[0]
    ids = model.prompt.question_ids(question)
    table, written = model.get_input_embeddings().weight, []
    for _ in range(8):
        logits = model.language_model(inputs_embeds=table[ids + written][None]).logits[0, -1]
        logits[model.config.marker_ids] = float("-inf")
        token = int(logits.argmax())
        if token == model.tokenizer.eos_token_id:
            break
        written.append(token)
    assert generation.token_ids == written
    assert generation.num_thoughts == 0
    with pytest.raises(ValueError, match="no_thoughts"):
        model.generate([question], thought_mode="zero")
    with pytest.raises(ValueError, match="num_thoughts"):
        model.generate([question], num_thoughts=2)


def test_a_plain_model_still_answers_as_the_slow_one():
    model = build_exact("gpt2", max_stage=2, seed=3)
    model.set_stage(2)
    question = example(5, 0).question
    slow, thoughts = answer(model, model.prompt.question_ids(question), 2, 6)
    fast = model.generate([question], max_new_tokens=6, return_thoughts=True)[0]
    assert fast.token_ids == slow
    assert (fast.thoughts - thoughts).abs().max() <= EXACT
    assert fast.thought_states is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"growth": "thought"}, "method.growth"),
        ({"growth": "thoughts"}, "method.growth"),
        ({"curriculum": False, "stage_mixing": 0.1}, "method.stage_mixing"),
        ({"thought_source": "learned", "thought_projection": "norm"}, "method.thought_projection"),
        ({"thought_projection": "conv"}, "method.thought_projection"),
        ({"thought_source": "learned", "truncate": 2}, "method.truncate"),
        ({"gold_thoughts": True}, "method.gold_thoughts"),
        ({"objective": "on_path"}, "method.markers"),
        ({"passes": "single"}, "method.passes"),
    ],
)
def test_switches_that_would_be_ignored_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)

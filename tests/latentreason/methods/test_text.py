"""CoT and No-CoT: ordinary supervised fine-tuning, and ordinary greedy answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from slow_coconut import answer
from tiny import FAMILIES, assert_close, batch_of, build, build_exact, example, gradients, loss_of

EXACT = 1e-9
ITEMS = [example(4, 3, 1), example(7, 0, 2), example(2, 1, 3)]


@pytest.mark.parametrize("method", ["cot", "no_cot"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_loss_is_the_models_own_on_everything_after_the_question(family, method):
    model = build_exact(family, method)
    prompt = model.prompt
    expected = torch.zeros((), dtype=torch.float64)
    for item in ITEMS:
        question = prompt.question_ids(item.question)
        target = [t for s in item.steps for t in prompt.step_ids(s)] if method == "cot" else []
        target = target + prompt.answer_ids(item.answer)
        logits = model.language_model(input_ids=torch.tensor([question + target])).logits[0]
        expected = expected + F.cross_entropy(
            logits[len(question) - 1 : -1], torch.tensor(target), reduction="sum"
        )
    loss = loss_of(model, batch_of(model, ITEMS, [0] * 3))
    assert loss.item() == pytest.approx(expected.item(), abs=EXACT)
    loss.backward()
    ours = gradients(model)
    expected.backward()
    assert_close(ours, gradients(model), EXACT)


def test_layouts_do_not_depend_on_the_stage():
    model = build("gpt2", "cot")
    rng = np.random.default_rng(0)
    assert model.layout(ITEMS[0], 0, rng) == model.layout(ITEMS[0], 3, rng)


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_answers_equal_the_uncached_loop(family):
    model = build_exact(family, "cot", seed=1)
    questions = [example(2 + n, 0, n).question for n in range(5)]
    for generation, question in zip(
        model.generate(questions, max_new_tokens=10), questions, strict=True
    ):
        slow, _ = answer(model, model.prompt.question_ids(question), 0, 10)
        assert generation.token_ids == slow
        assert generation.num_thoughts == 0


def test_controls_on_thoughts_have_no_meaning():
    model = build("gpt2", "cot")
    with pytest.raises(ValueError, match="zero"):
        model.generate(["w1"], thought_mode="zero")
    with pytest.raises(ValueError, match="num_thoughts"):
        model.generate(["w1"], num_thoughts=3)


def test_recomputed_activations_give_the_same_gradients():
    found = []
    for recompute in (False, True):
        model = build_exact("llama", "cot").train()
        if recompute:
            model.enable_recompute()
        loss_of(model, batch_of(model, ITEMS, [0] * 3)).backward()
        found.append(gradients(model))
    assert_close(*found, EXACT)

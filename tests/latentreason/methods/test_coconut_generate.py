"""Batched cached generation: equal to one-by-one, to the slow loop, and to its own words."""

from __future__ import annotations

import pytest
import torch
from slow_coconut import answer
from tiny import FAMILIES, build, build_exact, example

from latentreason.decoding.sampling import choose, uniforms
from latentreason.errors import UserError
from latentreason.methods.coconut.model import MODES

QUESTIONS = [example(2 + number % 5, 0, number).question for number in range(8)]
LENGTH = 12


def ready(family="gpt2", stage=3, **options):
    """A model in its final stage, with an end token that its answers reach at different lengths."""
    scale = 6.0 if family == "gpt2" else 10.0
    model = build_exact(
        family, **{"max_stage": 3, "tie": False, "scale": scale, "seed": 1, **options}
    )
    model.set_stage(stage)
    model.statistics([example(2 + n % 5, 0, n) for n in range(8)])
    # Start from an end token that is never written, then take the word that ends answers most
    # diversely.
    written = [g.token_ids for g in model.generate(QUESTIONS, max_new_tokens=LENGTH)]
    spread = {
        token: len({row.index(token) if token in row else LENGTH for row in written})
        for row in written
        for token in row
    }
    token = max(sorted(spread), key=lambda t: spread[t])
    model.tokenizer.eos_token = model.tokenizer.convert_ids_to_tokens(token)
    return model


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return ready(request.param)


@pytest.fixture(scope="module")
def gpt2():
    return ready()


def summary(generations):
    return [(g.token_ids, g.finish_reason, g.num_tokens) for g in generations]


def singly(model, **arguments):
    """Each question in a call of its own, under its own id."""
    found = []
    for number, question in enumerate(QUESTIONS):
        found += model.generate([question], ids=[number], max_new_tokens=LENGTH, **arguments)
    return found


def test_a_batch_answers_as_one_by_one(model):
    batch = model.generate(QUESTIONS, max_new_tokens=LENGTH)
    assert summary(batch) == summary(singly(model))
    assert len({len(g.token_ids) for g in batch}) >= 3, "answers of one length prove little"
    assert {g.finish_reason for g in batch} >= {"stop"}


def test_a_batch_answers_as_the_uncached_loop(model):
    batch = model.generate(QUESTIONS, max_new_tokens=LENGTH, return_thoughts=True)
    for generation, question in zip(batch, QUESTIONS, strict=True):
        written, thoughts = answer(model, model.prompt.question_ids(question), 3, LENGTH)
        assert generation.token_ids == written
        assert (generation.thoughts - thoughts).abs().max() <= 1e-9


@pytest.mark.parametrize("num_thoughts", [0, 1, 5])
def test_the_number_of_thoughts_can_be_chosen(gpt2, num_thoughts):
    batch = gpt2.generate(QUESTIONS, num_thoughts=num_thoughts, max_new_tokens=LENGTH)
    for generation, question in zip(batch, QUESTIONS, strict=True):
        prompt = gpt2.prompt.question_ids(question)
        assert generation.token_ids == answer(gpt2, prompt, num_thoughts, LENGTH)[0]
        assert generation.num_thoughts == num_thoughts
        assert generation.prompt_tokens == len(prompt)


def test_counts_and_texts_belong_to_the_tokens(gpt2):
    for generation in gpt2.generate(QUESTIONS, max_new_tokens=LENGTH):
        stopped = generation.finish_reason == "stop"
        assert generation.num_tokens == len(generation.token_ids) + stopped
        assert stopped or generation.num_tokens == LENGTH
        assert gpt2.tokenizer.eos_token_id not in generation.token_ids
        assert generation.text == gpt2.tokenizer.decode(generation.token_ids)


SAMPLED = {"temperature": 1.5, "top_p": 0.9, "seed": 7}


def test_sampling_in_a_batch_equals_one_by_one(model):
    batch = model.generate(QUESTIONS, max_new_tokens=LENGTH, num_samples=3, **SAMPLED)
    assert summary(batch) == summary(singly(model, num_samples=3, **SAMPLED))
    assert [(g.prompt_index, g.sample_index) for g in batch] == [
        (row, sample) for row in range(len(QUESTIONS)) for sample in range(3)
    ]


def test_sampling_equals_the_uncached_loop(gpt2):
    batch = gpt2.generate(QUESTIONS, max_new_tokens=LENGTH, num_samples=2, **SAMPLED)
    for generation in batch:
        row, sample = generation.prompt_index, generation.sample_index

        def pick(logits, position, row=row, sample=sample):
            draw = uniforms(7, [(row, sample)], position)
            return int(choose(logits[None].float(), 1.5, 0.9, draw))

        prompt = gpt2.prompt.question_ids(QUESTIONS[row])
        assert generation.token_ids == answer(gpt2, prompt, 3, LENGTH, pick)[0]


def test_samples_of_a_prompt_and_seeds_differ(gpt2):
    def sample(**options):
        return summary(gpt2.generate(QUESTIONS, max_new_tokens=LENGTH, **SAMPLED | options))

    batch = sample(num_samples=4)
    assert any(batch[4 * row] != batch[4 * row + 1] for row in range(len(QUESTIONS)))
    # Asking for fewer samples gives the first ones.
    assert [batch[4 * row + s] for row in range(len(QUESTIONS)) for s in (0, 1)] == sample(
        num_samples=2
    )
    assert sample(num_samples=4) == batch
    assert sample(num_samples=4, seed=8) != batch


def test_ids_make_a_row_independent_of_its_batch(gpt2):
    whole = gpt2.generate(QUESTIONS, max_new_tokens=LENGTH, **SAMPLED)
    order = [5, 2, 7]
    part = gpt2.generate([QUESTIONS[i] for i in order], ids=order, max_new_tokens=LENGTH, **SAMPLED)
    assert summary(part) == [summary(whole)[i] for i in order]
    other = gpt2.generate([QUESTIONS[5]] * 8, ids=range(8), max_new_tokens=LENGTH, **SAMPLED)
    assert len({tuple(g.token_ids) for g in other}) > 1


def test_top_p_keeps_the_nucleus_only():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    draws = torch.linspace(0, 1, 401, dtype=torch.float64)[:-1]
    taken = [int(choose(logits, 1.0, 0.7, draw[None])) for draw in draws]
    assert set(taken) == {0, 1}
    assert taken.count(0) / len(taken) == pytest.approx(0.5 / 0.8, abs=0.01)
    taken = [int(choose(logits, 1.0, 1.0, draw[None])) for draw in draws]
    assert [taken.count(i) / 400 for i in range(4)] == pytest.approx(
        [0.5, 0.3, 0.15, 0.05], abs=0.01
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["coconut", "pause"])
def test_every_thought_mode_in_a_batch_equals_one_by_one(method, mode):
    model = ready(method=method)
    donors = [QUESTIONS[(i + 3) % 8] for i in range(8)]
    arguments = {"thought_mode": mode, "max_new_tokens": LENGTH, "num_samples": 2, **SAMPLED}
    shuffle = mode == "shuffle"
    batch = model.generate(QUESTIONS, donors=donors if shuffle else None, **arguments)
    single = []
    for number, question in enumerate(QUESTIONS):
        donor = [donors[number]] if shuffle else None
        single += model.generate([question], ids=[number], donors=donor, **arguments)
    assert summary(batch) == summary(single)


def thoughts_of(model, mode="normal", questions=QUESTIONS, **arguments):
    generations = model.generate(
        questions, thought_mode=mode, return_thoughts=True, max_new_tokens=1, **arguments
    )
    return torch.stack([g.thoughts for g in generations])


def test_thought_modes_do_what_their_words_say(gpt2):
    own = thoughts_of(gpt2)
    assert own.shape == (8, 3, 16)
    assert thoughts_of(gpt2, "none").shape == (8, 0, 16)
    assert (thoughts_of(gpt2, "zero") == 0).all()
    placeholder = gpt2.get_input_embeddings().weight[gpt2.config.latent_token_id]
    assert (thoughts_of(gpt2, "pause") == placeholder).all()
    mean = thoughts_of(gpt2, "mean")
    torch.testing.assert_close(mean, own.mean(0).expand_as(mean), rtol=0, atol=1e-12)
    donors = [QUESTIONS[(i + 3) % 8] for i in range(8)]
    torch.testing.assert_close(
        thoughts_of(gpt2, "shuffle", donors=donors), own.roll(-3, 0), rtol=0, atol=1e-9
    )


def test_a_mode_that_the_method_does_not_have_is_refused(gpt2):
    with pytest.raises(UserError, match='"text" has no meaning for method coconut'):
        gpt2.generate(QUESTIONS, thought_mode="text")


def test_noise_has_the_norm_of_the_thought_it_replaces(gpt2):
    noise = thoughts_of(gpt2, "noise")
    own = thoughts_of(gpt2)
    torch.testing.assert_close(noise[:, 0].norm(dim=-1), own[:, 0].norm(dim=-1))
    assert (noise[:, 0] - own[:, 0]).norm(dim=-1).min() > 0.1
    # Another sample, row or seed is other noise; the same seed is the same.
    samples = thoughts_of(gpt2, "noise", num_samples=2)
    assert torch.equal(samples[::2], noise)
    assert not torch.equal(samples[1::2], noise)
    assert not torch.equal(thoughts_of(gpt2, "noise", seed=1), noise)


def test_modes_change_what_is_answered(gpt2):
    """The answers of a mode follow from its thoughts: replayed by the slow loop."""
    table = gpt2.get_input_embeddings().weight
    from slow_coconut import run

    for mode in ("zero", "pause", "mean", "noise"):
        thoughts = thoughts_of(gpt2, mode)
        batch = gpt2.generate(QUESTIONS, thought_mode=mode, max_new_tokens=1)
        for generation, question, own in zip(batch, QUESTIONS, thoughts, strict=True):
            ids = [*gpt2.prompt.question_ids(question), gpt2.config.start_latent_token_id]
            embeds = [*table[ids], *own, table[gpt2.config.end_latent_token_id]]
            with torch.no_grad():
                logits = run(gpt2, embeds)[1][-1]
            logits[gpt2.config.marker_ids] = float("-inf")
            token = int(logits.argmax())
            expected = [] if token == gpt2.tokenizer.eos_token_id else [token]
            assert generation.token_ids == expected


def test_thoughts_of_pause_are_the_placeholder_in_one_pass_and_step_by_step():
    found = []
    for passes in ("single", "sequential"):
        model = build_exact("gpt2", "pause", passes=passes)
        model.set_stage(3)
        found.append(model.generate(QUESTIONS, max_new_tokens=LENGTH, return_thoughts=True))
    assert summary(found[0]) == summary(found[1])
    placeholder = model.get_input_embeddings().weight[model.config.latent_token_id]
    for generation in found[0] + found[1]:
        assert torch.equal(generation.thoughts, placeholder.expand(3, -1))


@pytest.mark.parametrize("temperature", [0.0, 3.0])
def test_markers_are_never_written(temperature):
    model = build_exact("gpt2")
    model.set_stage(3)
    # The markers would be by far the likeliest words.
    head = torch.nn.Linear(16, len(model.tokenizer)).double()
    torch.nn.init.normal_(head.weight, std=0.02)
    torch.nn.init.zeros_(head.bias)
    head.bias.data[model.config.marker_ids] = 50.0
    model.causal_lm.set_output_embeddings(head)
    for generation in model.generate(QUESTIONS, max_new_tokens=LENGTH, temperature=temperature):
        assert not set(generation.token_ids) & set(model.config.marker_ids)
        assert "<|" not in generation.text.replace("<|endoftext|>", "").replace("<|unknown|>", "")


def test_more_thoughts_than_positions_is_an_error():
    model = build("gpt2", positions=16)
    model.set_stage(3)
    prompt = len(model.prompt.question_ids(QUESTIONS[0]))
    most = 16 - prompt - 2 - 1
    assert model.generate(QUESTIONS[:1], num_thoughts=most)[0].num_thoughts == most
    for thoughts in (most + 1, 100_000):
        with pytest.raises(ValueError, match=r"num_thoughts.*16 positions"):
            model.generate(QUESTIONS[:1], num_thoughts=thoughts)


def test_an_answer_ends_where_the_positions_do():
    model = build("gpt2", positions=16)
    model.set_stage(3)
    [generation] = model.generate(QUESTIONS[:1], max_new_tokens=64)
    taken = generation.prompt_tokens + 3 + 2
    assert generation.finish_reason == "length"
    # The last position is read once more: it predicts a word that needs no position of its own.
    assert generation.num_tokens == 16 - taken + 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"num_thoughts": -1}, "num_thoughts"),
        ({"thought_mode": "dream"}, "thought_mode"),
        ({"num_samples": 0}, "num_samples"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"temperature": 1.0, "top_p": 1.5}, "top_p"),
        ({"ids": [1, 2]}, "ids"),
        ({"thought_mode": "shuffle"}, "donors"),
        ({"donors": ["w1"]}, "donors"),
        ({"thought_mode": "shuffle", "donors": ["w1", "w2"]}, "donors"),
        ({"thought_mode": "mean", "num_thoughts": 4}, "num_thoughts"),
    ],
)
def test_bad_arguments_are_named(gpt2, arguments, word):
    with pytest.raises(ValueError, match=word):
        gpt2.generate(["w1 w2"], **arguments)


def test_empty_prompts_are_refused(gpt2):
    for prompt in ("", " \n"):
        with pytest.raises(ValueError, match="prompt"):
            gpt2.generate([prompt])
    with pytest.raises(ValueError, match="prompts"):
        gpt2.generate("one string")
    assert gpt2.generate([]) == []


def test_generate_leaves_the_model_as_it_was(gpt2):
    before = {name: p.clone() for name, p in gpt2.state_dict().items()}
    gpt2.train()
    try:
        gpt2.generate(QUESTIONS[:2])
        assert gpt2.training
    finally:
        gpt2.eval()
    for name, p in gpt2.state_dict().items():
        assert torch.equal(before[name], p)


def test_a_number_of_thoughts_beside_none_is_refused():
    model = build("gpt2")
    model.set_stage(3)
    with pytest.raises(ValueError, match="num_thoughts"):
        model.generate(["w1 w2"], thought_mode="none", num_thoughts=2)


def test_donors_longer_than_the_positions_are_refused():
    model = build("gpt2", positions=32)
    model.set_stage(3)
    donor = " ".join(["w1"] * 40)
    with pytest.raises(ValueError, match="positions"):
        model.generate(["w1 w2"], thought_mode="shuffle", donors=[donor])

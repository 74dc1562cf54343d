"""Answers with soft thoughts are those of the plain LLM over embeddings made by hand."""

from __future__ import annotations

import pytest
import torch
from soft import laid_out, llm, raw_by_hand, soft
from tiny import example, examples

from latentreason.decoding.sampling import gaussians
from latentreason.errors import UserError
from latentreason.methods.softcot import states

QUESTIONS = [item.question for item in examples(7)]
DONORS = QUESTIONS[::-1]


@pytest.fixture(scope="module")
def model():
    """Three chains, thoughts of four, and the mean thoughts of some questions."""
    made = soft(num_chains=3, num_thoughts=4, max_new_tokens=8).eval()
    made.statistics(examples(5))
    return made


def hf_greedy(model, embeds, new_tokens=8):
    """Greedy token ids of the plain Hugging Face model, without the end token."""
    end = model.prompt.end_id
    written = model.causal_lm.generate(
        inputs_embeds=embeds[None], attention_mask=torch.ones(1, len(embeds), dtype=torch.long),
        max_new_tokens=new_tokens, do_sample=False, eos_token_id=end, pad_token_id=end,
    )[0].tolist()  # fmt: skip
    return written[: written.index(end)] if end in written else written


def embed(model, ids):
    return model.causal_lm.get_input_embeddings()(torch.tensor(ids))


def with_vectors(model, question, vectors):
    """Embeddings of the prompt with `vectors` in place of its block."""
    span = model.prompt.question(question, len(vectors))
    embeds = embed(model, span.ids)
    return torch.cat([embeds[: span.start], vectors, embeds[span.start + len(vectors) :]])


def own(model, question, chain=0, count=4):
    """A question's thoughts, by hand."""
    return raw_by_hand(model, question, chain, count) @ model.projection.weight.T + (
        model.projection.bias
    )


def answers(model, **options):
    return [g.token_ids for g in model.generate(QUESTIONS, **options)]


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_greedy_answers_equal_the_plain_model_over_embeddings_made_by_hand(family):
    model = soft(base=llm(family), num_chains=2, num_thoughts=4, max_new_tokens=8).eval()
    found = model.generate(QUESTIONS, num_samples=2, return_thoughts=True)
    assert len({g.prompt_tokens for g in found}) > 1, "rows of different length"
    with torch.no_grad():
        for number, generation in enumerate(found):
            question, chain = QUESTIONS[number // 2], number % 2
            thoughts = own(model, question, chain)
            torch.testing.assert_close(generation.thoughts, thoughts, rtol=1e-4, atol=1e-4)
            assert generation.token_ids == hf_greedy(model, with_vectors(model, question, thoughts))
            assert generation.num_thoughts == 4
            assert generation.prompt_tokens == len(model.prompt.question(question, 4).ids) - 4
            assert (generation.prompt_index, generation.sample_index) == (number // 2, chain)
            assert generation.text == model.tokenizer.decode(generation.token_ids)
    assert len({tuple(g.token_ids) for g in found}) > 3, "answers differ"


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("mode", ["normal", "noise", "text"])
def test_results_do_not_depend_on_the_batch(model, size, temperature, mode):
    options = {"num_samples": 3, "temperature": temperature, "thought_mode": mode, "seed": 4}
    whole = answers(model, ids=[*range(10, 17)], **options)
    parts = []
    for start in range(0, 7, size):
        questions = QUESTIONS[start : start + size]
        ids = [10 + start + place for place in range(len(questions))]
        found = model.generate(questions, ids=ids, **options)
        parts += [g.token_ids for g in found]
    assert parts == whole


def test_sample_s_is_of_chain_s_mod_n(model):
    found = model.generate(QUESTIONS, num_samples=6, return_thoughts=True, temperature=1.0)
    for b, question in enumerate(QUESTIONS):
        for s in range(6):
            generation = found[6 * b + s]
            assert (generation.prompt_index, generation.sample_index) == (b, s)
            expected = own(model, question, s % 3)
            torch.testing.assert_close(generation.thoughts, expected, rtol=1e-4, atol=1e-4)
    assert any(found[6 * b].token_ids != found[6 * b + 3].token_ids for b in range(7)), "sampled"


def test_fewer_samples_take_the_first_chains_and_uneven_numbers_are_refused(model):
    whole, part = (model.generate(QUESTIONS, num_samples=n) for n in (3, 2))
    assert [g.token_ids for g in part] == [g.token_ids for g in whole if g.sample_index < 2]
    with pytest.raises(UserError, match=r"5 answers cannot be dealt out evenly to .* 3 chains"):
        model.generate(QUESTIONS, num_samples=5)


def test_common_random_numbers_are_shared_by_the_chains_of_a_question():
    """With one thought the same for all chains, chains answer alike only by common numbers."""
    equal = {"num_chains": 3, "initial_ids": [4, 4, 4], "max_new_tokens": 8}
    options = {"num_samples": 6, "temperature": 1.5}
    apart = soft(**equal).eval().generate(QUESTIONS, **options)
    shared = soft(common_random_numbers=True, **equal).eval().generate(QUESTIONS, **options)
    for b in range(7):
        ours = [g.token_ids for g in shared[6 * b : 6 * b + 6]]
        assert ours[0] == ours[1] == ours[2]
        assert ours[3] == ours[4] == ours[5]
    assert any(shared[6 * b].token_ids != shared[6 * b + 3].token_ids for b in range(7))
    assert any(apart[6 * b].token_ids != apart[6 * b + 1].token_ids for b in range(7))


# --- controls ----------------------------------------------------------------------------------


def test_none_is_the_plain_llm_on_the_prompt_without_the_block(model):
    found = model.generate(QUESTIONS, thought_mode="none")
    for question, generation in zip(QUESTIONS, found, strict=True):
        ids = model.prompt.question_ids(question)
        assert generation.token_ids == hf_greedy(model, embed(model, ids))
        assert (generation.num_thoughts, generation.prompt_tokens) == (0, len(ids))
        assert model.prompt.placeholder_id not in ids
    assert answers(model, num_thoughts=0) == [g.token_ids for g in found]


@pytest.mark.parametrize("samples", [1, 3, 5])
@pytest.mark.parametrize("mode", ["none", "text"])
def test_controls_without_chains_take_any_number_of_samples(model, mode, samples):
    found = model.generate(
        QUESTIONS, thought_mode=mode, num_samples=samples, temperature=1.5, return_thoughts=True
    )
    assert [g.sample_index for g in found] == [*range(samples)] * 7
    assert all(g.thoughts.shape == (0, 16) for g in found)
    if samples > 1:
        assert len({tuple(g.token_ids) for g in found[:samples]}) > 1


def test_pause_is_the_plain_llm_on_the_raw_ids(model):
    for question, ids in zip(QUESTIONS, answers(model, thought_mode="pause"), strict=True):
        assert ids == hf_greedy(model, embed(model, model.prompt.question(question, 4).ids))


def test_zero_is_zero(model):
    found = model.generate(QUESTIONS, thought_mode="zero", return_thoughts=True)
    for question, generation in zip(QUESTIONS, found, strict=True):
        assert generation.thoughts.abs().max() == 0
        zero = with_vectors(model, question, torch.zeros(4, 16))
        assert generation.token_ids == hf_greedy(model, zero)


def test_shuffle_gives_the_donors_thoughts(model):
    found = model.generate(
        QUESTIONS, thought_mode="shuffle", donors=DONORS, num_samples=3, return_thoughts=True
    )
    with torch.no_grad():
        for number, generation in enumerate(found):
            thoughts = own(model, DONORS[number // 3], number % 3)
            torch.testing.assert_close(generation.thoughts, thoughts, rtol=1e-4, atol=1e-4)
            embeds = with_vectors(model, QUESTIONS[number // 3], thoughts)
            assert generation.token_ids == hf_greedy(model, embeds)


def test_noise_has_the_norms_of_what_it_replaces_and_is_keyed(model):
    options = {"num_samples": 3, "return_thoughts": True}
    normal = model.generate(QUESTIONS, **options)
    noise = model.generate(QUESTIONS, thought_mode="noise", seed=5, **options)
    for number, (real, made) in enumerate(zip(normal, noise, strict=True)):
        torch.testing.assert_close(made.thoughts.norm(dim=-1), real.thoughts.norm(dim=-1))
        for slot in range(4):
            drawn = gaussians(5, number // 3, number % 3, slot, 16)
            cosine = torch.cosine_similarity(drawn, made.thoughts[slot], dim=0)
            assert cosine.item() == pytest.approx(1, abs=1e-5)
    other = model.generate(QUESTIONS, thought_mode="noise", seed=6, **options)
    assert not torch.equal(other[0].thoughts, noise[0].thoughts)


def test_mean_feeds_the_mean_thought_of_each_chain_and_slot(model):
    rows = [torch.stack([own(model, e.question, k) for k in range(3)]) for e in examples(5)]
    torch.testing.assert_close(model.thought_mean, torch.stack(rows).mean(0), rtol=1e-4, atol=1e-4)
    for count in (4, 2):
        found = model.generate(
            QUESTIONS, thought_mode="mean", num_samples=3, num_thoughts=count, return_thoughts=True
        )
        for number, generation in enumerate(found):
            assert torch.equal(generation.thoughts, model.thought_mean[number % 3, :count])
    with pytest.raises(UserError, match=r"5 thoughts, and thought_mode .* has a mean for 4"):
        model.generate(QUESTIONS, thought_mode="mean", num_thoughts=5)


@pytest.mark.parametrize("words", [None, 3])
def test_text_is_the_plain_llm_on_words_the_assistant_wrote(model, words):
    options = {} if words is None else {"num_thoughts": words}
    found = model.generate(QUESTIONS, thought_mode="text", **options)
    reader, tokenizer = model.assistant_lm, model.assistant_tokenizer
    count = words or 24
    for question, generation in zip(QUESTIONS, found, strict=True):
        opening = torch.tensor([model.prompt.assistant_opening(question, count)])
        written = reader.generate(
            opening, attention_mask=torch.ones_like(opening), max_new_tokens=count, do_sample=False,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
        )[0, opening.shape[1] :]  # fmt: skip
        hint = tokenizer.decode(written, skip_special_tokens=True).strip()
        ids = model.prompt.question_with_text(question, hint)
        assert generation.prompt_tokens == len(ids)
        assert generation.num_thoughts == 0
        assert generation.token_ids == hf_greedy(model, embed(model, ids))


def test_the_controls_are_told_apart(model):
    found = {mode: answers(model, thought_mode=mode) for mode in model.thought_modes
             if mode != "shuffle"}  # fmt: skip
    found["shuffle"] = answers(model, thought_mode="shuffle", donors=DONORS)
    assert len(found) == 8
    assert len({str(ids) for ids in found.values()}) == 8


# --- the number of thoughts, engines' prompts --------------------------------------------------


def test_each_question_may_have_a_number_of_its_own(model):
    counts = [4, 0, 1, 4, 9, 0, 2]
    found = model.generate(QUESTIONS, num_thoughts=counts)
    assert [g.num_thoughts for g in found] == counts
    for question, count, generation in zip(QUESTIONS, counts, found, strict=True):
        (alone,) = model.generate([question], num_thoughts=count)
        assert generation.token_ids == alone.token_ids


def test_training_length_and_answering_length_may_differ():
    model = soft(num_thoughts=2, train_thoughts=5)
    (layout,) = laid_out(model, [example(3, 1)])
    assert layout.row.num_thoughts == 5
    assert layout.assistant.count(model.prompt.assistant_placeholder_id) == 5
    assert {g.num_thoughts for g in model.generate(QUESTIONS)} == {2}


def test_an_engine_is_given_what_generate_feeds(model):
    found = model.embedded_prompts(QUESTIONS)
    assert [(p.prompt_index, p.chain) for p in found] == [
        (b, k) for b in range(7) for k in range(3)
    ]
    normal = model.generate(QUESTIONS, num_samples=3, return_thoughts=True)
    for prompt, generation in zip(found, normal, strict=True):
        span = model.prompt.question(QUESTIONS[prompt.prompt_index], 4)
        assert (prompt.ids, prompt.start) == (span.ids, span.start)
        assert prompt.ids[prompt.start : prompt.start + 4] == [model.config.placeholder_id] * 4
        assert prompt.vectors.dtype == model.get_input_embeddings().weight.dtype
        assert not prompt.vectors.requires_grad
        torch.testing.assert_close(prompt.vectors, generation.thoughts)
        embeds = with_vectors(model, QUESTIONS[prompt.prompt_index], prompt.vectors)
        assert hf_greedy(model, embeds) == generation.token_ids
    few = model.embedded_prompts(QUESTIONS[:1], num_thoughts=2, chains=1)
    assert [(p.chain, p.vectors.shape) for p in few] == [(0, (2, 16))]


def test_many_questions_go_through_the_assistant_in_parts(model, monkeypatch):
    """Seven questions of three chains, at most six rows at a time: the thoughts of one pass."""
    whole = model.thoughts(QUESTIONS, 3, 4)
    sizes = []

    def counted(prompts, chains, count):
        sizes.append(len(prompts) * chains)
        return type(model).assistant_states(model, prompts, chains, count)

    monkeypatch.setattr(states, "BATCH", 6)
    monkeypatch.setattr(model, "assistant_states", counted)
    torch.testing.assert_close(model.thoughts(QUESTIONS, 3, 4), whole)
    assert sizes == [6, 6, 6, 3]


@pytest.mark.parametrize("chains", [0, 4])
def test_chains_that_the_checkpoint_lacks_are_an_error(model, chains):
    with pytest.raises(UserError, match=f"chains: the checkpoint has 3 and {chains} are asked for"):
        model.embedded_prompts(QUESTIONS, chains=chains)


def test_a_question_too_long_for_either_model_is_an_error(model):
    long = [" ".join(["w1"] * 70)]
    with pytest.raises(UserError, match="leave no room for an answer in the model's 64 positions"):
        model.generate(long, thought_mode="none")
    wide = soft(base=llm("llama", positions=256)).eval()
    with pytest.raises(UserError, match="the assistant has 64 positions"):
        wide.generate(long)
    with pytest.raises(UserError, match="64 positions"):
        wide.generate(long, thought_mode="text")


def test_questions_that_would_move_the_block_are_refused(model):
    for question in ("", "  ", f"w1 {model.tokenizer.pad_token} w2"):
        with pytest.raises(UserError, match="prompt: "):
            model.generate([question])


def test_generate_leaves_the_model_as_it_was(model):
    trained = soft(num_chains=2, lora=True).train()
    trained.generate(QUESTIONS)
    assert trained.training
    assert trained.language_model.training
    assert not trained.assistant.training

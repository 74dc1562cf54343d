"""vLLM answers prompts with vectors in them as Hugging Face and our own decoder do.

Real engines of tiny fp32 models on the CPU: `make test-vllm`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soft
import tiny
import torch
from engines import ENGINE, ENGINE_ENV, POSITIONS, WIDTH, Checkpoint, make_checkpoint, serve

from latentreason.decoding.decoder import Decoder
from latentreason.errors import UserError
from latentreason.generation import EmbeddedPrompt, Generation
from latentreason.registry import model_class
from latentreason_launch.serving import (
    VECTORS,
    chat_http,
    complete_http,
    engine_prompts,
    generate_offline,
    open_engine,
)

pytestmark = pytest.mark.vllm

LENGTHS = (12, 40, 75, 23, 110, 64)
TOKENS = 24


@pytest.fixture(scope="module")
def _engine_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENGINE_ENV.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Callable[[str], Checkpoint]:
    return functools.cache(lambda family: make_checkpoint(tmp_path_factory.mktemp(family), family))


@pytest.fixture(scope="module")
def llama(checkpoints) -> Checkpoint:
    return checkpoints("llama")


@pytest.fixture(scope="module")
def engines(_engine_environment) -> Callable[..., Any]:
    """Engines by folder and whether they cache prefixes; each takes seconds to open.

    All stay open to the end: the first that goes takes the process groups of the others with it.
    """

    @functools.cache
    def engine(path: Path | str, cached: bool = True) -> Any:
        options = {**ENGINE, "max_model_len": POSITIONS, "enable_prefix_caching": cached}
        return open_engine(str(path), **options)

    return engine


@pytest.fixture(scope="module")
def llm(engines, llama) -> Any:
    return engines(llama.path)


@pytest.fixture(scope="module")
def server(_engine_environment, llama, tmp_path_factory) -> Iterator[str]:
    options = ["--enable-prompt-embeds", "--enforce-eager", "--dtype", "float32"]
    options += ["--max-model-len", str(POSITIONS), "--block-size", "32"]
    with serve(llama.path, tmp_path_factory.mktemp("log") / "server.log", *options) as url:
        yield url


def greedy(**options: Any) -> Any:
    from vllm import SamplingParams

    return SamplingParams(temperature=0.0, max_tokens=TOKENS, **options)


def check(checkpoint: Checkpoint, prompts: list[EmbeddedPrompt], found: list[Generation]) -> None:
    """Every answer is Hugging Face's, and its numbers are right."""
    end = checkpoint.tokenizer.eos_token_id
    for prompt, generation in zip(prompts, found, strict=True):
        written = checkpoint.expected(prompt, TOKENS)
        stopped = written[-1] == end
        visible = written[:-1] if stopped else written
        assert generation.token_ids == visible
        assert generation.text == checkpoint.tokenizer.decode(visible)
        assert generation.num_tokens == len(written)
        assert generation.finish_reason == ("stop" if stopped else "length")
        assert generation.num_thoughts == len(prompt.vectors)
        assert generation.prompt_tokens == len(prompt.ids) - len(prompt.vectors)
        assert (generation.prompt_index, generation.sample_index) == (
            prompt.prompt_index, prompt.chain,
        )  # fmt: skip


@pytest.mark.parametrize("mixed", [True, False], ids=["mixed", "plain"])
@pytest.mark.parametrize(
    ("family", "cached"),
    [("llama", True), ("llama", False), ("qwen2", True), ("gpt2", True)],
    ids=["llama", "llama-uncached", "qwen2", "gpt2"],
)
def test_the_engine_writes_what_hugging_face_writes(checkpoints, engines, family, cached, mixed):
    checkpoint = checkpoints(family)
    prompts = checkpoint.prompts(1, LENGTHS)
    for _ in range(2):  # the second time from the cache, where there is one
        found = generate_offline(
            engines(checkpoint.path, cached),
            prompts,
            greedy(),
            mixed=mixed,
            embedding=checkpoint.embedding,
            tokenizer=checkpoint.tokenizer,
        )
        check(checkpoint, prompts, found)
    assert len({tuple(g.token_ids) for g in found}) >= 4


def test_the_engine_writes_what_our_own_decoder_writes(llama, llm):
    model = model_class("cot").from_causal_lm(str(llama.path)).eval()
    prompts = llama.prompts(2, LENGTHS)
    decoder = Decoder(model, POSITIONS)
    with torch.no_grad():
        hidden = decoder.prefill(
            [p.ids for p in prompts],
            0,
            torch.device("cpu"),
            [(p.start, p.vectors) for p in prompts],
        )
        answers = decoder.write(
            hidden, [(p.prompt_index, p.chain) for p in prompts], end=model.tokenizer.eos_token_id,
            banned=(), max_new_tokens=TOKENS, temperature=0.0, top_p=1.0, seed=0,
        )  # fmt: skip
    found = generate_offline(llm, prompts, greedy())
    assert [g.token_ids for g in found] == [answer.token_ids for answer in answers]
    assert [g.num_tokens for g in found] == [answer.num_tokens for answer in answers]


def test_a_model_with_soft_thoughts_answers_in_the_engine_as_by_itself(engines):
    base = soft.llm(
        "llama", positions=POSITIONS, hidden_size=64, num_attention_heads=2, num_key_value_heads=1
    )
    model = soft.soft(base=base, num_chains=3, num_thoughts=4, max_new_tokens=TOKENS)
    questions = [tiny.example(2 + n, 1, n).question for n in range(5)]
    prompts = model.embedded_prompts(questions)
    found = generate_offline(engines(base), prompts, greedy())
    assert found == model.generate(questions, num_samples=3)
    assert len({g.text for g in found}) > len(questions)


@pytest.mark.parametrize("mixed", [True, False], ids=["mixed", "plain"])
def test_chains_in_one_call_equal_each_alone(llama, llm, mixed):
    prompts = llama.prompts(3, (70, 33), chains=6)
    options = {"mixed": mixed, "embedding": llama.embedding}
    together = generate_offline(llm, prompts, greedy(), **options)
    alone = [generate_offline(llm, [prompt], greedy(), **options)[0] for prompt in prompts]
    assert together == alone
    check(llama, prompts, together)
    assert len({tuple(g.token_ids) for g in together}) > 6
    assert {g.finish_reason for g in together} == {"stop", "length"}
    assert [g.sample_index for g in together] == [*range(6), *range(6)]


@pytest.mark.parametrize("mixed", [True, False], ids=["mixed", "plain"])
def test_chains_share_the_prefix_before_their_vectors(llama, llm, mixed):
    prompts = llama.prompts(4, (75,), chains=3)
    inputs = engine_prompts(prompts, mixed=mixed, embedding=llama.embedding)
    assert [llm.generate(one, greedy(), use_tqdm=False)[0].num_cached_tokens for one in inputs] == [
        0, 64, 64,
    ]  # fmt: skip


@pytest.mark.parametrize("mixed", [True, False], ids=["mixed", "plain"])
def test_embeddings_of_words_read_like_the_words(llama, llm, mixed):
    prompts = [
        dataclasses.replace(p, vectors=llama.embedding[torch.tensor(ids[p.start : p.start + 4])])
        for p, ids in ((p, words(p)) for p in llama.prompts(5, LENGTHS))
    ]
    as_ids = [
        dataclasses.replace(p, ids=words(p), start=-1, vectors=p.vectors[:0]) for p in prompts
    ]
    # Both kinds in one call.
    found = generate_offline(
        llm, [*prompts, *as_ids], greedy(), mixed=mixed, embedding=llama.embedding
    )
    for vectors, ids in zip(found[: len(prompts)], found[len(prompts) :], strict=True):
        assert vectors.token_ids == ids.token_ids
        assert (ids.num_thoughts, ids.prompt_tokens) == (0, vectors.prompt_tokens + 4)


def words(prompt: EmbeddedPrompt) -> list[int]:
    """The ids with words in the place of the vectors."""
    place = prompt.start
    return prompt.ids[:place] + [7, 8, 9, 10] + prompt.ids[place + 4 :]


def test_zero_vectors_are_not_mistaken_for_ids_in_the_cache(llama, llm):
    """vLLM issue 56655: ids and rows of these two are equal, their masks are not."""
    [prompt] = llama.prompts(3, (80,))
    ids = [*prompt.ids]
    ids[0:24] = ids[28:52] = [0] * 24
    pair = [
        dataclasses.replace(prompt, ids=ids, start=start, vectors=torch.zeros(24, WIDTH))
        for start in (0, 28)
    ]
    assert llama.expected(pair[0], TOKENS) != llama.expected(pair[1], TOKENS)
    for one in pair:
        check(llama, [one], generate_offline(llm, [one], greedy()))


def test_equal_chains_draw_different_words_and_a_seed_repeats_them(llama, llm):
    from vllm import SamplingParams

    [prompt] = llama.prompts(7, (30,))
    chains = [dataclasses.replace(prompt, chain=chain) for chain in range(4)]
    params = SamplingParams(temperature=2.0, max_tokens=TOKENS, seed=3)
    found = generate_offline(llm, chains, params)
    assert len({tuple(g.token_ids) for g in found}) == 4
    assert generate_offline(llm, chains[::-1], params) == found[::-1]
    other = generate_offline(
        llm, chains, SamplingParams(temperature=2.0, max_tokens=TOKENS, seed=4)
    )
    assert other != found


def test_several_samples_of_a_chain_are_numbered_through(llama, llm):
    from vllm import SamplingParams

    prompts = llama.prompts(8, (20, 31), chains=2)
    params = SamplingParams(temperature=2.0, max_tokens=4, seed=0, n=3)
    found = generate_offline(llm, prompts, params)
    assert [g.sample_index for g in found] == [0, 2, 4, 1, 3, 5] * 2
    assert [g.prompt_index for g in found] == [0] * 6 + [1] * 6


def test_an_answer_ends_at_a_stop_token_or_string(llama, llm):
    prompts = llama.prompts(9, LENGTHS)
    whole = next(g for g in generate_offline(llm, prompts, greedy()) if g.num_tokens == TOKENS)
    prompt, token = prompts[whole.prompt_index], whole.token_ids[4]
    place = whole.token_ids.index(token)
    [found] = generate_offline(llm, [prompt], greedy(stop_token_ids=[token]))
    assert (found.token_ids, found.finish_reason) == (whole.token_ids[:place], "stop")
    assert found.num_tokens == place + 1
    word = llama.tokenizer.decode([token])
    [found] = generate_offline(llm, [prompt], greedy(stop=[word]))
    assert found.finish_reason == "stop"
    assert word not in found.text
    assert whole.text.startswith(found.text.strip())


def test_what_does_not_fit_the_engine_is_refused(llama, llm):
    [prompt] = llama.prompts(10, (20,))
    with pytest.raises(UserError, match="hidden size of 64"):
        generate_offline(llm, [dataclasses.replace(prompt, vectors=torch.zeros(4, 32))], greedy())
    [long] = llama.prompts(10, (POSITIONS,))
    with pytest.raises(UserError, match="max_model_len"):
        generate_offline(llm, [long], greedy())


def test_the_server_writes_what_hugging_face_writes(llama, server):
    prompts = llama.prompts(11, LENGTHS, chains=2)
    found = complete_http(
        server, "tiny", prompts, embedding=llama.embedding, max_tokens=TOKENS,
        tokenizer=llama.tokenizer,
    )  # fmt: skip
    check(llama, prompts, found)
    plain = dataclasses.replace(prompts[0], start=-1, vectors=prompts[0].vectors[:0])
    [as_ids] = complete_http(server, "tiny", [plain], max_tokens=TOKENS, tokenizer=llama.tokenizer)
    check(llama, [plain], [as_ids])


def test_the_server_draws_what_the_engine_draws(llama, llm, server):
    from vllm import SamplingParams

    prompts = llama.prompts(12, LENGTHS)
    params = SamplingParams(temperature=0.7, top_p=0.95, max_tokens=TOKENS, seed=5)
    assert generate_offline(llm, prompts, params) == complete_http(
        server, "tiny", prompts, embedding=llama.embedding, max_tokens=TOKENS, temperature=0.7,
        top_p=0.95, seed=5, tokenizer=llama.tokenizer,
    )  # fmt: skip


def test_the_server_says_what_it_refuses(llama, server):
    [prompt] = llama.prompts(13, (20,))
    narrow = dataclasses.replace(prompt, vectors=torch.zeros(4, 32))
    with pytest.raises(UserError, match=r"question 0, chain 0: http 400.*hidden_size 32"):
        complete_http(server, "tiny", [narrow], embedding=torch.zeros(200, 32))


def test_a_chat_becomes_our_ids_and_gives_our_answers(llama, llm, server):
    tokenizer = llama.tokenizer
    conversations, prompts = [], []
    for number, plain in enumerate(llama.prompts(14, LENGTHS)):
        before, after = f"w{number} w7 w80", f"w{3 * number} w2"
        # The template with the parts joined by newlines, as vLLM joins them.
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": f"{before}\n{tokenizer.eos_token}\n{after}"}],
            add_generation_prompt=True,
            tokenize=False,
        )
        ids = tokenizer.encode(rendered, add_special_tokens=False)
        start = ids.index(tokenizer.eos_token_id)
        ids[start : start + 1] = [tokenizer.eos_token_id] * 4
        prompts.append(dataclasses.replace(plain, ids=ids, start=start))
        conversations.append([{"role": "user", "content": [before, VECTORS, after]}])
    options = {"max_tokens": TOKENS, "tokenizer": tokenizer}
    found = chat_http(server, "tiny", conversations, prompts, **options)
    check(llama, prompts, found)
    assert found == generate_offline(llm, prompts, greedy())

    conversations[2][0]["content"][0] += " w5"
    with pytest.raises(UserError, match="question 2, chain 0 becomes"):
        chat_http(server, "tiny", conversations, prompts, **options)
    conversations[2][0]["content"][0] = "w2 w7 w81"
    with pytest.raises(UserError, match="position 4 of question 2, chain 0"):
        chat_http(server, "tiny", conversations, prompts, **options)

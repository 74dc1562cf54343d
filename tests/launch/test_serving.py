"""What an engine is given and what is made of its answers, without an engine."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentreason.errors import UserError
from latentreason.generation import EmbeddedPrompt
from latentreason_launch.serving import (
    VECTORS,
    chat_http,
    complete_http,
    engine_prompts,
    generate_offline,
    open_engine,
)

TABLE = torch.arange(60.0).reshape(20, 3)


def prompt(length: int = 8, start: int = 2, count: int = 3, **more: Any) -> EmbeddedPrompt:
    """Ids 1, 2, ...; vectors of 100 and above; id 99, outside the table, where they stand."""
    ids = list(range(1, length + 1))
    ids[start : start + count] = [99] * count
    vectors = 100 + torch.arange(count * 3.0).reshape(count, 3)
    return EmbeddedPrompt(
        **{"ids": ids, "start": start, "vectors": vectors, "prompt_index": 0, "chain": 0, **more}
    )


PLAIN = EmbeddedPrompt([4, 5, 6], -1, torch.zeros(0, 3), 1, 0)

# --- what an engine is given ----------------------------------------------------------------------


@given(st.data())
def test_each_position_comes_from_its_id_or_its_vector(data):
    length = data.draw(st.integers(1, 12))
    count = data.draw(st.integers(1, length))
    one = prompt(length, data.draw(st.integers(0, length - count)), count)
    expected = TABLE[torch.tensor([0 if i == 99 else i for i in one.ids])].clone()
    expected[one.start : one.start + count] = one.vectors

    [plain] = engine_prompts([one], mixed=False, embedding=TABLE)
    assert plain.keys() == {"prompt_embeds"}
    assert torch.equal(plain["prompt_embeds"], expected)

    [mixed] = engine_prompts([one])
    ids = torch.tensor([0 if i == 99 else i for i in mixed["prompt_token_ids"]])
    mask = torch.tensor(mixed["prompt_is_token_ids"])[:, None]
    assert torch.equal(torch.where(mask, TABLE[ids], mixed["prompt_embeds"]), expected)
    assert not mixed["prompt_embeds"][mask[:, 0]].any()


@pytest.mark.parametrize("mixed", [True, False])
def test_a_prompt_without_vectors_is_plain_ids(mixed):
    assert engine_prompts([PLAIN], mixed=mixed) == [{"prompt_token_ids": [4, 5, 6]}]


def salts(*prompts: EmbeddedPrompt, **options: Any) -> list[str | None]:
    return [made.get("cache_salt") for made in engine_prompts(prompts, **options)]


def test_chains_share_a_salt_and_layouts_do_not():
    chains = [prompt(chain=chain, vectors=torch.randn(3, 3)) for chain in range(3)]
    assert len(set(salts(*chains, prompt(12, prompt_index=5)))) == 1
    assert (
        len(set(salts(prompt(), prompt(start=3), prompt(count=2), prompt(start=1, count=2)))) == 4
    )
    assert all(isinstance(salt, str) and 0 < len(salt) <= 1024 for salt in salts(prompt()))


def test_only_a_mask_needs_a_salt():
    assert salts(PLAIN) == [None]
    assert salts(prompt(), salt=False) == [None]
    assert salts(prompt(), mixed=False, embedding=TABLE) == [None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_rows_keep_the_dtype(dtype):
    one = prompt()
    one = dataclasses.replace(one, vectors=one.vectors.to(dtype).requires_grad_())
    [mixed] = engine_prompts([one])
    assert (mixed["prompt_embeds"].dtype, mixed["prompt_embeds"].requires_grad) == (dtype, False)
    [plain] = engine_prompts([one], mixed=False, embedding=TABLE.to(torch.float16))
    assert plain["prompt_embeds"].dtype == torch.float16


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (prompt(vectors=torch.zeros(3)), r"shape \(L, H\)"),
        (prompt(vectors=torch.zeros(3, 3, dtype=torch.long)), "give floats"),
        (prompt(start=6, count=2, vectors=torch.zeros(3, 3)), "do not fit into the 8 ids"),
        (prompt(start=-1, count=0, vectors=torch.zeros(3, 3)), "from position -1 do not fit"),
    ],
)
def test_vectors_that_do_not_fit_their_prompt_are_refused(one, words):
    with pytest.raises(UserError, match=words):
        engine_prompts([one])


@pytest.mark.parametrize(
    ("embedding", "words"),
    [
        (None, "need the model's input embeddings"),
        (torch.zeros(20, 4), r"\(20, 4\) does not go with vectors of 3"),
        (torch.zeros(5, 3), "id 8 of question 0, chain 0 is not among its 5 rows"),
    ],
)
def test_a_missing_or_wrong_table_is_refused(embedding, words):
    with pytest.raises(UserError, match=words):
        engine_prompts([prompt()], mixed=False, embedding=embedding)


# --- an engine in this process --------------------------------------------------------------------


def fake_llm(**config: Any) -> Any:
    settings = {"max_model_len": 32, "enable_prompt_embeds": True, "dtype": torch.float32, **config}
    settings["get_hidden_size"] = lambda: 3
    return SimpleNamespace(llm_engine=SimpleNamespace(model_config=SimpleNamespace(**settings)))


@pytest.fixture
def vllm(monkeypatch):
    module = SimpleNamespace(__version__="0.32.0+cpu")
    monkeypatch.setitem(sys.modules, "vllm", module)
    return module


def test_an_engine_that_takes_no_vectors_is_refused(vllm):
    with pytest.raises(UserError, match="enable_prompt_embeds=True"):
        generate_offline(fake_llm(enable_prompt_embeds=False), [prompt()], None)


def test_mixed_prompts_need_a_newer_engine(vllm):
    vllm.__version__ = "0.20.2"
    with pytest.raises(UserError, match=r"vLLM 0\.20\.2 .* give mixed=False"):
        generate_offline(fake_llm(), [prompt()], None)
    with pytest.raises(UserError, match="need the model's input embeddings"):
        generate_offline(fake_llm(), [prompt()], None, mixed=False)


def test_what_does_not_fit_the_model_is_refused(vllm):
    with pytest.raises(UserError, match=r"4 wide for question 0, chain 0, .* hidden size of 3"):
        generate_offline(fake_llm(), [prompt(vectors=torch.zeros(3, 4))], None)
    with pytest.raises(UserError, match=r"8 positions .* raise max_model_len"):
        generate_offline(fake_llm(max_model_len=8), [prompt()], None)


def test_a_missing_vllm_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"latentreason\[serve\]") as caught:
        open_engine("model")
    assert "\n" not in str(caught.value)


def test_a_latentreason_checkpoint_is_no_base_model(vllm, tmp_path):
    (tmp_path / "config.json").write_text('{"format_version": 1}')
    with pytest.raises(UserError, match="latentreason export"):
        open_engine(str(tmp_path))


# --- a server -------------------------------------------------------------------------------------


class Server:
    """Answers by `reply(body, attempt) -> (status, body)` and keeps what it was asked."""

    def __init__(self) -> None:
        self.reply: Callable[[dict[str, Any], int], tuple[int, Any]] = lambda body, attempt: (
            200, answer()
        )  # fmt: skip
        self.asked: list[dict[str, Any]] = []
        server, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.asked.append(body | {"path": self.path})
                    attempt = sum(one["seed"] == body["seed"] for one in server.asked)
                status, reply = server.reply(body, attempt)
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


def answer(ids: list[int] | None = None, **choice: Any) -> dict[str, Any]:
    one = {"text": "said", "token_ids": [7, 8, 0] if ids is None else ids}
    return {"choices": [one | {"finish_reason": "stop", "stop_reason": None} | choice]}


def decode(data: str) -> torch.Tensor:
    return torch.load(io.BytesIO(base64.b64decode(data)), weights_only=True)


QUICK = {"retries": 2, "backoff": 0.01, "timeout": 5}


def test_a_completion_carries_every_row_and_no_default_of_the_server(server):
    [found] = complete_http(
        server.url, "m", [prompt(chain=3)], embedding=TABLE, max_tokens=9, temperature=0.5,
        extra={"logit_bias": {"4": -100}}, **QUICK,
    )  # fmt: skip
    [asked] = server.asked
    [made] = engine_prompts([prompt()], mixed=False, embedding=TABLE)
    assert torch.equal(decode(asked["prompt_embeds"]), made["prompt_embeds"])
    assert asked["path"] == "/v1/completions"
    assert "prompt" not in asked
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("m", 9, 0.5)
    assert asked["logit_bias"] == {"4": -100}
    assert (asked["top_k"], asked["min_p"], asked["repetition_penalty"]) == (0, 0.0, 1.0)
    assert (found.text, found.token_ids, found.num_tokens) == ("said", [7, 8], 3)
    assert (found.num_thoughts, found.prompt_tokens, found.sample_index) == (3, 5, 3)


def test_a_view_of_many_vectors_travels_alone(server):
    many = torch.randn(1000, 3, 3)
    chat_http(server.url, "m", [], [], **QUICK)
    server.reply = lambda body, attempt: (200, answer() | {"prompt_token_ids": prompt().ids})
    turns = [{"role": "user", "content": [VECTORS]}]
    chat_http(server.url, "m", [turns], [prompt(vectors=many[5])], **QUICK)
    [part] = server.asked[0]["messages"][0]["content"]
    assert torch.equal(decode(part["data"]), many[5])
    assert len(part["data"]) < 4000


def test_answers_come_in_the_order_of_the_prompts_with_seeds_of_their_own(server):
    server.reply = lambda body, attempt: (200, answer([body["seed"] % 1000, 0]))
    prompts = [prompt(prompt_index=q, chain=c) for q in range(5) for c in range(3)]
    found = complete_http(server.url, "m", prompts, embedding=TABLE, **QUICK)
    assert [(g.prompt_index, g.sample_index) for g in found] == [
        (q, c) for q in range(5) for c in range(3)
    ]
    assert len({asked["seed"] for asked in server.asked}) == 15
    again = complete_http(server.url, "m", prompts[::-1], embedding=TABLE, **QUICK)
    assert again == found[::-1]
    other = complete_http(server.url, "m", prompts, embedding=TABLE, seed=1, **QUICK)
    assert other != found


@pytest.mark.parametrize(
    "fault", [(503, "busy"), (429, {}), (200, "no completion"), (200, {"choices": []})]
)
def test_a_passing_fault_is_retried(server, fault):
    server.reply = lambda body, attempt: fault if attempt <= 2 else (200, answer())
    [found] = complete_http(server.url, "m", [prompt()], embedding=TABLE, **QUICK)
    assert found.text == "said"
    assert len(server.asked) == 3


@pytest.mark.parametrize(("fault", "attempts"), [((503, "busy"), 3), ((400, "wrong width"), 1)])
def test_a_lasting_fault_names_its_request(server, fault, attempts):
    server.reply = lambda body, attempt: fault
    with pytest.raises(UserError, match=f"question 0, chain 2: http {fault[0]}.*{fault[1]}"):
        complete_http(server.url, "m", [prompt(chain=2)], embedding=TABLE, **QUICK)
    assert len(server.asked) == attempts


def test_an_answer_that_is_cut_off_or_stopped_by_a_string_keeps_its_last_token(server):
    server.reply = lambda body, attempt: (200, answer(finish_reason="length"))
    [found] = complete_http(server.url, "m", [PLAIN], **QUICK)
    assert (found.finish_reason, found.token_ids, found.num_tokens) == ("length", [7, 8, 0], 3)
    assert server.asked[0]["prompt"] == [4, 5, 6]
    server.reply = lambda body, attempt: (200, answer(stop_reason="###"))
    [found] = complete_http(server.url, "m", [PLAIN], tokenizer=None, **QUICK)
    assert (found.finish_reason, found.token_ids) == ("stop", [7, 8, 0])


TURNS = [{"role": "system", "content": "s"}, {"role": "user", "content": ["a", VECTORS, "b"]}]


def test_a_chat_carries_the_vectors_only(server):
    ids = [1, 2, 55, 55, 55, 6, 7, 8]
    server.reply = lambda body, attempt: (200, answer() | {"prompt_token_ids": ids})
    chat_http(server.url, "m", [TURNS], [prompt()], **QUICK)
    [asked] = server.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["messages"][0] == TURNS[0]
    before, vectors, after = asked["messages"][1]["content"]
    assert (before, after) == ({"type": "text", "text": "a"}, {"type": "text", "text": "b"})
    assert vectors["type"] == "prompt_embeds"
    assert torch.equal(decode(vectors["data"]), prompt().vectors)
    assert asked["cache_salt"] == salts(prompt())[0]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([1, 2, 55, 55, 55, 6, 7], "becomes 7 ids at the server, 8 here"),
        ([1, 2, 55, 55, 55, 6, 9, 8], "position 6 .* is 9 at the server, 7 here"),
        (None, "returns no prompt ids"),
    ],
)
def test_a_chat_that_becomes_other_ids_is_refused(server, ids, words):
    server.reply = lambda body, attempt: (200, answer() | {"prompt_token_ids": ids})
    with pytest.raises(UserError, match=words):
        chat_http(server.url, "m", [TURNS], [prompt()], **QUICK)


@pytest.mark.parametrize(
    "turns", [TURNS[:1], [*TURNS, TURNS[1]], [{"role": "user", "content": [VECTORS, VECTORS]}]]
)
def test_vectors_stand_in_a_chat_once(server, turns):
    with pytest.raises(UserError, match="give VECTORS once"):
        chat_http(server.url, "m", [turns], [prompt()], **QUICK)
    assert not server.asked

"""The HTTP backend against a local server that works, hangs, refuses and talks nonsense."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from latentreason.errors import UserError
from latentreason_eval.api import evaluate
from latentreason_eval.backends.http import Endpoint

Reply = tuple[int, Any]


class Server:
    """Answers completions by `reply(question, attempt) -> (status, body)`; counts attempts."""

    def __init__(self) -> None:
        self.reply: Callable[[str, int], Reply] = lambda question, attempt: (200, right(question))
        self.attempts: dict[str, int] = {}
        self.bodies: list[dict[str, Any]] = []
        self.running = self.most = 0
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send(200, {"data": [{"id": "tiny"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked = body.get("prompt") or body["messages"][-1]["content"]
                with lock:
                    server.bodies.append(body | {"path": self.path})
                    server.attempts[asked] = attempt = server.attempts.get(asked, 0) + 1
                    server.running += 1
                    server.most = max(server.most, server.running)
                time.sleep(0.01)
                status, reply = server.reply(asked, attempt)
                with lock:
                    server.running -= 1
                self.send(status, reply)

            def send(self, status: int, body: Any) -> None:
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    pass  # the client has hung up, as it should

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


def right(question: str, **message: Any) -> dict[str, Any]:
    total = sum(int(word) for word in question.split() if word.isdigit())
    choice = {"text": f"#### {total}", "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


QUICK = {"timeout": 0.3, "retries": 2, "backoff": 0.01, "concurrency": 6}


def score(server: Server, data: Any, out: Any, endpoint: Any = None, **more: Any) -> Any:
    return evaluate(
        server.url,
        "state_tracking",
        data=str(data),
        out=out,
        endpoint=QUICK | (endpoint or {}),
        show_progress=False,
        **more,
    )


def test_every_question_is_asked_once_and_several_at_a_time(server, sums_file, tmp_path):
    row = score(server, sums_file, tmp_path / "o")
    assert (row["n"], row["accuracy"], row["errors"]) == (30, 1.0, 0)
    assert (row["prompt_tokens"], row["tokens"], row["method"]) == (5, 3, "tiny")
    assert set(server.attempts.values()) == {1}
    assert 1 < server.most <= 6
    assert row["seconds_per_question"] >= 0.01
    assert row["flops_per_sample"] is None


def test_a_passing_fault_is_retried(server, sums_file, tmp_path):
    def reply(question: str, attempt: int) -> Reply:
        faults: list[Reply] = [(503, "busy"), (200, "<html>not json")]
        return faults[attempt - 1] if attempt <= 2 else (200, right(question))

    server.reply = reply
    row = score(server, sums_file, tmp_path / "o")
    assert (row["accuracy"], row["errors"]) == (1.0, 0)
    assert set(server.attempts.values()) == {3}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((200, "garbage"), "garbage"),
        ((200, {"choices": []}), "0 choices"),
        ((200, {"choices": [{"message": {"content": None}}]}), "garbage"),
        ((500, "broken"), "http 500"),
        ("hang", "timeout"),
    ],
)
def test_lasting_faults_are_errors_apart_from_wrong_answers(
    server, sums_file, tmp_path, fault, words
):
    def reply(question: str, attempt: int) -> Reply:
        if question.endswith(" 7"):
            if fault == "hang":
                time.sleep(1)
                return 200, right(question)
            return fault
        return 200, right(question)

    server.reply = reply
    row = score(server, sums_file, tmp_path / "o")
    lines = (tmp_path / "o" / "records.jsonl").read_text().splitlines()
    bad = [json.loads(line) for line in lines if json.loads(line)["error"]]
    assert len(lines) == 30
    assert bad
    assert row["errors"] == len(bad)
    assert (row["n"], row["accuracy"]) == (30 - len(bad), 1.0)
    assert all(words in record["error"] and record["correct"] is None for record in bad)
    assert max(server.attempts.values()) == 3
    # Nothing is lost: the same command asks for the missing ones only.
    server.reply = lambda question, attempt: (200, right(question))
    server.attempts.clear()
    again = score(server, sums_file, tmp_path / "o")
    assert (again["n"], again["errors"]) == (30, 0)
    assert set(server.attempts) == {record["question"] for record in bad}


def test_a_refused_request_is_not_repeated(server, sums_file, tmp_path):
    server.reply = lambda question, attempt: (400, "too long")
    row = score(server, sums_file, tmp_path / "o")
    assert (row["errors"], row["n"]) == (30, 0)
    assert set(server.attempts.values()) == {1}


def test_an_endpoint_that_is_gone_is_one_line(server, sums_file, tmp_path):
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(UserError, match="lists no model") as error:
        score(server, sums_file, tmp_path / "o")
    assert "\n" not in str(error.value)


def test_a_server_that_dies_in_the_middle_loses_nothing(server, sums_file, tmp_path):
    def reply(question: str, attempt: int) -> Reply:
        if len(server.attempts) > 10:
            server.http.socket.close()
        return 200, right(question)

    server.reply = reply
    row = score(server, sums_file, tmp_path / "o", endpoint={"concurrency": 1})
    assert row["n"] + row["errors"] == 30
    assert 10 <= row["n"] < 30
    assert row["accuracy"] == 1.0


def test_chat_and_its_instruction(server, sums_file, tmp_path):
    chat = {"api": "chat", "instruction": "Add.", "model": "big", "extra": {"top_k": 5}}
    server.reply = lambda question, attempt: (
        200,
        {"choices": [{"message": {"content": right(question)["choices"][0]["text"]}}]},
    )
    row = score(server, sums_file, tmp_path / "o", endpoint=chat, max_new_tokens=9)
    assert row["accuracy"] == 1.0
    body = server.bodies[0]
    assert body["path"] == "/v1/chat/completions"
    assert body["messages"][0] == {"role": "system", "content": "Add."}
    assert (body["model"], body["top_k"], body["max_tokens"]) == ("big", 5, 9)


def test_several_samples_are_one_request(server, sums_file, tmp_path):
    def reply(question: str, attempt: int) -> Reply:
        answer = right(question)
        answer["choices"] = [*answer["choices"], {"text": "#### 1000", "finish_reason": "stop"}]
        return 200, answer

    server.reply = reply
    row = score(server, sums_file, tmp_path / "o", num_samples=2, temperature=1.0)
    assert row["pass_at_k"] == {"1": 0.5, "2": 1.0}
    assert {body["n"] for body in server.bodies} == {2}


@pytest.mark.parametrize(
    "arguments",
    [{"thought_mode": "zero"}, {"num_thoughts": 2}, {"controls": True}, {"sweep": "thoughts=0..2"}],
)
def test_what_an_endpoint_cannot_be_told_is_refused(server, sums_file, tmp_path, arguments):
    with pytest.raises(UserError, match=f"{next(iter(arguments))}: an endpoint"):
        score(server, sums_file, tmp_path / "o", **arguments)


def test_endpoint_settings_are_checked():
    with pytest.raises(UserError, match='did you mean "chat"'):
        Endpoint("http://x/v1", api="chatt")
    with pytest.raises(UserError, match="concurrency: 0"):
        Endpoint("http://x/v1", concurrency=0)
    with pytest.raises(UserError, match='endpoint: "concurency"'):
        evaluate("http://x/v1", "state_tracking", out="o", endpoint={"concurency": 3})

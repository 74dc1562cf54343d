"""An OpenAI-compatible endpoint: many requests at once, retried with back-off, errors apart."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from latentreason.errors import UserError, check_choice
from latentreason_eval.sample import Question, Sample, Sampling

RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask.

    Attributes:
        url: base address, up to and including /v1.
        model: the model's name there; None takes the first that the endpoint lists.
        api: "completions" sends the question as text, "chat" as a user turn.
        instruction: put before the question (completions) or as the system turn (chat).
        concurrency: requests in flight.
        timeout: seconds until a request counts as hanging.
        retries: attempts after the first.
        backoff: seconds before the first retry; doubled each time, with jitter.
        key_variable: environment variable that holds the API key.
        extra: further fields of the request body, such as vLLM's `vllm_xargs`.
    """

    url: str
    model: str | None = None
    api: str = "completions"
    instruction: str = ""
    concurrency: int = 8
    timeout: float = 120.0
    retries: int = 4
    backoff: float = 1.0
    key_variable: str = "OPENAI_API_KEY"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("api", self.api, ("completions", "chat"))
        if self.concurrency < 1:
            raise UserError(f"concurrency: {self.concurrency} is too small; give 1 or more")
        if self.timeout <= 0:
            raise UserError(f"timeout: {self.timeout} seconds is too small; give more than 0")
        if self.retries < 0 or self.backoff < 0:
            raise UserError("retries and backoff: give 0 or more")


class GarbageError(ValueError):
    """The endpoint answered with something that is not a completion."""


def open_client(endpoint: Endpoint) -> Any:
    """Return an httpx client with the endpoint's key, time limit and number of connections.

    Raises:
        UserError: httpx is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise UserError(
            'httpx is needed to ask an endpoint: pip install "latentreason[eval]"'
        ) from error
    key = os.environ.get(endpoint.key_variable)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx.Limits(max_connections=endpoint.concurrency)
    return httpx.Client(timeout=endpoint.timeout, headers=headers, limits=limits)


def back_off(endpoint: Endpoint, attempt: int) -> None:
    """Wait before a repeated attempt (from 1): twice as long each time.

    Jitter keeps the requests of a burst from coming back as a burst.
    """
    time.sleep(endpoint.backoff * 2 ** (attempt - 1) * (0.5 + random.random()))


class HttpBackend:
    """Asks an endpoint; every question ends as samples or as an error, none is lost."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.parallel = endpoint.concurrency
        self._client = open_client(endpoint)
        self._model = endpoint.model or self._first_model()

    def describe(self) -> dict[str, Any]:
        """Return address, model and what shapes the request."""
        return {
            "checkpoint": self.endpoint.url,
            "method": self._model,
            "api": self.endpoint.api,
            "instruction": self.endpoint.instruction,
            "extra": dict(self.endpoint.extra),
        }

    def answer(self, questions: Sequence[Question], sampling: Sampling) -> Iterator[list[Sample]]:
        """Yield the samples of each question as its request ends; see `Backend`."""
        with ThreadPoolExecutor(self.endpoint.concurrency) as pool:
            waiting = [pool.submit(self._ask, question, sampling) for question in questions]
            try:
                for done in as_completed(waiting):
                    yield done.result()
            finally:
                for future in waiting:
                    future.cancel()

    def _ask(self, question: Question, sampling: Sampling) -> list[Sample]:
        begin = time.perf_counter()
        error = ""
        for attempt in range(self.endpoint.retries + 1):
            if attempt:
                back_off(self.endpoint, attempt)
            try:
                return self._once(question, sampling, begin)
            except GarbageError as problem:
                error = f"garbage: {problem}"
            except Exception as problem:
                error, again = _explain(problem)
                if not again:
                    break
        return [
            Sample(question.index, number, "", finish_reason="error", error=error)
            for number in range(sampling.num_samples)
        ]

    def _once(self, question: Question, sampling: Sampling, begin: float) -> list[Sample]:
        path = "chat/completions" if self.endpoint.api == "chat" else "completions"
        response = self._client.post(
            f"{self.endpoint.url.rstrip('/')}/{path}", json=self._body(question, sampling)
        )
        response.raise_for_status()
        try:
            body = response.json()
            texts = [_text(choice) for choice in body["choices"]]
            reasons = [choice.get("finish_reason") or "stop" for choice in body["choices"]]
            usage = body.get("usage") or {}
            prompt, written = int(usage.get("prompt_tokens", 0)), usage.get("completion_tokens", 0)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise GarbageError(f"{type(problem).__name__}: {response.text[:80]!r}") from problem
        if len(texts) != sampling.num_samples:
            raise GarbageError(f"{len(texts)} choices where {sampling.num_samples} were asked for")
        seconds = (time.perf_counter() - begin) / len(texts)
        return [
            Sample(
                index=question.index,
                sample=number,
                text=text,
                prompt_tokens=prompt,
                num_tokens=round(int(written) / len(texts)),
                finish_reason=reason,
                seconds=seconds,
            )
            for number, (text, reason) in enumerate(zip(texts, reasons, strict=True))
        ]

    def _body(self, question: Question, sampling: Sampling) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "n": sampling.num_samples,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed * 1_000_003 + question.index,
            **self.endpoint.extra,
        }
        if sampling.max_new_tokens is not None:
            body["max_tokens"] = sampling.max_new_tokens
        if self.endpoint.api == "chat":
            turns = [{"role": "user", "content": question.text}]
            if self.endpoint.instruction:
                turns.insert(0, {"role": "system", "content": self.endpoint.instruction})
            return body | {"messages": turns}
        return body | {"prompt": f"{self.endpoint.instruction}{question.text}"}

    def _first_model(self) -> str:
        import httpx

        try:
            response = self._client.get(f"{self.endpoint.url.rstrip('/')}/models")
            response.raise_for_status()
            return str(response.json()["data"][0]["id"])
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            raise UserError(
                f"checkpoint: {self.endpoint.url} lists no model ({type(error).__name__}: "
                f"{error}); start the server, mend the address, or name the model"
            ) from error


def _text(choice: Mapping[str, Any]) -> str:
    text = choice["text"] if "text" in choice else choice["message"]["content"]
    if not isinstance(text, str):
        raise TypeError("no text in the answer")
    return text


def _explain(problem: Exception) -> tuple[str, bool]:
    """Return (what went wrong, whether another attempt may help)."""
    import httpx

    if isinstance(problem, httpx.HTTPStatusError):
        code = problem.response.status_code
        return f"http {code}: {problem.response.text[:80]!r}", code in RETRIED
    if isinstance(problem, httpx.TimeoutException):
        return "timeout", True
    if isinstance(problem, httpx.HTTPError):
        return f"{type(problem).__name__}: {problem}", True
    raise problem

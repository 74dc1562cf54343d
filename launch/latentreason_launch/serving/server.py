"""Answers by a vLLM server, over its OpenAI-compatible HTTP interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from torch import Tensor

from latentreason.errors import UserError
from latentreason.generation import EmbeddedPrompt, Generation
from latentreason_eval.backends.http import RETRIED, Endpoint, back_off, open_client
from latentreason_launch.serving.prompts import (
    cache_salt,
    check_prompt,
    encode,
    engine_prompts,
    request_seed,
    token_mask,
    where,
)
from latentreason_launch.serving.results import generation

VECTORS = object()
"""Stands in a message's content for the vectors of the prompt."""

# A server fills what a request leaves open from the model's generation_config.json.
NEUTRAL = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}


def complete_http(
    base_url: str,
    model: str,
    prompts: Sequence[EmbeddedPrompt],
    *,
    embedding: Tensor | None = None,
    max_tokens: int = 64,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    tokenizer: Any = None,
    extra: Mapping[str, Any] | None = None,
    **connection: Any,
) -> list[Generation]:
    """Answer prompts by `/v1/completions`, one request each; the generations come in their order.

    Args:
        base_url: address of the server, up to and including /v1.
        model: the name it serves the model under.
        prompts: ids and the vectors among them.
        embedding: (V, H), the model's input embeddings: every position travels as a vector.
        max_tokens: most tokens per answer, the end token included.
        temperature: 0 is greedy.
        top_p: nucleus; 1 keeps everything.
        seed: made into one for each (question, chain).
        tokenizer: decodes the answers' ids; None takes the server's text.
        extra: further fields of the request, such as `logit_bias`.
        connection: `concurrency`, `timeout`, `retries`, `backoff`, `key_variable` of
            `latentreason_eval.backends.http.Endpoint`.

    Raises:
        UserError: prompts without their embedding, or a request that the server refuses or that
            fails for good; the message names it.
    """

    def body(place: int) -> dict[str, Any]:
        [sent] = engine_prompts([prompts[place]], mixed=False, embedding=embedding)
        asked = (
            {"prompt_embeds": encode(sent["prompt_embeds"])}
            if "prompt_embeds" in sent
            else {"prompt": sent["prompt_token_ids"]}
        )
        return asked | _sampling(prompts[place], max_tokens, temperature, top_p, seed, extra)

    endpoint = Endpoint(url=base_url, model=model, **connection)
    replies = _ask_all(endpoint, "completions", prompts, body)
    return [
        _answer(prompt, reply, tokenizer) for prompt, reply in zip(prompts, replies, strict=True)
    ]


def chat_http(
    base_url: str,
    model: str,
    conversations: Sequence[Sequence[Mapping[str, Any]]],
    prompts: Sequence[EmbeddedPrompt],
    *,
    max_tokens: int = 64,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    tokenizer: Any = None,
    extra: Mapping[str, Any] | None = None,
    **connection: Any,
) -> list[Generation]:
    """Answer conversations by `/v1/chat/completions` (vLLM 0.21 and later).

    Only the vectors travel; the server renders the model's chat template. Every reply brings the
    ids that the server has read, and they have to be those of the prompt.

    Args:
        conversations: for each prompt its messages; a content that is a list of strings has
            `VECTORS` where the vectors stand. vLLM joins the parts with newlines unless the
            template goes through them itself.
        prompts: what the messages are expected to become.

    The other arguments are those of `complete_http`.

    Raises:
        UserError: as `complete_http`; and where the server's ids are not the prompt's.
    """
    rendered = [
        _messages(messages, prompt) for prompt, messages in zip(prompts, conversations, strict=True)
    ]

    def body(place: int) -> dict[str, Any]:
        asked: dict[str, Any] = {"messages": rendered[place]}
        if len(prompts[place].vectors):
            asked["cache_salt"] = cache_salt(prompts[place])
        return asked | _sampling(prompts[place], max_tokens, temperature, top_p, seed, extra)

    endpoint = Endpoint(url=base_url, model=model, api="chat", **connection)
    replies = _ask_all(endpoint, "chat/completions", prompts, body)
    for prompt, reply in zip(prompts, replies, strict=True):
        _check_ids(prompt, reply.get("prompt_token_ids"))
    return [
        _answer(prompt, reply, tokenizer) for prompt, reply in zip(prompts, replies, strict=True)
    ]


def _messages(turns: Sequence[Mapping[str, Any]], prompt: EmbeddedPrompt) -> list[dict[str, Any]]:
    """The messages as the server takes them, with the prompt's vectors in their place."""
    check_prompt(prompt)
    made = [dict(turn) for turn in turns]
    places = 0
    for turn in made:
        if isinstance(turn["content"], str):
            continue
        places += list(turn["content"]).count(VECTORS)
        turn["content"] = [
            {"type": "prompt_embeds", "data": encode(prompt.vectors)}
            if part is VECTORS
            else {"type": "text", "text": part}
            for part in turn["content"]
        ]
    if places != (len(prompt.vectors) > 0):
        raise UserError(
            f"conversations: {places} places for the {len(prompt.vectors)} vectors of "
            f"{where(prompt)}; give VECTORS once where there are vectors, and else not at all"
        )
    return made


def _check_ids(prompt: EmbeddedPrompt, theirs: Any) -> None:
    if not isinstance(theirs, list):
        raise UserError("base_url: the server returns no prompt ids; vLLM 0.21 and later do")
    mask = token_mask(prompt)
    if len(theirs) != len(prompt.ids):
        raise UserError(
            f"conversations: {where(prompt)} becomes {len(theirs)} ids at the server, "
            f"{len(prompt.ids)} here; lay the prompt out as its template does"
        )
    for place, (own, other) in enumerate(zip(prompt.ids, theirs, strict=True)):
        if mask[place] and own != other:
            raise UserError(
                f"conversations: position {place} of {where(prompt)} is {other} at the server, "
                f"{own} here; lay the prompt out as its template does"
            )


def _sampling(
    prompt: EmbeddedPrompt,
    max_tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
    extra: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "seed": request_seed(seed, prompt),
        "return_token_ids": True,
        "skip_special_tokens": False,
        **NEUTRAL,
        **(extra or {}),
    }


def _answer(prompt: EmbeddedPrompt, reply: Mapping[str, Any], tokenizer: Any) -> Generation:
    [choice] = reply["choices"]
    text = choice["text"] if "text" in choice else choice["message"]["content"]
    return generation(
        prompt,
        choice["token_ids"],
        text or "",
        choice["finish_reason"],
        choice.get("stop_reason"),
        prompt.chain,
        tokenizer,
    )


def _ask_all(
    endpoint: Endpoint,
    path: str,
    prompts: Sequence[EmbeddedPrompt],
    body: Callable[[int], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Send requests, several at a time; the first that fails for good ends them all.

    A request's body is made when it is sent: one may take megabytes.
    """
    with (
        open_client(endpoint) as client,
        ThreadPoolExecutor(endpoint.concurrency) as pool,
    ):
        waiting = [
            pool.submit(_ask, client, endpoint, path, where(prompt), partial(body, place))
            for place, prompt in enumerate(prompts)
        ]
        try:
            return [future.result() for future in waiting]
        finally:
            for future in waiting:
                future.cancel()


def _ask(
    client: Any, endpoint: Endpoint, path: str, what: str, body: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    import httpx

    address = f"{endpoint.url.rstrip('/')}/{path}"
    problem = ""
    sent = {"model": endpoint.model, **body()}
    for attempt in range(endpoint.retries + 1):
        if attempt:
            back_off(endpoint, attempt)
        try:
            response = client.post(address, json=sent)
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__}: {error}"
            continue
        problem = f"http {response.status_code}: {response.text[:300]!r}"
        if response.status_code == 200 and _complete(response):
            return response.json()
        if response.status_code != 200 and response.status_code not in RETRIED:
            break
    raise UserError(f"{address}: {what}: {problem}")


def _complete(response: Any) -> bool:
    """Whether the reply is one whole answer with its ids."""
    try:
        [choice] = response.json()["choices"]
        return isinstance(choice["token_ids"], list) and isinstance(choice["finish_reason"], str)
    except (ValueError, KeyError, TypeError):
        return False

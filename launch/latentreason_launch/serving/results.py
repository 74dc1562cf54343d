"""What an engine says, as the framework's `Generation`."""

from __future__ import annotations

from typing import Any

from latentreason.generation import EmbeddedPrompt, Generation
from latentreason_launch.serving.prompts import where


def generation(
    prompt: EmbeddedPrompt,
    token_ids: list[int],
    text: str,
    finish_reason: str,
    stop_reason: int | str | None,
    sample_index: int,
    tokenizer: Any = None,
) -> Generation:
    """Put one answer into a `Generation`.

    Args:
        prompt: what was answered.
        token_ids: everything that was written, an end token included.
        text: the engine's own text of it.
        finish_reason, stop_reason: the engine's; a string as reason to stop is one that occurred.
        sample_index: among the answers to the question.
        tokenizer: decodes the ids as `generate` does; None takes the engine's text.

    Raises:
        RuntimeError: the engine did not come to an end of its own.
    """
    if finish_reason not in ("stop", "length"):
        raise RuntimeError(f"{where(prompt)}: the engine ended with {finish_reason!r}")
    at_string = isinstance(stop_reason, str)
    ended = finish_reason == "stop" and not at_string
    visible = token_ids[:-1] if ended else token_ids
    return Generation(
        text=text if tokenizer is None or at_string else tokenizer.decode(visible),
        token_ids=visible,
        num_thoughts=len(prompt.vectors),
        num_steps=0,
        num_tokens=len(token_ids),
        prompt_tokens=len(prompt.ids) - len(prompt.vectors),
        prompt_index=prompt.prompt_index,
        sample_index=sample_index,
        finish_reason="stop" if finish_reason == "stop" else "length",
    )

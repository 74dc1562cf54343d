"""How a question becomes text and token ids: one object for training, evaluation and serving.

The settings are stored in the checkpoint's config, so that the three cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from latentreason.errors import UserError

REMEMBERED = 200_000
"""Texts whose ids a `Prompt` keeps."""


@dataclass
class PromptConfig:
    """Templates of the three parts of a sample, tokenised separately (Coconut's released code).

    Attributes:
        question: template of the question, with `{question}`.
        step: template of one reasoning step, with `{step}`.
        answer: template of the answer, with `{answer}`; what stands before it opens every answer.
        bos: let the tokenizer put its beginning-of-sequence token before the question.
        chat_template: render the question as a user turn of the tokenizer's chat template.
    """

    question: str = "{question}\n"
    step: str = "{step}\n"
    answer: str = "### {answer}"
    bos: bool = True
    chat_template: bool = False


class Prompt:
    """Renders and tokenises with one tokenizer and one `PromptConfig`."""

    def __init__(self, tokenizer: Any, config: PromptConfig) -> None:
        for name in ("question", "step", "answer"):
            if f"{{{name}}}" not in getattr(config, name):
                raise UserError(
                    f"method.prompt.{name}: {getattr(config, name)!r} has no {{{name}}} to fill in"
                )
        self.tokenizer = tokenizer
        self.config = config
        self._known: dict[tuple[str, bool], list[int]] = {}

    def question_ids(self, question: str) -> list[int]:
        """Token ids of the question part."""
        if not question.strip():
            raise UserError("prompt: it is empty; give a question")
        text = self.config.question.replace("{question}", question)
        if self.config.chat_template:
            text = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
            )
            return self._ids(text)
        ids = self._ids(text, self.config.bos)
        eos = self.tokenizer.eos_token_id
        # Some tokenizers close every text with EOS; the model would take the question for the end.
        if self.config.bos and len(ids) > 1 and ids[-1] == eos:
            ids = ids[:-1]
        return ids

    def step_ids(self, step: str) -> list[int]:
        """Token ids of one reasoning step."""
        return self._ids(self.config.step.replace("{step}", step))

    def answer_ids(self, answer: str) -> list[int]:
        """Token ids of the answer part, with the end token."""
        text = self.config.answer.replace("{answer}", answer)
        return [*self._ids(text), self.tokenizer.eos_token_id]

    def _ids(self, text: str, special: bool = False) -> list[int]:
        """Tokenise, remembering what training sees again in every epoch."""
        if (text, special) not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            ids = self.tokenizer(text, add_special_tokens=special)["input_ids"]
            self._known[text, special] = ids
        return self._known[text, special]

    @property
    def answer_opening(self) -> str:
        """The words before an answer, stripped: "###" with the default template."""
        return self.config.answer.split("{answer}")[0].strip()

"""The two prompts of SoftCoT: what the assistant reads, and what the LLM reads and is to write.

Both hold a block of identical placeholders: the assistant's states there become the LLM's inputs
there (arXiv 2502.12134, section 3). Where a block stands is found in the token ids and checked.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from typing import Any

import yaml

from latentreason.errors import UserError, check_choice, nearest
from latentreason.prompt import REMEMBERED

BLOCK = "\ue000block\ue001"
"""Stands for the block while a chat template is rendered: private characters, no blanks."""

SLOTS = {
    "question": (("question", "hint"), ()),
    "hint": (("thoughts",), ()),
    "step": (("step",), ("number",)),
    "answer": (("answer",), ()),
    "assistant_question": (("question",), ("count",)),
    "assistant_lead": (("thoughts",), ("count",)),
}
"""Of each template: the slots that it has to have, and those that it may have."""

ONCE = ("question", "hint", "thoughts")
FAMILY_TOKENS = ("begin", "end")


@dataclass
class SoftPromptConfig:
    """Templates and special tokens; what is None comes from `layout` and `family`.

    Attributes:
        layout: task layout: plain, math, choice (options A to E), date (A to F) or yes_no.
        family: special tokens: none, llama3, qwen2.5 or qwen3.
        question: the LLM's user turn, with `{question}` and `{hint}`.
        hint: what `{hint}` becomes, with `{thoughts}`; left out whole where there are no thoughts.
        step: target: one reasoning step, with `{step}`, perhaps with `{number}`, from 1.
        answer: target: the closing sentence, with `{answer}`.
        assistant_question: the assistant's user turn, with `{question}`, perhaps with `{count}`.
        assistant_lead: the assistant's own turn, `{thoughts}` at its end, perhaps with `{count}`.
        placeholder: token that fills the block in the LLM's prompt; None takes the family's, else the
            tokenizer's padding token.
        assistant_placeholder: the same in the assistant's prompt.
        begin: token before the block in the LLM's prompt; None takes the family's, "" has none.
        end: token after the block.
        chat_template: write turns as each tokenizer's chat template does; False: plain text.
        generation_prompt: open the LLM's turn in its prompt. False, as published: the LLM has to
            write the header of its turn itself.
        template_options: passed to the chat templates, on top of the family's.
    """

    layout: str = "plain"
    family: str = "none"
    question: str | None = None
    hint: str | None = None
    step: str | None = None
    answer: str | None = None
    assistant_question: str | None = None
    assistant_lead: str | None = None
    placeholder: str | None = None
    assistant_placeholder: str | None = None
    begin: str | None = None
    end: str | None = None
    chat_template: bool = True
    generation_prompt: bool = True
    template_options: dict[str, Any] = field(default_factory=dict)


@functools.cache
def _data() -> dict[str, Any]:
    """The YAML files of `layouts` by name."""
    folder = resources.files("latentreason.methods.softcot.layouts")
    files = [item for item in folder.iterdir() if item.name.endswith(".yaml")]
    return {
        item.name.removesuffix(".yaml"): yaml.safe_load(item.read_text(encoding="utf-8"))
        for item in sorted(files, key=lambda item: item.name)
    }


def layouts() -> list[str]:
    """Names of the task layouts."""
    return [name for name in _data() if name != "families"]


def families() -> list[str]:
    """Names of the families of special tokens."""
    return list(_data()["families"])


def resolve(config: SoftPromptConfig) -> SoftPromptConfig:
    """Fill what is None from the layout and the family.

    A placeholder stays None where the family has none: the tokenizer decides then.

    Raises:
        UserError: a layout or family is unknown, or a template lacks a slot, has one too often or
            has one that nothing fills.
    """
    check_choice("method.prompt.layout", config.layout, layouts())
    check_choice("method.prompt.family", config.family, families())
    family = dict(_data()["families"][config.family])
    given = {f.name: getattr(config, f.name) for f in fields(config)}
    # Options of our own call: a template would never see them.
    for name in ("tokenize", "add_generation_prompt"):
        if name in config.template_options:
            raise UserError(
                f"method.prompt.template_options: {name} is not for templates; leave it out"
            )
    options = {**family.pop("template_options", {}), **config.template_options}
    family.pop("initial_first", None)
    if "placeholder" in family:
        family["assistant_placeholder"] = family["placeholder"]
    known = {**dict.fromkeys(FAMILY_TOKENS, ""), **_data()[config.layout], **family}
    missing = {name: value for name, value in known.items() if given[name] is None}
    resolved = replace(config, **missing, template_options=options)
    for name in SLOTS:
        _check_slots(name, getattr(resolved, name))
    if not str(resolved.assistant_lead).endswith("{thoughts}"):
        raise UserError(
            f"method.prompt.assistant_lead: {resolved.assistant_lead!r} goes on after {{thoughts}}, "
            "which the thoughts would never see; end it there"
        )
    return resolved


def first_rows(config: SoftPromptConfig, count: int) -> list[int]:
    """Rows of the assistant's embedding that the family sets apart for `count` chains, if it does."""
    first = _data()["families"][config.family].get("initial_first")
    return [] if first is None else list(range(first, first + count))


def template_hash(config: SoftPromptConfig) -> str:
    """SHA-256 (hex) of the resolved config as JSON: it changes with every word of a template."""
    text = json.dumps(asdict(resolve(config)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_slots(name: str, template: str) -> None:
    """Raise UserError unless the template has the slots that it needs, and no others."""
    needed, optional = SLOTS[name]
    found = re.findall(r"\{([A-Za-z_]\w*)\}", template)
    where = f"method.prompt.{name}: {template!r}"
    for slot in found:
        if slot not in needed + optional:
            allowed = ", ".join(f"{{{slot}}}" for slot in needed + optional)
            raise UserError(
                f"{where} has {{{slot}}}, which nothing fills{nearest(slot, needed + optional)}; "
                f"allowed: {allowed}"
            )
    for slot in needed:
        if slot not in found:
            raise UserError(f"{where} has no {{{slot}}} to fill in")
        if slot in ONCE and found.count(slot) > 1:
            raise UserError(
                f"{where} has {{{slot}}} {found.count(slot)} times; once is what it needs"
            )


def _fill(template: str, **values: Any) -> str:
    """Put values into slots, all at once: what a value says of slots stays as it is."""
    slots = "|".join(values)
    return re.sub(rf"\{{({slots})\}}", lambda match: str(values[match[1]]), template)


@dataclass(frozen=True)
class Span:
    """A row of token ids with its block: placeholders at `ids[start : start + count]`.

    `start` is -1 where `count` is 0.
    """

    ids: list[int]
    start: int
    count: int


class _Side:
    """One of the two models: its tokenizer, its templates and its block."""

    def __init__(
        self, who: str, tokenizer: Any, config: SoftPromptConfig, tokens: dict[str, str | None]
    ) -> None:
        """`tokens`: texts by the config's name for them, the placeholder first."""
        self.who, self.tokenizer, self.config = who, tokenizer, config
        if config.chat_template and not getattr(tokenizer, "chat_template", None):
            raise UserError(
                f"method.prompt.chat_template: the {who}'s tokenizer has no chat template; "
                "give false, or a model that has one"
            )
        added = tokenizer.added_tokens_decoder.values()
        special = {token.content for token in added if token.special}
        self._names = special | set(tokenizer.all_special_tokens)
        [(name, text), *around] = tokens.items()
        if text is None and tokenizer.pad_token is None:
            raise UserError(
                f"method.prompt.{name}: the {who}'s tokenizer has no padding token; name a token that "
                "it does not use otherwise"
            )
        self.placeholder: str = tokenizer.pad_token if text is None else text
        self.placeholder_id = self._single(name, self.placeholder)
        self.around = [text or "" for _, text in around] or ["", ""]
        if self.placeholder in self.around:
            raise UserError(
                f'method.prompt.{name}: "{self.placeholder}" is also what stands around the block; '
                "give another token"
            )
        ids = [self._single(name, text) if text else None for name, text in around]
        self.around_ids = ids or [None, None]
        words = {*self._names, self.placeholder, *self.around, BLOCK}
        # The longest first, for the message; "" would match anywhere.
        known = sorted(words - {""}, key=lambda word: (-len(word), word))
        self._special = re.compile("|".join(map(re.escape, known)))

    def _single(self, name: str, text: str) -> int:
        """The id of a token given by its text."""
        # Chat prompts are tokenised whole, blocks and all: there it has to be one token in a row too.
        times = 2 if self.config.chat_template else 1
        ids = self.tokenizer(text * times, add_special_tokens=False)["input_ids"]
        unknown = self.tokenizer.unk_token_id
        known = text == self.tokenizer.unk_token or unknown not in ids
        if len(ids) != times or ids[0] != ids[-1] or not known:
            raise UserError(
                f'method.prompt.{name}: "{text}" is not a token of the {self.who}\'s tokenizer'
                f"{nearest(text, self._names)}; give a special token of it"
            )
        return ids[0]

    def check(self, question: str) -> str:
        """Return the question; UserError where it is empty or has the text of a special token."""
        if not question.strip():
            raise UserError("prompt: it is empty; give a question")
        found = self._special.search(question)
        if found:
            raise UserError(
                f'prompt: the question contains "{found[0]}", a special token of the {self.who}; '
                "take it out"
            )
        return question

    def without_special(self, text: str) -> str:
        """The text with a blank in place of each special token, and no blanks around it."""
        return self._special.sub(" ", text).strip()

    def user_turn(self, text: str, open_reply: bool) -> str:
        """A user turn as the chat template writes it, with the header of a reply if wanted."""
        if not self.config.chat_template:
            return text
        return self.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            add_generation_prompt=open_reply,
            tokenize=False,
            **self.config.template_options,
        )

    def ids(self, text: str) -> list[int]:
        """Token ids of text from the start of a row: chat templates write a first token themselves."""
        if self.config.chat_template:
            return self.inner_ids(text)
        ids = self.tokenizer(text)["input_ids"]
        # Some tokenizers close every text with EOS; the model would take the prompt for the end.
        return ids[:-1] if len(ids) > 1 and ids[-1] == self.tokenizer.eos_token_id else ids

    def inner_ids(self, text: str) -> list[int]:
        """Token ids of text that goes on."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []

    def span(self, text: str, count: int) -> Span:
        """Tokenise rendered text with `count` placeholders in place of `BLOCK`."""
        parts = text.split(BLOCK)
        if len(parts) != 2:
            what = "leaves out" if len(parts) == 1 else f"writes {len(parts) - 1} times"
            raise UserError(
                f"method.prompt: the chat template of the {self.who} {what} the part with the "
                "thoughts; give another template, or chat_template=false"
            )
        begin, end = self.around
        # A template may write this token too, to end a turn with, say; a question may not.
        own = [part.count(self.placeholder) for part in parts]
        if self.config.chat_template:
            ids = self.inner_ids(f"{parts[0]}{begin}{self.placeholder * count}{end}{parts[1]}")
        else:
            before, after = self.ids(parts[0]), self.inner_ids(parts[1])
            inner = self.inner_ids(parts[0])
            own[0] += before.count(self.placeholder_id) - inner.count(self.placeholder_id)
            opened, closed = ([] if i is None else [i] for i in self.around_ids)
            ids = [*before, *opened, *[self.placeholder_id] * count, *closed, *after]
        return Span(ids, self._find(ids, count, *own), count)

    def _find(self, ids: list[int], count: int, before: int, after: int) -> int:
        """Where the block starts, past `before` other placeholders and ahead of `after` others."""
        hits = [place for place, token in enumerate(ids) if token == self.placeholder_id]
        start = hits[before] if before < len(hits) else -1
        found = hits[before : before + count]
        begin, end = self.around_ids
        wrapped = (begin is None or ids[start - 1 : start] == [begin]) and (
            end is None or ids[start + count : start + count + 1] == [end]
        )
        if (
            len(hits) != before + count + after
            or found != list(range(start, start + count))
            or not wrapped
        ):
            raise UserError(
                f"prompt: the {self.who}'s tokenizer makes {len(hits) - before - after} tokens \""
                f'{self.placeholder}" of a block of {count}, at {hits[:8]}; the question may hold '
                "something it reads as a special token, or that token eats its neighbours"
            )
        return start


class SoftPrompt:
    """Renders and tokenises for both models; results are shared, do not change them.

    Attributes:
        config: the resolved config.
        placeholder_id: what fills the block in the LLM's prompt.
        assistant_placeholder_id: what fills it in the assistant's.
        begin_id: what stands before the block in the LLM's prompt, or None.
        end_block_id: what stands after it, or None.
        end_id: what ends the LLM's turn.
    """

    def __init__(self, tokenizer: Any, assistant_tokenizer: Any, config: SoftPromptConfig) -> None:
        """UserError where a tokenizer lacks a token or a template that the config asks for."""
        self.config = config = resolve(config)
        around = {name: getattr(config, name) for name in FAMILY_TOKENS}
        self._llm = _Side("LLM", tokenizer, config, {"placeholder": config.placeholder, **around})
        own = {"assistant_placeholder": config.assistant_placeholder}
        self._assistant = _Side("assistant", assistant_tokenizer, config, own)
        if tokenizer.eos_token_id is None:
            raise UserError("method.prompt: the LLM's tokenizer has no end token; give it one")
        self.end_id: int = tokenizer.eos_token_id
        self.placeholder_id: int | None = self._llm.placeholder_id
        self.assistant_placeholder_id: int | None = self._assistant.placeholder_id
        self.begin_id, self.end_block_id = self._llm.around_ids
        self._bare = self._without_hint()
        self._header = self._reply_header()
        self._known: dict[tuple[Any, ...], Any] = {}

    def question(self, question: str, count: int) -> Span:
        """The LLM's prompt with a block of `count`, up to where the LLM begins to write.

        With 0 there is no hint, and nothing of the blank lines around it.
        """
        return self._remember(
            ("question", question, count), lambda: self._question(question, count)
        )

    def question_ids(self, question: str) -> list[int]:
        """The LLM's prompt without thoughts."""
        return self.question(question, 0).ids

    def question_with_text(self, question: str, text: str) -> list[int]:
        """The LLM's prompt with words in place of the block: the hard-token control.

        Special tokens in the words are left out; without words there is no hint.
        """
        words = self._llm.without_special(text)
        if not words:
            return self.question_ids(question)
        return self._remember(
            ("question_with_text", question, words),
            lambda: self._llm.ids(self._turn(question, words)),
        )

    def assistant(self, question: str, count: int) -> Span:
        """The assistant's prompt: a block of `count` ends it, as nothing after it could matter."""
        return self._remember(
            ("assistant", question, count),
            lambda: self._assistant.span(self._opening(question, _count(count)) + BLOCK, count),
        )

    def assistant_opening(self, question: str, count: int) -> list[int]:
        """The assistant's prompt up to the block, for writing a hint in about `count` words.

        Blanks before the block are left out: words bring their own.
        """
        return self._remember(
            ("assistant_opening", question, count),
            lambda: self._assistant.ids(self._opening(question, _count(count)).rstrip(" ")),
        )

    def target_ids(self, steps: Sequence[str], answer: str) -> list[int]:
        """What the LLM is to write: steps, answer and the end token.

        Without `generation_prompt` the header of its turn comes first.
        """
        return self._remember(
            ("target_ids", *steps, answer), lambda: [*self._target(steps, answer), self.end_id]
        )

    @property
    def answer_opening(self) -> str:
        """The words before an answer, stripped: "###" in the plain layout."""
        return str(self.config.answer).split("{answer}")[0].strip()

    def _question(self, question: str, count: int) -> Span:
        if count == 0:
            return Span(self._llm.ids(self._turn(question, None)), -1, 0)
        return self._llm.span(self._turn(question, BLOCK), _count(count))

    def _turn(self, question: str, thoughts: str | None) -> str:
        """The LLM's user turn, rendered, with or without a hint."""
        self._llm.check(question)
        if thoughts is None:
            text = _fill(self._bare, question=question)
        else:
            hint = _fill(str(self.config.hint), thoughts=thoughts)
            text = _fill(str(self.config.question), question=question, hint=hint)
        return self._llm.user_turn(text, self.config.generation_prompt)

    def _opening(self, question: str, count: int) -> str:
        """The assistant's prompt up to its block, rendered."""
        self._assistant.check(question)
        turn = _fill(str(self.config.assistant_question), question=question, count=count)
        lead = _fill(str(self.config.assistant_lead), count=count, thoughts="")
        return self._assistant.user_turn(turn, open_reply=True) + lead

    def _target(self, steps: Sequence[str], answer: str) -> list[int]:
        lines = [
            _fill(str(self.config.step), step=step, number=number)
            for number, step in enumerate(steps, start=1)
        ]
        text = "".join(lines) + _fill(str(self.config.answer), answer=answer)
        # Many templates strip a turn, so the LLM would be shown blanks that it never writes.
        return self._llm.inner_ids(
            self._header + (text.strip() if self.config.chat_template else text)
        )

    def _without_hint(self) -> str:
        """The question's template without its hint and the blank lines that would be left."""
        before, after = str(self.config.question).split("{hint}")
        if after.strip():
            return before + after.lstrip("\n")
        stripped = before.rstrip()
        # A turn ends by itself; plain text keeps its line break, for what follows is on a new line.
        plain_break = not self.config.chat_template and "\n" in before[len(stripped) :]
        return stripped + "\n" if plain_break else stripped

    def _reply_header(self) -> str:
        """What the LLM's template writes to open a reply, where the LLM itself is to write it."""
        if self.config.generation_prompt or not self.config.chat_template:
            return ""
        closed, opened = (self._llm.user_turn("?", open_reply) for open_reply in (False, True))
        if not opened.startswith(closed):
            raise UserError(
                "method.prompt.generation_prompt: the LLM's chat template does more than add a header "
                "for its reply; set it to true"
            )
        return opened[len(closed) :]

    def _remember(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Keep what training asks for again in every epoch."""
        if key not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = make()
        return self._known[key]


def _count(count: int) -> int:
    """Return a number of placeholders; UserError below 1."""
    if count < 1:
        raise UserError(f"method.prompt: {count} thoughts; give 1 or more")
    return count

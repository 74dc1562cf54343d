"""SoftCoT's two prompts: where the block stands, under templates like those of the real models."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from importlib import resources

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from latentreason.backbones import train_tokenizer
from latentreason.errors import UserError
from latentreason.methods.softcot.prompt import (
    SLOTS,
    SoftPrompt,
    SoftPromptConfig,
    Span,
    families,
    layouts,
    resolve,
    template_hash,
)
from latentreason.prompt import Prompt, PromptConfig

# How the tokenizers of Llama 3 and Qwen 2.5 split text.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

LLAMA3 = """{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\n\nToday: ' }}
{{- date_string if date_string is defined else 'a day' }}{{- '<|eot_id|>' }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
{{- message['content'] | trim }}{{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""

QWEN25 = """{{- '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}"""

QWEN3 = """{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\n<think>\n\n</think>\n\n' + message.content.lstrip('\n') }}
{%- else %}{{- '<|im_start|>' + message.role + '\n' + message.content }}{% endif %}
{{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"""

ENDS_WITH_EOS = """{%- for message in messages %}{{- message.role + ': ' + message.content + eos_token }}
{%- endfor %}{%- if add_generation_prompt %}{{- 'assistant: ' }}{% endif %}"""

TOKENS = {
    "llama3": ("<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
               "<|reserved_special_token_1|>", "<|start_header_id|>", "<|end_header_id|>",
               "<|eot_id|>"),
    "qwen2.5": ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|box_start|>", "<|box_end|>"),
    "qwen3": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
}  # fmt: skip
TEMPLATES = {"llama3": LLAMA3, "qwen2.5": QWEN25, "qwen3": QWEN3}
ENDS = {"llama3": "<|eot_id|>", "qwen2.5": "<|im_end|>", "qwen3": "<|im_end|>"}
FAMILIES = list(TEMPLATES)
LAYOUTS = ("plain", "math", "choice", "date", "yes_no")

QUESTION = "Ann has 3 pears and buys 4 more.\n\nHow many has she?"
STEPS = ("3 + 4 = 7", "so she has 7")
SHIPPED = {
    item.name.removesuffix(".yaml"): yaml.safe_load(item.read_text())
    for item in resources.files("latentreason.methods.softcot.layouts").iterdir()
    if item.name.endswith(".yaml")
}


@cache
def chat_tokenizer(family: str, size: int = 600) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with a family's special tokens and a template like its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    texts = [text for layout in LAYOUTS for text in SHIPPED[layout].values()]
    tokenizer.train_from_iterator([*texts, QUESTION, "\n\n\n\n", *STEPS], trainer)
    tokens = TOKENS[family]
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=ENDS[family], chat_template=TEMPLATES[family]
    )
    fast.add_tokens([AddedToken(token, special=True) for token in tokens], special_tokens=True)
    if family == "llama3":
        fast.bos_token = "<|begin_of_text|>"
    else:
        fast.pad_token = "<|endoftext|>"
    if family == "qwen3":
        # As in the real one: matched as one token, but not flagged as special.
        fast.add_tokens([AddedToken(token, special=False) for token in ("<think>", "</think>")])
    return fast


@cache
def soft_prompt(family: str, layout: str, **options) -> SoftPrompt:
    """Two tokenizers of a family, with other ids on the assistant's side."""
    config = SoftPromptConfig(layout=layout, family=family, **options)
    return SoftPrompt(chat_tokenizer(family), chat_tokenizer(family, 400), config)


@cache
def trained(kind: str) -> PreTrainedTokenizerFast:
    texts = [f"{QUESTION}\n{' '.join(STEPS)}\n### 7"] * 2
    return train_tokenizer(texts, kind, 400)


def plain_prompt(tokenizer, **options) -> SoftPrompt:
    return SoftPrompt(tokenizer, tokenizer, SoftPromptConfig(chat_template=False, **options))


def block_of(family: str, count: int) -> str:
    tokens = SHIPPED["families"][family]
    return tokens["begin"] + tokens["placeholder"] * count + tokens["end"]


def check_block(prompt: SoftPrompt, span: Span, count: int) -> None:
    """The placeholders are where the span says and nowhere else, with their tokens around them."""
    places = [place for place, token in enumerate(span.ids) if token == prompt.placeholder_id]
    assert places == list(range(span.start, span.start + count))
    assert span.count == count
    if prompt.begin_id is not None:
        assert span.ids[span.start - 1] == prompt.begin_id
        assert span.ids[span.start + count] == prompt.end_block_id


def test_the_files_hold_what_the_config_names():
    assert layouts() == sorted(LAYOUTS)
    assert families() == ["none", *FAMILIES]
    for layout in LAYOUTS:
        assert set(SHIPPED[layout]) == set(SLOTS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [1, 4, 32])
def test_the_prompts_are_the_conversation_as_the_template_writes_it(family, layout, count):
    prompt = soft_prompt(family, layout)
    options = SHIPPED["families"][family].get("template_options", {})
    llm, assistant = chat_tokenizer(family), chat_tokenizer(family, 400)

    hint = SHIPPED[layout]["hint"].replace("{thoughts}", block_of(family, count))
    turn = SHIPPED[layout]["question"].replace("{question}", QUESTION).replace("{hint}", hint)
    text = llm.apply_chat_template(
        [{"role": "user", "content": turn}], tokenize=False, add_generation_prompt=True, **options
    )
    span = prompt.question(QUESTION, count)
    assert span.ids == llm(text, add_special_tokens=False)["input_ids"]
    check_block(prompt, span, count)

    turn = SHIPPED[layout]["assistant_question"].replace("{question}", QUESTION)
    lead = SHIPPED[layout]["assistant_lead"].replace("{thoughts}", "")
    placeholder = SHIPPED["families"][family]["placeholder"]
    lead = lead + placeholder * count
    turns = [{"role": "user", "content": turn}, {"role": "assistant", "content": lead}]
    turns = [{**turn, "content": turn["content"].replace("{count}", str(count))} for turn in turns]
    text = assistant.apply_chat_template(turns, tokenize=False, **options)
    text = text[: text.rindex(placeholder) + len(placeholder)]
    span = prompt.assistant(QUESTION, count)
    assert span.ids == assistant(text, add_special_tokens=False)["input_ids"]
    assert span.ids[span.start :] == [prompt.assistant_placeholder_id] * count
    assert span.ids.count(prompt.assistant_placeholder_id) == span.count == count
    assert prompt.assistant_placeholder_id != prompt.placeholder_id
    if layout != "plain":
        assert str(count) in assistant.decode(span.ids).split("Write ")[1].split(" ")[0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("generation_prompt", [True, False])
@pytest.mark.parametrize("steps", [(), STEPS])
def test_prompt_and_target_are_the_whole_conversation(family, layout, generation_prompt, steps):
    prompt = soft_prompt(family, layout, generation_prompt=generation_prompt)
    tokenizer = chat_tokenizer(family)
    options = SHIPPED["families"][family].get("template_options", {})
    parts = SHIPPED[layout]
    hint = parts["hint"].replace("{thoughts}", block_of(family, 4))
    turn = parts["question"].replace("{question}", QUESTION).replace("{hint}", hint)
    reply = "".join(
        parts["step"].replace("{step}", step).replace("{number}", str(number))
        for number, step in enumerate(steps, 1)
    ) + parts["answer"].replace("{answer}", "7")
    turns = [{"role": "user", "content": turn}, {"role": "assistant", "content": reply}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, **options).rstrip("\n")
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]

    question, target = prompt.question(QUESTION, 4).ids, prompt.target_ids(steps, "7")
    assert question + target == whole
    assert target[-1] == prompt.end_id == tokenizer.eos_token_id
    header = tokenizer.convert_tokens_to_ids(
        "<|start_header_id|>" if family == "llama3" else "<|im_start|>"
    )
    assert (target[0] == header) is not generation_prompt
    assert header not in target[1:]


def test_an_empty_think_block_after_the_prompt_is_not_taken_for_the_block():
    prompt = soft_prompt("qwen3", "math")
    span = prompt.question(QUESTION, 4)
    assert span.ids.count(prompt.begin_id) == span.ids.count(prompt.end_block_id) == 2
    check_block(prompt, span, 4)
    thinking = soft_prompt_with(family="qwen3", template_options={"enable_thinking": True})
    assert thinking.question(QUESTION, 4).ids.count(prompt.begin_id) == 1
    assert prompt.question(QUESTION, 0).ids.count(prompt.begin_id) == 1


def soft_prompt_with(**options) -> SoftPrompt:
    family = options["family"]
    return SoftPrompt(
        chat_tokenizer(family), chat_tokenizer(family, 400), SoftPromptConfig(**options)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_yes_no_asks_again_after_the_block(family):
    prompt = soft_prompt(family, "yes_no")
    span = prompt.question(QUESTION, 4)
    after = chat_tokenizer(family).decode(span.ids[span.start + 5 :])
    assert after.startswith("\n\nSo, is it Yes or No?")
    bare = chat_tokenizer(family).decode(prompt.question(QUESTION, 0).ids)
    assert f"Question: {QUESTION}\n\nSo, is it Yes or No?" in bare
    assert "smaller" not in bare


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_without_thoughts_nothing_of_the_hint_is_left(family, layout):
    prompt = soft_prompt(family, layout)
    span = prompt.question(QUESTION, 0)
    assert (span.start, span.count) == (-1, 0)
    assert span.ids == prompt.question_ids(QUESTION)
    text = chat_tokenizer(family).decode(span.ids)
    assert "smaller" not in text
    assert prompt.placeholder_id not in span.ids
    if layout != "yes_no":
        assert text.split(QUESTION)[1].startswith(ENDS[family])


@pytest.mark.parametrize("kind", ["word", "bpe"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_plain_text_is_the_other_methods_prompt_with_a_block(kind, count):
    tokenizer = trained(kind)
    prompt, other = plain_prompt(tokenizer), Prompt(tokenizer, PromptConfig())
    assert prompt.placeholder_id == prompt.assistant_placeholder_id == tokenizer.eos_token_id
    assert (prompt.begin_id, prompt.end_block_id) == (None, None)
    span = prompt.question(QUESTION, count)
    after = tokenizer("\n", add_special_tokens=False)["input_ids"] if count else []
    block = [tokenizer.eos_token_id] * count
    assert span.ids == [*other.question_ids(QUESTION), *block, *after]
    assert span.start == (len(other.question_ids(QUESTION)) if count else -1)
    steps = [token for step in STEPS for token in other.step_ids(step)]
    assert prompt.target_ids(STEPS, "7") == [*steps, *other.answer_ids("7")]
    assert prompt.answer_opening == other.answer_opening == "###"


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_plain_text_takes_a_tokenizers_first_token_and_not_its_last(kind):
    tokenizer = train_tokenizer([QUESTION, "### 7"] * 2, kind, 400)
    tokenizer.add_tokens(["<s>"], special_tokens=True)
    start, eos = tokenizer.convert_tokens_to_ids("<s>"), tokenizer.eos_token_id
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A <|endoftext|>", special_tokens=[("<s>", start), ("<|endoftext|>", eos)]
    )
    prompt = plain_prompt(tokenizer)
    words = tokenizer(QUESTION + "\n", add_special_tokens=False)["input_ids"]
    after = tokenizer("\n", add_special_tokens=False)["input_ids"]
    assert prompt.question(QUESTION, 3).ids == [start, *words, eos, eos, eos, *after]
    assert prompt.question(QUESTION, 0).ids == [start, *words]
    assert prompt.assistant(QUESTION, 3).ids == [start, *words, eos, eos, eos]
    assert prompt.assistant_opening(QUESTION, 3) == [start, *words]
    assert prompt.target_ids([], "7").count(eos) == 1


def test_a_first_token_may_be_the_placeholder_itself():
    tokenizer = train_tokenizer([QUESTION, "### 7"] * 2, "bpe", 400)
    eos = tokenizer.eos_token_id
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", eos)]
    )
    span = plain_prompt(tokenizer, question="{hint}{question}").question("7", 3)
    assert (span.ids[:4], span.start) == ([eos] * 4, 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_plain_text_works_with_every_layout_and_a_word_tokenizer(layout):
    tokenizer = trained("word")
    prompt = plain_prompt(tokenizer, layout=layout, begin="7", end="###")
    span = prompt.question("so she has", 6)
    check_block(prompt, span, 6)
    assert prompt.assistant("so she has", 6).start == len(prompt.assistant_opening("so she has", 6))


def test_a_template_may_end_turns_with_the_placeholder_itself():
    tokenizer = train_tokenizer([QUESTION, "user: assistant: ### 7"] * 2, "bpe", 400)
    tokenizer.chat_template = ENDS_WITH_EOS
    eos = tokenizer.eos_token_id
    config = SoftPromptConfig(question="{question} {hint}", hint="{thoughts}")
    prompt = SoftPrompt(tokenizer, tokenizer, config)
    span = prompt.question("3 pears", 4)
    before = tokenizer("user: 3 pears ", add_special_tokens=False)["input_ids"]
    header = tokenizer("assistant: ", add_special_tokens=False)["input_ids"]
    assert span.ids == [*before, *[eos] * 5, *header]
    assert (span.start, span.count) == (len(before), 4)
    assert prompt.assistant("3 pears", 4).ids[-5:] == [header[-1], *[eos] * 4]


@given(question=st.text(min_size=1, max_size=60).filter(str.strip), count=st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_any_question_leaves_the_block_in_its_place(question, count):
    for family in FAMILIES:
        for layout in ("math", "yes_no"):
            prompt = soft_prompt(family, layout)
            span = prompt.question(question, count)
            check_block(prompt, span, count)
            span = prompt.assistant(question, count)
            assert span.ids[span.start :] == [prompt.assistant_placeholder_id] * count
    for kind in ("word", "bpe"):
        prompt = plain_prompt(trained(kind))
        check_block(prompt, prompt.question(question, count), count)


def test_slots_in_a_question_or_an_answer_stay_words():
    prompt = soft_prompt("qwen2.5", "math")
    question = "Is {hint} or {thoughts} or {question} a {count}?"
    for span in (prompt.question(question, 2), prompt.question(question, 0)):
        assert question in chat_tokenizer("qwen2.5").decode(span.ids)
    assert question in chat_tokenizer("qwen2.5", 400).decode(prompt.assistant(question, 2).ids)
    target = prompt.target_ids(["{number} {step}"], "{answer}")
    text = chat_tokenizer("qwen2.5").decode(target, skip_special_tokens=True)
    assert text == "## Step 1: {number} {step}\nThe answer is \\boxed{{answer}}."


def test_math_targets_number_their_steps_and_box_their_answer():
    prompt = soft_prompt("llama3", "math")
    text = chat_tokenizer("llama3").decode(prompt.target_ids(STEPS, "7"))
    assert text == (
        "## Step 1: 3 + 4 = 7\n## Step 2: so she has 7\nThe answer is \\boxed{7}.<|eot_id|>"
    )
    assert prompt.answer_opening == "The answer is \\boxed{"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_words_take_the_place_of_the_block(family, layout):
    prompt, tokenizer = soft_prompt(family, layout), chat_tokenizer(family)
    span = prompt.question(QUESTION, 3)
    with_block = tokenizer.decode(span.ids)
    with_words = tokenizer.decode(prompt.question_with_text(QUESTION, " 3 4 plus\n"))
    assert with_words == with_block.replace(block_of(family, 3), "3 4 plus")
    written = f"3{block_of(family, 1)}4 plus{ENDS[family]}"
    cleaned = tokenizer.decode(prompt.question_with_text(QUESTION, written))
    assert cleaned == with_block.replace(block_of(family, 3), "3   4 plus")
    assert prompt.question_with_text(QUESTION, ENDS[family]) == prompt.question_ids(QUESTION)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_assistants_opening_is_its_prompt_up_to_the_block(family, layout):
    prompt = soft_prompt(family, layout)
    span = prompt.assistant(QUESTION, 4)
    assert prompt.assistant_opening(QUESTION, 4) == span.ids[: span.start]
    spaced = soft_prompt(family, layout, assistant_lead="Notes: {thoughts}")
    text = chat_tokenizer(family, 400).decode(spaced.assistant_opening(QUESTION, 4))
    assert text.endswith("Notes:")


def test_results_are_remembered():
    prompt = soft_prompt("qwen3", "math")
    assert prompt.question(QUESTION, 4) is prompt.question(QUESTION, 4)
    assert prompt.target_ids(STEPS, "7") is prompt.target_ids(list(STEPS), "7")
    assert prompt.target_ids(STEPS[:1], "7") != prompt.target_ids(STEPS, "7")
    assert prompt.assistant(QUESTION, 4) is not prompt.assistant(QUESTION, 5)


def test_the_date_in_a_template_does_not_change_by_itself():
    ids = soft_prompt("llama3", "plain").question(QUESTION, 4).ids
    assert "Today: 26 Jul 2024" in chat_tokenizer("llama3").decode(ids)


def test_resolving_fills_what_is_not_given_and_keeps_what_is():
    config = SoftPromptConfig(layout="math", family="qwen3", end="", template_options={"x": 1})
    resolved = resolve(config)
    assert resolved.question == SHIPPED["math"]["question"]
    assert resolved.assistant_placeholder == resolved.placeholder == "<|endoftext|>"
    assert (resolved.begin, resolved.end) == ("<think>", "")
    assert resolved.template_options == {"enable_thinking": False, "x": 1}
    assert resolve(resolved) == resolved
    assert config.question is None
    assert config.template_options == {"x": 1}
    given = resolve(SoftPromptConfig(family="qwen3", placeholder="u", step="{step};"))
    assert (given.placeholder, given.assistant_placeholder) == ("u", "<|endoftext|>")
    assert given.step == "{step};"
    none = resolve(SoftPromptConfig())
    assert (none.placeholder, none.begin, none.end) == (None, "", "")


def test_one_end_of_the_block_may_be_bare():
    prompt = soft_prompt("qwen3", "math", end="")
    span = prompt.question(QUESTION, 4)
    assert prompt.end_block_id is None
    assert span.ids[span.start - 1] == prompt.begin_id


def test_the_config_is_a_section_of_a_recipe():
    section = OmegaConf.structured(SoftPromptConfig)
    words = OmegaConf.from_dotlist(["layout=math", "template_options.enable_thinking=true"])
    config = OmegaConf.to_object(OmegaConf.merge(section, words))
    assert resolve(config).template_options == {"enable_thinking": True}


def test_the_hash_is_of_what_is_read():
    config = SoftPromptConfig(layout="math", family="qwen3")
    assert template_hash(config) == template_hash(resolve(config))
    assert len(template_hash(config)) == 64
    changes = {
        "layout": "choice", "family": "qwen2.5", "question": "{question} {hint}", "hint": "{thoughts}",
        "step": "{step} ", "answer": "{answer}", "assistant_question": "{question}",
        "assistant_lead": "{thoughts}", "placeholder": "a", "assistant_placeholder": "b", "begin": "c",
        "end": "d", "chat_template": False, "generation_prompt": False, "template_options": {"x": 1},
    }  # fmt: skip
    assert set(changes) == {field.name for field in fields(SoftPromptConfig)}
    hashes = {template_hash(replace(config, **{name: to})) for name, to in changes.items()}
    assert len(hashes | {template_hash(config)}) == len(changes) + 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layout": "maths"}, r'layout: "maths" is not known \(did you mean "math"\?\)'),
        ({"layout": "families"}, r'layout: "families" is not known'),
        ({"family": "qwen2"}, r'family: "qwen2" is not known \(did you mean "qwen'),
        ({"question": "{question}"}, r"prompt\.question: .* has no \{hint\}"),
        ({"question": "{hint}"}, r"has no \{question\}"),
        ({"question": "{question} {question} {hint}"}, r"\{question\} 2 times"),
        ({"question": "{question} {hint} {hint}"}, r"\{hint\} 2 times"),
        ({"question": "{question} {hint} {hnt}"}, r'\{hnt\}.*did you mean "hint"'),
        ({"hint": "think"}, r"prompt\.hint: .* has no \{thoughts\}"),
        ({"hint": "{thoughts}{thoughts}"}, r"\{thoughts\} 2 times"),
        ({"hint": "{thoughts} {question}"}, r"\{question\}, which nothing fills"),
        ({"step": "Step {number}"}, r"prompt\.step: .* has no \{step\}"),
        ({"answer": "done"}, r"prompt\.answer: .* has no \{answer\}"),
        ({"answer": "{anwser}"}, r'did you mean "answer"'),
        ({"assistant_question": "{count}"}, r"assistant_question: .* has no \{question\}"),
        ({"assistant_lead": "{count} tokens"}, r"assistant_lead: .* has no \{thoughts\}"),
        ({"assistant_lead": "{thoughts}."}, r"assistant_lead: .* goes on after \{thoughts\}"),
        ({"template_options": {"tokenize": True}}, "template_options: tokenize"),
        ({"template_options": {"add_generation_prompt": True}}, "add_generation_prompt"),
    ],
)
def test_a_config_that_cannot_work_is_refused(options, said):
    with pytest.raises(UserError, match=said):
        resolve(SoftPromptConfig(**options))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"placeholder": "<|endoftex|>"},
            r'placeholder: "<\|endoftex\|>" is not a token of the LLM',
        ),
        ({"placeholder": "<|endoftex|>"}, r'did you mean "<\|endoftext\|>"'),
        ({"assistant_placeholder": "two words"}, "assistant_placeholder: .* of the assistant"),
        ({"begin": "<bot>"}, 'begin: "<bot>" is not a token of the LLM'),
        ({"end": "<eot>"}, 'end: "<eot>" is not a token of the LLM'),
        ({"begin": "<|endoftext|>"}, "also what stands around the block"),
        ({"placeholder": ""}, "placeholder: .* is not a token"),
    ],
)
@pytest.mark.parametrize("chat_template", [True, False])
def test_a_token_that_a_tokenizer_lacks_is_refused(options, said, chat_template):
    with pytest.raises(UserError, match=said):
        soft_prompt_with(family="qwen2.5", chat_template=chat_template, **options)


def test_a_word_is_no_placeholder_where_rows_are_tokenised_whole():
    tokenizer = train_tokenizer(["pears 3 4"] * 2, "word", 40)
    assert plain_prompt(tokenizer, placeholder="pears").question("3 4", 2).start == 2
    with pytest.raises(UserError, match='"apples" is not a token'):
        plain_prompt(tokenizer, placeholder="apples")
    tokenizer.chat_template = ENDS_WITH_EOS
    with pytest.raises(UserError, match='"pears" is not a token'):
        SoftPrompt(tokenizer, tokenizer, SoftPromptConfig(placeholder="pears"))


def test_a_tokenizer_without_padding_end_or_template_is_refused():
    with_chat = chat_tokenizer("qwen2.5")
    bare = train_tokenizer([QUESTION], "bpe", 300)
    with pytest.raises(UserError, match="LLM's tokenizer has no chat template"):
        SoftPrompt(bare, with_chat, SoftPromptConfig())
    with pytest.raises(UserError, match="assistant's tokenizer has no chat template"):
        SoftPrompt(with_chat, bare, SoftPromptConfig())
    padless = train_tokenizer([QUESTION], "bpe", 300)
    padless.pad_token = None
    with pytest.raises(UserError, match=r"prompt\.placeholder: the LLM's tokenizer has no padding"):
        plain_prompt(padless)
    with pytest.raises(
        UserError, match="assistant_placeholder: the assistant's tokenizer has no pad"
    ):
        SoftPrompt(bare, padless, SoftPromptConfig(chat_template=False))
    endless = train_tokenizer([QUESTION], "bpe", 300)
    endless.eos_token = None
    with pytest.raises(UserError, match="no end token"):
        plain_prompt(endless)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_question_with_a_special_token_is_refused_by_name(family):
    prompt = soft_prompt(family, "math")
    own = SHIPPED["families"][family]
    for token in {*TOKENS[family], own["placeholder"], own["begin"], own["end"]}:
        with pytest.raises(UserError) as caught:
            prompt.question(f"What{token}?", 4)
        assert f'"{token}", a special token of the LLM' in str(caught.value)
        with pytest.raises(UserError, match="LLM"):
            prompt.question_with_text(f"What{token}?", "7")
    with pytest.raises(UserError, match="special token of the assistant"):
        prompt.assistant(f"What {own['placeholder']}", 4)
    with pytest.raises(UserError, match="special token of the assistant"):
        prompt.assistant_opening(f"What {own['placeholder']}", 4)
    with pytest.raises(UserError, match="special token"):
        plain_prompt(trained("word")).question("3 <|endoftext|>", 4)


def test_empty_questions_and_odd_counts_are_refused():
    prompt = soft_prompt("qwen3", "math")
    for ask in (prompt.question, prompt.assistant, prompt.assistant_opening):
        with pytest.raises(UserError, match="it is empty"):
            ask(" \n", 4)
        with pytest.raises(UserError, match="-1 thoughts"):
            ask(QUESTION, -1)
    with pytest.raises(UserError, match="0 thoughts"):
        prompt.assistant(QUESTION, 0)


def with_template(template: str, **options) -> SoftPrompt:
    tokenizer = train_tokenizer([QUESTION], "bpe", 300)
    tokenizer.chat_template = template
    return SoftPrompt(tokenizer, tokenizer, SoftPromptConfig(**options))


def test_a_template_that_repeats_or_drops_the_block_is_named():
    twice = with_template("{{ messages[0].content }} again {{ messages[0].content }}")
    with pytest.raises(UserError, match="template of the LLM writes 2 times the part"):
        twice.question(QUESTION, 4)
    drops = with_template("{{ messages[0].content[:5] }}")
    with pytest.raises(UserError, match="template of the LLM leaves out the part"):
        drops.question(QUESTION, 4)


def test_a_reply_header_that_is_no_header_is_named():
    template = "{% if add_generation_prompt %}go: {% endif %}{{ messages[0].content }}"
    assert with_template(template).question(QUESTION, 4).count == 4
    with pytest.raises(UserError, match=r"generation_prompt: .* does more than add a header"):
        with_template(template, generation_prompt=False)


def test_text_that_a_tokenizer_reads_as_the_placeholder_is_named():
    tokenizer = train_tokenizer([QUESTION.lower()], "bpe", 300)
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.add_tokens([AddedToken("<u>", special=True, normalized=True)], special_tokens=True)
    tokenizer.chat_template = QWEN25
    prompt = SoftPrompt(tokenizer, tokenizer, SoftPromptConfig(placeholder="<u>"))
    assert prompt.question("3 pears", 4).count == 4
    with pytest.raises(UserError, match='makes 5 tokens "<u>" of a block of 4'):
        prompt.question("3 <U> pears", 4)
    plain = plain_prompt(tokenizer, placeholder="<u>", assistant_placeholder="<u>")
    with pytest.raises(UserError, match='makes 5 tokens "<u>" of a block of 4'):
        plain.question("3 <U> pears", 4)

"""A checkpoint of SoftCoT holds the map and names the two models it goes between."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from soft import CHATTY, LORA, assistant, laid_out, llm, make_base, soft
from tiny import WORDS, examples
from transformers import AutoConfig, AutoModelForCausalLM

import latentreason
from latentreason.config import ModelConfig
from latentreason.errors import MissingFileError, UserError
from latentreason.methods.softcot.prompt import template_hash

ITEMS = examples(5)
QUESTIONS = [item.question for item in ITEMS]
OWN = {"projection.weight", "projection.bias", "initial_rows", "thought_mean"}
TRAINED = {
    "frozen": {},
    "bf16 map": {"projection_dtype": "bfloat16"},
    "learned rows": {"initial": "learned"},
    "gaussian rows": {"initial": "gaussian"},
    "LLM adapters": {"lora": True},
    "assistant adapters": {"assistant": ModelConfig(name=assistant(), lora=LORA)},
    "all": {
        "initial": "learned", "lora": True,
        "assistant": ModelConfig(name=assistant(), lora=LORA),
    },
}  # fmt: skip


def saved(folder: Path, **settings):
    """A checkpoint and its model; everything that can be trained has been moved."""
    model = soft(num_chains=3, **settings)
    torch.manual_seed(7)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.statistics(ITEMS)
    model.save_pretrained(folder)
    return model.eval()


def answers(model, mode="normal"):
    found = model.generate(QUESTIONS, num_samples=3, thought_mode=mode, return_thoughts=True)
    return [g.token_ids for g in found], torch.stack([g.thoughts for g in found])


def edit(folder, **values):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    for key, value in values.items():
        target = config
        *parents, last = key.split("__")
        for parent in parents:
            target = target[parent]
        target[last] = value
    file.write_text(json.dumps(config))


@pytest.mark.parametrize("name", TRAINED)
def test_what_is_loaded_answers_as_what_was_saved(tmp_path, name):
    model = saved(tmp_path, **TRAINED[name])
    loaded = latentreason.load(tmp_path, device="cpu")
    assert type(loaded) is type(model)
    for mode in ("normal", "mean"):
        (ours, thoughts), (theirs, same) = answers(model, mode), answers(loaded, mode)
        assert ours == theirs
        assert torch.equal(thoughts, same)
    for own in OWN:
        mine, other = model.state_dict()[own], loaded.state_dict()[own]
        assert mine.dtype == other.dtype
        assert torch.equal(mine, other), own
    assert set(load_file(tmp_path / "model.safetensors")) == OWN
    assert (tmp_path / "adapter").is_dir() == ("LLM" in name or name == "all")
    assert (tmp_path / "assistant_adapter").is_dir() == ("assistant" in name or name == "all")


@pytest.mark.parametrize("name", ["frozen", "all"])
def test_what_is_loaded_can_be_saved_again(tmp_path, name):
    saved(tmp_path / "first", **TRAINED[name])
    latentreason.load(tmp_path / "first", device="cpu").save_pretrained(tmp_path / "again")
    first, again = (latentreason.load(tmp_path / f, device="cpu") for f in ("first", "again"))
    assert answers(first)[0] == answers(again)[0]


def test_a_checkpoint_is_small_and_has_no_weights_of_the_bases(tmp_path):
    wide = {"hidden_size": 256, "intermediate_size": 1024}
    base = make_base(tmp_path / "wide", "llama", **wide)
    model = saved(tmp_path / "saved", base=base)
    size = sum(file.stat().st_size for file in (tmp_path / "saved").rglob("*"))
    bases = sum(p.numel() * p.element_size() for p in model.language_model.parameters())
    assert size < 100_000 < bases / 10


def test_transformers_loads_it_once_latentreason_is_imported(tmp_path):
    """test_checkpoints does it in a process of its own."""
    model = saved(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert answers(loaded)[0] == answers(model)[0]
    assert loaded.tokenizer is not None
    assert loaded.assistant_tokenizer is not None
    assert AutoConfig.from_pretrained(tmp_path).model_type == "latentreason_softcot"


def test_the_config_records_what_is_needed_to_answer_and_to_reproduce(tmp_path):
    reader = ModelConfig(name=assistant(), dtype="bfloat16")
    model = saved(tmp_path, train_thoughts=5, initial_ids=[4, 9, 6], assistant=reader)
    config = json.loads((tmp_path / "config.json").read_text())
    expected = {
        "num_thoughts": 3, "train_thoughts": 5, "num_chains": 3, "initial": "copied",
        "initial_ids": [4, 9, 6], "projection_dtype": "float32", "hidden_size": 16,
        "assistant_hidden_size": 24, "nll_reduction": "sum", "method_name": "softcot",
        "placeholder_id": model.tokenizer.pad_token_id, "begin_id": None, "end_id": None,
        "assistant_placeholder_id": model.assistant_tokenizer.pad_token_id,
        "contrastive": {"weight": None, "form": "cosine", "temperature": 0.05,
                        "positive_dropout": 0.5},
        "assistant": {"name": assistant(), "revision": None, "config": {}, "dtype": "bfloat16"},
        "base_model": {"name": llm(), "revision": None, "config": {}, "dtype": "float32"},
    }  # fmt: skip
    assert {key: config[key] for key in expected} == expected
    assert config["template_hash"] == template_hash(model.prompt.config)
    assert "w9" not in config["template_hash"]
    loaded = latentreason.load(tmp_path, device="cpu")
    assert loaded.assistant.dtype == torch.bfloat16
    assert loaded.language_model.dtype == loaded.projection.weight.dtype == torch.float32


def test_another_wording_is_another_hash(tmp_path):
    hashes = set()
    for number, prompt in enumerate(
        [{}, {"hint": "w1 {thoughts}\n"}, {"assistant_lead": "w1 {thoughts}"}]
    ):
        saved(tmp_path / str(number), prompt=prompt)
        hashes.add(
            json.loads((tmp_path / str(number) / "config.json").read_text())["template_hash"]
        )
    assert len(hashes) == 3


def test_loading_in_another_dtype_casts_the_bases_and_not_the_map(tmp_path):
    saved(tmp_path)
    loaded = latentreason.load(tmp_path, device="cpu", dtype="bfloat16")
    assert loaded.language_model.dtype == loaded.assistant.dtype == torch.bfloat16
    assert loaded.projection.weight.dtype == torch.float32
    assert len(loaded.generate(QUESTIONS, num_samples=3)) == 15


@pytest.mark.parametrize(
    ("options", "dtype", "attention"),
    [
        ({}, torch.float32, "sdpa"),
        ({"dtype": "auto"}, torch.float32, "sdpa"),
        ({"dtype": "bfloat16"}, torch.bfloat16, "sdpa"),
        ({"torch_dtype": torch.bfloat16}, torch.bfloat16, "sdpa"),
        ({"attn_implementation": "eager"}, torch.float32, "eager"),
    ],
)
def test_what_transformers_is_asked_for_reaches_both_bases(tmp_path, options, dtype, attention):
    saved(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, **options)
    for base in (loaded.language_model, loaded.assistant):
        assert (base.dtype, base.config._attn_implementation) == (dtype, attention)


@pytest.mark.parametrize("part", ["base_model", "assistant"])
def test_a_base_that_is_gone_is_named(tmp_path, part):
    saved(tmp_path)
    edit(tmp_path, **{f"{part}__name": str(tmp_path / "gone")})
    with pytest.raises(MissingFileError) as caught:
        latentreason.load(tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "gone") in message
    assert "config.json" in message
    assert "\n" not in message


@pytest.mark.parametrize("part", ["base_model", "assistant"])
def test_a_base_of_another_size_is_refused(tmp_path, part):
    saved(tmp_path / "saved")
    size = 16 if part == "assistant" else 24
    other = make_base(tmp_path / "other", "gpt2", WORDS[::-1], n_embd=size)
    edit(tmp_path / "saved", **{f"{part}__name": other})
    with pytest.raises(UserError, match=f"{part} of hidden size .* has {size}; name the one"):
        latentreason.load(tmp_path / "saved")


@pytest.mark.parametrize("lost", ["projection.weight", "thought_mean", None])
def test_a_checkpoint_without_its_map_is_refused(tmp_path, lost):
    """A map of random weights would answer as if nothing were."""
    saved(tmp_path)
    file = tmp_path / "model.safetensors"
    held = load_file(file)
    if lost is None:
        file.unlink()
    else:
        del held[lost]
        save_file(held, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"model.safetensors lacks {lost or 'initial_rows'}"):
        latentreason.load(tmp_path)


def test_more_chains_than_the_checkpoint_has_are_refused(tmp_path):
    saved(tmp_path)
    loaded = latentreason.load(tmp_path, device="cpu")
    with pytest.raises(UserError, match="the checkpoint has 3 and 4 are asked for"):
        loaded.embedded_prompts(QUESTIONS, chains=4)


def test_a_model_without_its_bases_is_refused(tmp_path):
    saved(tmp_path)
    with pytest.raises(UserError, match=r"load it with latentreason\.load"):
        AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    with pytest.raises(UserError, match="export: the backbone is the base model itself"):
        latentreason.load(tmp_path).export(tmp_path / "exported")


DOUBLED = "{% for m in messages %}{{ m.content }}\n{{ m.content }}\n{% endfor %}"
DROPPED = "{% for m in messages %}a turn\n{% endfor %}"


@pytest.mark.parametrize("side", ["LLM", "assistant"])
@pytest.mark.parametrize(
    ("template", "what"), [(DOUBLED, "writes 2 times"), (DROPPED, "leaves out")]
)
def test_a_template_that_doubles_or_drops_the_block_is_refused(tmp_path, side, template, what):
    """When training is laid out and when a question is answered. The assistant's block follows its
    turn, where a template of this kind cannot touch it."""
    own = {"LLM": (template, CHATTY), "assistant": (CHATTY, template)}[side]
    base = make_base(tmp_path / "base", "llama", template=own[0])
    reader = make_base(tmp_path / "reader", "gpt2", template=own[1], n_embd=24)
    model = soft(base=base, reader=reader, prompt={"chat_template": True})
    if side == "assistant":
        model.generate(QUESTIONS)
        return
    with pytest.raises(UserError, match=f"chat template of the LLM {what}"):
        model.generate(QUESTIONS)
    with pytest.raises(UserError, match=f"chat template of the LLM {what}"):
        laid_out(model, ITEMS)


def test_a_moved_checkpoint_still_finds_its_bases(tmp_path):
    model = saved(tmp_path / "saved")
    shutil.move(tmp_path / "saved", tmp_path / "moved")
    assert answers(latentreason.load(tmp_path / "moved", device="cpu"))[0] == answers(model)[0]

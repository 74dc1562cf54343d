"""A checkpoint is a `save_pretrained` directory that holds everything inference needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from runs import environment, metrics, recipe, run
from safetensors.torch import load_file
from tiny import FAMILIES, build, example, examples

import latentreason
from latentreason.backbones.load import load_backbone
from latentreason.config import ModelConfig
from latentreason.export import export_backbone
from latentreason.loading import load

QUESTIONS = [example(2 + number % 4, 0, number).question for number in range(4)]


def saved(folder, family="gpt2", method="coconut", **options):
    """A checkpoint of a model in its final stage, and the model."""
    model = build(family, method, **options)
    model.set_stage(3)
    model.statistics(examples(8))
    model.save_pretrained(folder)
    return model.eval()


def answers(model, **options):
    return [g.token_ids for g in model.generate(QUESTIONS, max_new_tokens=8, **options)]


@pytest.mark.parametrize("tie", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("family", FAMILIES)
def test_save_and_load_are_exact(tmp_path, family, tie):
    model = saved(tmp_path, family, tie=tie)
    loaded = load(tmp_path, device="cpu")
    assert type(loaded) is type(model)
    ours, theirs = model.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    head, embeddings = loaded.get_output_embeddings(), loaded.get_input_embeddings()
    assert (head.weight is embeddings.weight) == tie
    assert answers(loaded) == answers(model)
    assert answers(loaded, thought_mode="mean") == answers(model, thought_mode="mean")
    loaded.save_pretrained(tmp_path / "again")
    first, second = (
        load_file(tmp_path / "model.safetensors"),
        load_file(tmp_path / "again" / "model.safetensors"),
    )
    assert first.keys() == second.keys()
    configs = [
        json.loads((folder / "config.json").read_text())
        for folder in (tmp_path, tmp_path / "again")
    ]
    # Loading fills in the backbone's own copy of what the outer config says.
    assert {config["text_config"].pop("dtype") for config in configs} <= {None, configs[0]["dtype"]}
    assert configs[0] == configs[1]


def test_the_config_holds_what_inference_needs(tmp_path):
    model = saved(tmp_path, thoughts_per_step=2, max_new_tokens=5)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model_type"].startswith("latentreason")
    assert config["format_version"] == 1
    assert config["method_name"] == "coconut"
    assert (config["stage"], config["num_thoughts"], config["max_new_tokens"]) == (3, 6, 5)
    assert config["prompt"]["question"] == "{question}\n"
    ids = [config[name] for name in
           ("latent_token_id", "start_latent_token_id", "end_latent_token_id")]  # fmt: skip
    words = ["<|latent|>", "<|start-latent|>", "<|end-latent|>"]
    assert ids == model.tokenizer.convert_tokens_to_ids(words)
    assert config["text_config"]["model_type"] == "gpt2"
    assert config["text_config"]["vocab_size"] == len(model.tokenizer)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_vocabulary_size_is_right_as_soon_as_tokens_are_added(family):
    model = build(family)
    size = len(model.tokenizer)
    assert model.config.get_text_config().vocab_size == size
    assert model.config.text_config.vocab_size == size
    assert model.get_input_embeddings().weight.shape[0] == size
    assert model.get_output_embeddings().weight.shape[0] == size


AUTO = """
import sys
{first}
folder = sys.argv[1]
model = AutoModelForCausalLM.from_pretrained(folder)
print(type(model).__module__, model.generate(["w1 w2"], max_new_tokens=3)[0].token_ids)
"""
BOTH = ("import latentreason", "from transformers import AutoModelForCausalLM")


@pytest.mark.parametrize(
    "first",
    ["\n".join(BOTH), "from transformers import GPT2LMHeadModel\n" + "\n".join(reversed(BOTH))],
    ids=["before", "after"],
)
def test_auto_classes_know_our_checkpoints_after_import_latentreason(tmp_path, first):
    model = saved(tmp_path)
    expected = model.generate(["w1 w2"], max_new_tokens=3)[0].token_ids
    done = subprocess.run(
        [sys.executable, "-c", AUTO.format(first=first), str(tmp_path)],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert done.stdout.strip() == f"latentreason.methods.coconut.model {expected}", done.stderr


def test_import_latentreason_loads_neither_torch_nor_transformers():
    script = "import sys, latentreason, latentreason.recipes, latentreason.registry\n"
    script += "print([n for n in ('torch', 'transformers', 'peft') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(),
        check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stderr


def test_transformers_alone_refuses_our_checkpoints(tmp_path):
    """It must not generate without thoughts."""
    saved(tmp_path)
    script = "import sys; from transformers import AutoModelForCausalLM as A\n"
    script += "A.from_pretrained(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True,
        env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "latentreason_coconut" in done.stderr


@pytest.mark.parametrize("tie", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_export_is_an_ordinary_directory(tmp_path, family, tie):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = saved(tmp_path / "ours", family, tie=tie)
    export_backbone(tmp_path / "ours", tmp_path / "plain")
    config = json.loads((tmp_path / "plain" / "config.json").read_text())
    assert config["model_type"] == family
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    assert type(plain).__module__.startswith("transformers.")
    if (
        family != "qwen2"
    ):  # for which transformers 5.24 puts its own pre-tokenizer over the saved one
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "plain")
        assert len(tokenizer) == plain.config.vocab_size
        assert tokenizer("w1 w2")["input_ids"] == model.tokenizer("w1 w2")["input_ids"]
    ids = torch.tensor([model.tokenizer("w1 w2 w3")["input_ids"]])
    with torch.no_grad():
        assert torch.equal(plain(input_ids=ids).logits, model.language_model(input_ids=ids).logits)
    with pytest.raises(ValueError, match="ordinary model already"):
        export_backbone(tmp_path / "plain", tmp_path / "again")


def test_any_causal_lm_answers_in_words(tmp_path):
    saved(tmp_path / "ours")
    export_backbone(tmp_path / "ours", tmp_path / "plain")
    plain = load(tmp_path / "plain", device="cpu")
    [generation] = plain.generate(QUESTIONS[:1], max_new_tokens=4)
    assert generation.num_thoughts == 0
    assert generation.num_tokens >= 1


def test_a_newer_format_is_refused_by_name(tmp_path):
    saved(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text()) | {"format_version": 99}
    path.write_text(json.dumps(config))
    with pytest.raises(latentreason.UserError, match=r"format_version 99.*upgrade"):
        load(tmp_path)


def test_a_checkpoint_of_an_unknown_method_is_refused_by_name(tmp_path):
    saved(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text()) | {"model_type": "latentreason_oracle"}
    path.write_text(json.dumps(config))
    with pytest.raises(latentreason.UserError, match="latentreason_oracle"):
        load(tmp_path)


def test_a_checkpoint_of_another_method_is_refused_by_name(tmp_path):
    from latentreason.registry import model_class

    saved(tmp_path)
    with pytest.raises(latentreason.UserError, match="coconut"):
        model_class("cot").from_pretrained(tmp_path)


def test_missing_and_broken_checkpoints_are_named(tmp_path):
    for name in ("nowhere", "."):
        with pytest.raises(latentreason.UserError, match=str(tmp_path)):
            load(tmp_path / name)
    saved(tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").unlink()
    with pytest.raises(latentreason.UserError, match="broken"):
        load(tmp_path / "broken")
    (tmp_path / "broken" / "config.json").write_text("{")
    with pytest.raises(latentreason.UserError, match="broken"):
        load(tmp_path / "broken")


def test_a_run_folder_stands_for_its_best_or_last_checkpoint(tmp_path):
    folder = run(tmp_path, "train.max_steps=2")
    assert load(folder).config.stage == 0
    model = load(folder / "last")
    assert model.num_parameters() == load(folder).num_parameters()


def test_loading_in_another_dtype(tmp_path):
    saved(tmp_path)
    assert load(tmp_path, dtype="bfloat16").dtype == torch.bfloat16
    assert answers(load(tmp_path, dtype="bfloat16"), thought_mode="mean")
    with pytest.raises(ValueError, match="dtype"):
        load(tmp_path, dtype="float9")


# --- one method starts where another ended --------------------------------------------------------


@pytest.fixture(scope="module")
def cot(tmp_path_factory):
    """The run folder of a CoT stage."""
    return run(tmp_path_factory.mktemp("cot"), "train.max_steps=3", method="cot")


def test_coconut_starts_from_a_text_checkpoint(tmp_path, cot):
    """Also the other way: a run folder, or the checkpoint in it."""
    source = load(cot).state_dict()
    for number, name in enumerate((cot / "last", cot)):
        words = (f"model.name={name}", "model.config={}", "optim.lr=0.0", "train.max_steps=1")
        words += ("optim.weight_decay=0.0",)
        folder = run(tmp_path / str(number), *words)
        model = load(folder)
        assert model.config.method_name == "coconut"
        rows = model.get_input_embeddings().weight.shape[0]
        assert rows == load(cot).get_input_embeddings().weight.shape[0] + 3
        for key, value in source.items():
            ours = model.state_dict()[key]
            assert torch.equal(ours[: len(value)] if "wte" in key else ours[: len(ours)],
                               value) or "lm_head" in key, key  # fmt: skip
        # Pinned to the checkpoint itself: `last` moves on when the run does.
        assert model.config.base_model["name"] == str((cot / "last").resolve())


def test_config_values_override_those_of_a_named_model(tmp_path, cot):
    """Dropout of a stage that starts from another's checkpoint: set, or an error, never ignored."""
    words = (f"model.name={cot / 'last'}", "model.config={}", "train.max_steps=2")
    quiet = metrics(run(tmp_path / "quiet", *words))
    dropped = metrics(
        run(tmp_path / "dropped", *words, "model.config={resid_pdrop: 0.5, embd_pdrop: 0.5}")
    )
    assert quiet[0]["loss"] != dropped[0]["loss"]
    with pytest.raises(ValueError, match=r"model\.config\.residual"):
        run(tmp_path / "odd", *words, "model.config={residual: 0.5}")
    with pytest.raises(
        latentreason.UserError, match=r"model\.config: the weights of .*size mismatch"
    ) as caught:
        run(tmp_path / "wide", *words, "model.config={n_embd: 32}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_tying_the_two_tables_of_a_named_model_keeps_that_of_the_inputs(tmp_path, family):
    inputs = saved(tmp_path / "ours", family, tie=False).get_input_embeddings().weight
    export_backbone(tmp_path / "ours", tmp_path / "plain")
    for folder in ("ours", "plain"):
        config = ModelConfig(name=str(tmp_path / folder), config={"tie_word_embeddings": True})
        tied, _ = load_backbone(config)
        assert torch.equal(tied.get_input_embeddings().weight, inputs)
        assert tied.get_output_embeddings().weight is tied.get_input_embeddings().weight
        assert tied.config.tie_word_embeddings


def test_a_named_model_whose_weights_do_not_fit_its_config_is_refused(tmp_path, cot):
    export_backbone(cot, tmp_path / "plain")
    words = (f"model.name={tmp_path / 'plain'}", "model.config={n_embd: 32}")
    with pytest.raises(latentreason.UserError, match=r"model\.config: the weights of .* not fit"):
        run(tmp_path / "wide", *words)


# --- adapters -------------------------------------------------------------------------------------

LORA = ("model.config={}", "model.lora.rank=4", "optim.lr=0.05")


@pytest.fixture(
    scope="module",
    params=[("gpt2", True), ("llama", True), ("llama", False)],
    ids=["gpt2", "llama", "llama-untied"],
)
def adapted(request, tmp_path_factory):
    """(base directory, run folder) of a Coconut model trained by adapters on a plain base."""
    family, tie = request.param
    root = tmp_path_factory.mktemp("lora")
    words = ("train.max_steps=2", f"model.config.tie_word_embeddings={tie}")
    first = run(root / "base", *words, method="cot", family=family)
    export_backbone(first, root / "plain")
    targets = "[c_attn]" if family == "gpt2" else "[q_proj, v_proj]"
    folder = run(root / "lora", f"model.name={root / 'plain'}", f"model.lora.targets={targets}",
                 *LORA, family=family)  # fmt: skip
    return root / "plain", folder


def test_adapter_checkpoints_hold_adapters_and_new_rows_only(adapted):
    base, folder = adapted
    assert (folder / "last" / "adapter" / "adapter_model.safetensors").is_file()
    tensors = load_file(folder / "last" / "adapter" / "adapter_model.safetensors")
    assert any("lora_A" in name for name in tensors)
    rows = {name: len(value) for name, value in tensors.items() if "lora" not in name}
    assert set(rows.values()) == {3}, rows
    own = folder / "last" / "model.safetensors"
    assert not own.is_file() or set(load_file(own)) == {"thought_mean"}
    whole = sum(value.numel() for value in load_file(base / "model.safetensors").values())
    assert sum(value.numel() for value in tensors.values()) < whole / 2


def test_adapters_on_a_padded_vocabulary_keep_its_rows(tmp_path):
    """Qwen2.5 has more embedding rows than its tokenizer has entries."""
    from transformers import AutoModelForCausalLM

    untied = "model.config.tie_word_embeddings=false"
    first = run(tmp_path / "base", "train.max_steps=1", untied, method="cot", family="llama")
    export_backbone(first, tmp_path / "plain")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    rows = plain.get_input_embeddings().weight.shape[0] + 20
    plain.resize_token_embeddings(rows)
    plain.save_pretrained(tmp_path / "plain")
    folder = run(tmp_path / "lora", f"model.name={tmp_path / 'plain'}", *LORA,
                 "model.lora.targets=[q_proj, v_proj]", "train.max_steps=2", family="llama")  # fmt: skip
    model = load(folder)
    assert len(model.tokenizer) < rows
    for table in (model.get_input_embeddings(), model.get_output_embeddings()):
        assert table.weight.shape[0] == rows
    assert model.config.text_config.vocab_size == rows


def test_adapters_train_the_new_rows_and_leave_the_base_alone(adapted):
    base, folder = adapted
    from transformers import AutoModelForCausalLM

    before = AutoModelForCausalLM.from_pretrained(base)
    model = load(folder)
    size = before.get_input_embeddings().weight.shape[0]
    state = model.state_dict()
    kept = 0
    for name, value in before.state_dict().items():
        for ours in state:
            if ours.endswith(name.replace(".weight", ".base_layer.weight")):
                assert torch.equal(state[ours][: len(value)], value), name
                kept += 1
    assert kept >= 2
    new = model.embed(torch.tensor(model.config.marker_ids))
    mean = before.get_input_embeddings().weight[:size].mean(0)
    # The placeholder's own row is never read: thoughts take its slots.
    for row in new[1:]:
        assert (row - mean).abs().max() > 1e-3, "the markers' rows were trained"


def test_loaded_adapters_answer_as_trained_and_as_merged(adapted, tmp_path):
    from slow_coconut import answer

    _, folder = adapted
    model = load(folder)
    questions = ["0 a0to1 a1to2 b0to1", "2 a0to1 a1to2"]
    expected = [g.token_ids for g in model.generate(questions, max_new_tokens=6)]
    model.save_pretrained(tmp_path / "again")
    again = load(tmp_path / "again")
    assert [g.token_ids for g in again.generate(questions, max_new_tokens=6)] == expected
    export_backbone(folder, tmp_path / "merged")
    from transformers import AutoModelForCausalLM

    model.language_model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert [g.token_ids for g in model.generate(questions, max_new_tokens=6)] == expected
    slow = [
        answer(model, model.prompt.question_ids(q), model.config.num_thoughts, 6)[0]
        for q in questions
    ]
    assert slow == expected


def test_the_saved_adapter_is_the_trained_one(adapted):
    """Loss of the loaded model equals the loss the trainer's next step starts from."""
    _, folder = adapted
    from latentreason.config import PhaseConfig
    from latentreason.recipes import load_recipe
    from latentreason.training import train

    made = load_recipe(str(folder / "recipe.yaml"))
    made.train.phases.append(PhaseConfig(stage=2, steps=1))
    loaded = load(folder)
    train(made)
    resumed = metrics(folder)[-1]
    assert resumed["step"] == 16
    from latentreason.data import load_split
    from latentreason.training.order import layout_rng, permutation

    rows = load_split(made.data.train)
    order = permutation(0, resumed["epoch"], 2, len(rows))[:8].tolist()
    layouts = [loaded.layout(rows[i], 2, layout_rng(0, resumed["epoch"], i)) for i in order]
    batch = loaded.collate(layouts, order)
    with torch.no_grad():
        total, _ = loaded(batch)["answer"]
    assert total.item() / batch["counts"]["answer"] == pytest.approx(resumed["loss"], rel=1e-4)


def test_a_missing_base_model_is_named(adapted, tmp_path):
    _, folder = adapted
    model = load(folder)
    model.config.base_model = {"name": str(tmp_path / "gone"), "revision": None}
    model.save_pretrained(tmp_path / "orphan")
    with pytest.raises(latentreason.UserError, match="gone"):
        load(tmp_path / "orphan")


def test_adapters_need_a_base(tmp_path):
    with pytest.raises(ValueError, match=r"model\.lora"):
        run(tmp_path, "model.lora.rank=4")


def test_recipes_made_here_are_valid(tmp_path):
    assert recipe(tmp_path).run.name == "run"


def test_a_model_saved_after_its_export_is_whole(adapted, tmp_path):
    _, folder = adapted
    model = load(folder)
    model.export(tmp_path / "plain")
    model.save_pretrained(tmp_path / "whole")
    assert not (tmp_path / "whole" / "adapter").exists()
    assert answers(load(tmp_path / "whole")) == answers(model)
    assert "from scratch" not in (tmp_path / "whole" / "README.md").read_text()


def test_an_export_overwrites_nothing(adapted, tmp_path):
    _, folder = adapted
    before = (folder / "last" / "config.json").read_bytes()
    with pytest.raises(latentreason.UserError, match="holds a model already"):
        load(folder).export(folder / "last")
    assert (folder / "last" / "config.json").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(latentreason.UserError, match="is a file; give a folder"):
        load(folder).export(tmp_path / "file")


def test_adapters_load_their_base_with_its_overrides(adapted, tmp_path):
    base, _ = adapted
    gpt2 = json.loads((base / "config.json").read_text())["model_type"] == "gpt2"
    field, target = ("layer_norm_epsilon", "c_attn") if gpt2 else ("rms_norm_eps", "q_proj")
    folder = run(
        tmp_path,
        f"model.name={base}",
        f"model.config={{{field}: 0.5}}",
        "model.lora.rank=4",
        f"model.lora.targets=[{target}]",
        "train.max_steps=1",
    )
    assert getattr(load(folder).causal_lm.config, field) == 0.5

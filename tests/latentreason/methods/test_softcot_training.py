"""SoftCoT through `latentreason.train`: it learns, resumes exactly, and the bases stay as they are."""

from __future__ import annotations

import json
import math

import pytest
import torch
from runs import (
    assert_near_run,
    assert_same_run,
    losses,
    metrics,
    optimizer_state,
    recipe_file,
    run,
    torchrun,
    weights,
)
from safetensors.torch import load_file
from soft import STATES, make_base, recipe_words, trained_bases

import latentreason
from latentreason.errors import UserError
from latentreason.methods.softcot.model import Model

QUESTIONS = ["0 m1 m2", "2 m2 m0"]
TRAINED = {
    "map": (),
    "learned rows": ("method.initial=learned", "method.cache_states=false"),
    # Adapters with dropout: the chance of a resumed run has to go on where it stopped.
    "adapters": (
        "model.lora={rank: 2, dropout: 0.2}", "method.cache_states=false",
        "method.assistant.lora={rank: 2, dropout: 0.2}",
    ),
}  # fmt: skip


def train(root, *words, chains=2):
    return run(root, *recipe_words(*words, chains=chains), method="softcot")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Uninterrupted runs by what is trained."""
    return {
        name: train(tmp_path_factory.mktemp("whole"), *words) for name, words in TRAINED.items()
    }


def test_it_learns_eight_items_and_the_bases_keep_every_bit(tmp_path):
    # Of larger weights, so that what it reads can turn what it writes.
    base = make_base(tmp_path / "base", "llama", STATES, scale=20.0)
    before = [load_file(f"{folder}/model.safetensors") for folder in (base, trained_bases()[1])]
    kept = {}

    def remember(model, examples):
        kept["model"] = model
        return {"accuracy": 0.0}

    valid = (
        "{generator: state_tracking, size: 1, options: {num_states: 3, num_maps: 3, part: valid}}"
    )
    words = recipe_words(
        f"model.name={base}", "data.train.size=8", "optim.lr=0.03", "method.train_thoughts=8",
        "train.phases=[{stage: 0, steps: 60}]", f"data.valid={valid}",
    )  # fmt: skip
    folder = run(tmp_path, *words, validate=remember, method="softcot")
    curve = [r["loss_answer"] for r in metrics(folder) if "loss" in r]
    even = 2 * math.log(len(STATES) + 3)
    assert curve[-1] < 0.75 * even < 0.75 * curve[0]
    model = kept["model"]
    for base, held in zip((model.language_model, model.assistant), before, strict=True):
        state = base.state_dict()
        assert held
        for name, tensor in held.items():
            assert torch.equal(state[name], tensor), name
    assert all(p.grad is None for p in model.language_model.parameters())
    # AdamW holds moments of two tensors.
    assert len(optimizer_state(folder)) == 2


@pytest.mark.parametrize("chains", [1, 2])
def test_metrics_hold_the_spread_of_the_chains_and_the_loss_leaves_it_out(tmp_path, chains):
    folder = train(tmp_path, "train.max_steps=3", chains=chains)
    for record in metrics(folder):
        if chains == 1:
            assert not {"chain_cosine", "chain_distance", "loss_contrastive"} & set(record)
            continue
        assert -1 <= record["chain_cosine"] <= 1
        assert record["chain_distance"] > 0
        assert record["loss"] == record["loss_answer"] + record["loss_contrastive"]
        assert record["loss_contrastive"] > 0


def test_infonce_pushes_the_chains_apart(tmp_path):
    """Against the same run without it."""
    words = ("train.phases=[{stage: 0, steps: 15}]", "optim.lr=0.01")
    pushed, plain = (
        train(tmp_path / str(weight), f"method.contrastive.weight={weight}", *words)
        for weight in (100.0, 0.0)
    )
    ours, theirs = (metrics(folder)[-1]["chain_cosine"] for folder in (pushed, plain))
    assert ours < theirs - 0.02


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("stop", [3, 5])
def test_a_resumed_run_is_bit_equal_to_an_uninterrupted_one(tmp_path, whole, name, stop):
    train(tmp_path, *TRAINED[name], f"train.max_steps={stop}")
    assert len(losses(tmp_path / "run")) == stop
    train(tmp_path, *TRAINED[name])
    assert_same_run(tmp_path / "run", whole[name])


def test_checkpoints_in_between_change_nothing(tmp_path, whole):
    folder = train(tmp_path, *TRAINED["adapters"], "train.save_every=2")
    assert losses(folder) == losses(whole["adapters"])


def test_without_a_cache_the_run_is_the_same(tmp_path, whole):
    assert_near_run(train(tmp_path, "method.cache_states=false"), whole["map"])


@pytest.mark.parametrize(
    "words",
    [("train.micro_batch_size=2",), ("train.num_workers=2",), ("train.activation_checkpointing=true",)],
    ids=["micro-batches", "workers", "recomputation"],
)  # fmt: skip
def test_how_a_step_is_computed_changes_nothing(tmp_path, whole, words):
    assert_near_run(train(tmp_path, *words), whole["map"])


def test_two_gloo_ranks_equal_one_and_read_one_cache(tmp_path):
    """With adapters on the LLM, whose gradients come out of the sum over chains."""
    words = recipe_words("model.lora.rank=2", "train.max_steps=7")
    done = torchrun(2, str(recipe_file(tmp_path / "two", *words, method="softcot")))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("assistant states:") == 1, "one rank writes"
    alone = run(tmp_path / "one", *words, method="softcot")
    assert_near_run(tmp_path / "two" / "run", alone)
    ours, theirs = (
        load_file(root / "run" / "last" / "adapter" / "adapter_model.safetensors")
        for root in (tmp_path / "two", tmp_path / "one")
    )
    assert any(tensor.abs().max() > 0 for name, tensor in ours.items() if "lora_B" in name)
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-3)


def test_the_trained_checkpoint_answers_and_names_its_bases(whole):
    for name, folder in whole.items():
        model = latentreason.load(folder, device="cpu")
        assert isinstance(model, Model)
        assert len(model.generate(QUESTIONS, num_samples=2)) == 4
        config = json.loads((folder / "last" / "config.json").read_text())
        names = (config["base_model"]["name"], config["assistant"]["name"])
        assert names == trained_bases()
        assert weights(folder)["thought_mean"].abs().max() > 0, name
        assert config["provenance"]


def test_faithful_settings_train(tmp_path):
    """As published: a map in bf16, a sum over chains, no header of the reply in the prompt."""
    folder = train(
        tmp_path, "method.projection_dtype=bfloat16", "method.nll_reduction=sum",
        "method.prompt={chat_template: false, generation_prompt: false}", "train.precision=bf16",
        "optim.lr=2e-5", "optim.schedule=linear", "method.train_thoughts=8",
        "train.max_steps=4",
    )  # fmt: skip
    assert all(torch.isfinite(torch.tensor(losses(folder))))
    assert weights(folder)["projection.weight"].dtype == torch.bfloat16
    assert latentreason.load(folder).projection.weight.dtype == torch.bfloat16


def test_bf16_autocast_with_adapters_trains_near_fp32(tmp_path):
    words = ("model.lora.rank=2", "train.max_steps=3", "optim.lr=0.001")
    rounded, exact = (train(tmp_path / p, *words, f"train.precision={p}") for p in ("bf16", "fp32"))
    assert losses(rounded) == pytest.approx(losses(exact), rel=0.03)
    assert losses(rounded) != losses(exact)


def test_an_llm_from_scratch_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"model\.name"):
        run(
            tmp_path, *recipe_words(), "model.name=null", "model.config={model_type: gpt2}",
            "train.max_steps=1", method="softcot",
        )  # fmt: skip

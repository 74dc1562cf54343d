"""Adapters and a trained projection lie side by side in a checkpoint of a tiny Llama."""

from __future__ import annotations

import pytest
import torch
from runs import assert_near_run, recipe_file, run, torchrun
from safetensors.torch import load_file

import latentreason
from latentreason.export import export_backbone

QUESTIONS = ["0 m1 m2 m0", "2 m2 m2 m1"]


def test_a_projection_is_trained_and_saved_beside_the_adapters(tmp_path):
    first = run(tmp_path / "base", "train.max_steps=2", method="cot", family="llama")
    export_backbone(first, tmp_path / "plain")
    folder = run(
        tmp_path / "lora", f"model.name={tmp_path / 'plain'}", "model.config={}", "optim.lr=0.05",
        "model.lora.rank=4", "model.lora.targets=[q_proj, v_proj]",
        "method.thought_projection=linear", family="llama",
    )  # fmt: skip
    own = load_file(folder / "last" / "model.safetensors")
    assert set(own) == {"thought_mean", "projection.weight", "projection.bias"}
    assert not torch.equal(own["projection.weight"], torch.eye(16))
    with pytest.raises(ValueError, match=r"model.name: .* has projection.weight beside"):
        run(tmp_path / "next", f"model.name={folder}", "model.config={}", family="llama")
    state = torch.load(folder / "last" / "trainer_state" / "weights.pt")
    model = latentreason.load(folder)
    assert torch.equal(model.projection.weight, state["projection.weight"])
    adapted = model.generate(QUESTIONS, return_thoughts=True)
    model.language_model = model.merged_backbone()
    for left, right in zip(adapted, model.generate(QUESTIONS, return_thoughts=True), strict=True):
        assert left.token_ids == right.token_ids
        torch.testing.assert_close(left.thoughts, right.thoughts, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("projection", ["linear", "norm"])
def test_a_projection_beside_adapters_is_of_the_backbones_precision(tmp_path, projection):
    first = run(
        tmp_path / "base", "train.max_steps=1", "data.valid=null", method="cot", family="llama"
    )
    folder = run(
        tmp_path / "lora", f"model.name={first}", "model.config={}", "model.dtype=bfloat16",
        "model.lora.rank=4", "model.lora.targets=[q_proj, v_proj]", "data.valid=null",
        f"method.thought_projection={projection}",
        "train.phases=[{stage: 2, steps: 1}]", family="llama",
    )  # fmt: skip
    for asked, expected in ((None, torch.bfloat16), ("float32", torch.float32)):
        model = latentreason.load(folder, dtype=asked)
        own = [*model.projection.parameters(), *model.projection.buffers()]
        assert own
        assert {tensor.dtype for tensor in own} == {expected}
        assert len(model.generate(QUESTIONS)) == 2


def test_a_projection_trains_on_two_ranks_from_the_stage_without_thoughts_on(tmp_path):
    words = ("method.thought_projection=linear", "train.max_steps=7", "data.valid=null")
    path = recipe_file(tmp_path / "two", *words, family="llama")
    done = torchrun(2, str(path))
    assert done.returncode == 0, done.stderr[-3000:]
    alone = run(tmp_path / "one", *words, family="llama")
    assert_near_run(tmp_path / "two" / "run", alone)

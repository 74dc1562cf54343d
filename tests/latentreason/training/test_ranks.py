"""Two real ranks train what one rank trains, and either goes on where the other stopped."""

from __future__ import annotations

import shutil

import pytest
from runs import assert_near_run, losses, recipe_file, run, torchrun

# Ranks see rows with different numbers of thoughts; the last step of an epoch has fillers.
WORDS = ("method.stage_mixing=0.5", "optim.warmup=4", "optim.schedule=linear",
         "train.micro_batch_size=2", "optim.lr=0.003", "data.valid=null")  # fmt: skip
DEEPSPEED = ("train.strategy=deepspeed", "train.deepspeed=zero2")


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory):
    """15 steps on one rank."""
    return run(tmp_path_factory.mktemp("one"), *WORDS)


def two_ranks(root, *words):
    done = torchrun(2, str(recipe_file(root, *WORDS)), *words)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_two_gloo_ranks_equal_one_and_either_resumes_the_other(tmp_path, one_rank):
    done = two_ranks(tmp_path, "train.max_steps=7")
    assert done.stdout.count("step 7:") == 1, "one rank speaks"
    assert len(losses(tmp_path / "run")) == 7
    run(tmp_path, *WORDS, "train.max_steps=9")
    two_ranks(tmp_path)
    assert_near_run(tmp_path / "run", one_rank)


def test_ranks_that_share_out_validation_agree_on_its_figures(tmp_path):
    """Five questions on two ranks: shares of different size; greedy answers are the same."""
    from runs import metrics, recipe

    from latentreason_launch.training import train_recipe

    words = ("data.valid.size=5", "train.phases=[{stage: 1, steps: 6}]", "optim.lr=0.02")
    train_recipe(recipe(tmp_path / "one", *words))
    done = torchrun(2, str(recipe_file(tmp_path / "two", *words)))
    assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs = (metrics(tmp_path / name / "run")[-1] for name in ("one", "two"))
    assert "valid_accuracy" in ours
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name]), name


@pytest.mark.deepspeed
def test_zero_2_on_two_gloo_ranks_equals_one_plain_rank_and_resumes(tmp_path, one_rank):
    pytest.importorskip("deepspeed")
    two_ranks(tmp_path, *DEEPSPEED, "train.max_steps=7")
    assert len(losses(tmp_path / "run")) == 7
    shutil.copytree(tmp_path / "run", tmp_path / "kept", symlinks=True)
    # One micro-batch a step, where DeepSpeed steps within the first backward.
    two_ranks(tmp_path, *DEEPSPEED, "train.micro_batch_size=4")
    assert_near_run(tmp_path / "run", one_rank)
    # What DeepSpeed wrote is DeepSpeed's, but for any number of ranks.
    with pytest.raises(ValueError, match=r"train\.strategy"):
        run(tmp_path, *WORDS, "run.name=kept")
    done = torchrun(1, str(recipe_file(tmp_path, *WORDS)), *DEEPSPEED, "run.name=kept")
    assert done.returncode == 0, done.stderr[-3000:]
    assert_near_run(tmp_path / "kept", one_rank)

"""The assistant's states kept on disk: the same training, computed once, never another's."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from runs import recipe
from soft import assistant, batch, laid_out, llm, mean_loss, soft
from tiny import example, examples, gradients

from latentreason.config import ModelConfig
from latentreason.errors import UserError
from latentreason.methods.softcot import states
from latentreason.methods.softcot.states import BATCH, StateStore, write_states

ITEMS = examples(6)


class OneRank:
    """As much of a strategy as `prepare` reads."""

    main = True
    accelerator = SimpleNamespace(device=torch.device("cpu"))

    def __init__(self):
        self.barriers = 0

    def barrier(self):
        self.barriers += 1


class OtherRank(OneRank):
    main = False


def prepared(root: Path, items=ITEMS, strategy=None, made=None, **settings):
    """A model whose states of `items` are on disk."""
    model = made or soft(cache_states=True, num_chains=2, **settings)
    model.prepare(recipe(root), items, strategy or OneRank())
    return model


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "cache" / "assistant_states").iterdir()
                  if path.is_dir())  # fmt: skip


def forbid(model):
    """Any use of the assistant from now on is an error."""

    def used(*_):
        raise AssertionError("the assistant was run")

    model.assistant.register_forward_pre_hook(used)
    model.assistant.base_model.register_forward_pre_hook(used)
    model.assistant.get_input_embeddings().register_forward_pre_hook(used)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_losses_and_gradients_are_those_without_a_cache_and_no_step_runs_the_assistant(
    tmp_path, dtype
):
    section = {"assistant": ModelConfig(name=assistant(), dtype=dtype)}
    cached = prepared(tmp_path, **section)
    plain = soft(num_chains=2, **section)
    forbid(cached)
    for index in ([0, 1, 2, 3], [5, 2], [4]):
        items = [ITEMS[place] for place in index]
        ours = cached.collate(laid_out(cached, items), index)
        theirs = plain.collate(laid_out(plain, items), index)
        assert "assistant_prompts" not in ours
        assert ours["states"].dtype == getattr(torch, dtype)
        # Rows that are padded otherwise: bf16 rounds otherwise.
        tolerance = (
            {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 2e-2, "atol": 5e-2}
        )
        raw = plain.assistant_states(theirs["assistant_prompts"], 2, 3)
        torch.testing.assert_close(ours["states"], raw, **tolerance)
        left, right = (
            mean_loss(cached, ours),
            mean_loss(plain, {**theirs, "states": ours["states"]}),
        )
        assert torch.equal(left, right), "the states are all that differs"
        if dtype == "float32":
            right = mean_loss(plain, theirs)
            torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)
        left.backward()
        right.backward()
        for (name, mine), other in zip(
            gradients(cached).items(), gradients(plain).values(), strict=True
        ):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5, msg=name)


def test_the_hook_sees_the_assistant_where_it_runs():
    """What the test above forbids is what a step without a cache does."""
    model = soft(num_chains=2)
    forbid(model)
    with pytest.raises(AssertionError, match="the assistant was run"):
        mean_loss(model, batch(model, ITEMS))


def test_fillers_are_laid_out_from_the_first_example(tmp_path):
    model = prepared(tmp_path)
    layouts = laid_out(model, ITEMS[:2])
    full = model.collate(layouts, [0, 1])
    padded = model.collate([*layouts, layouts[0]], [0, 1, -1])
    torch.testing.assert_close(mean_loss(model, padded), mean_loss(model, full))
    assert torch.equal(padded["states"][2], full["states"][0])


def test_a_second_run_reads_the_file_of_the_first(tmp_path):
    first = prepared(tmp_path)
    before = files(tmp_path)
    second = soft(cache_states=True, num_chains=2, seed=1)
    forbid(second)
    second.prepare(recipe(tmp_path), ITEMS, OneRank())
    assert files(tmp_path) == before
    assert torch.equal(first._store[[3, 0]], second._store[[3, 0]])


def test_one_rank_writes_and_the_others_wait_for_it(tmp_path):
    other = OtherRank()
    with pytest.raises(FileNotFoundError):
        prepared(tmp_path, strategy=other)
    assert other.barriers == 1
    prepared(tmp_path)
    assert prepared(tmp_path, strategy=other)._store.shape == (6, 2, 3, 24)


@pytest.mark.parametrize(
    "settings",
    [
        {"initial_ids": [7, 8]},
        {"train_thoughts": 5},
        {"prompt": {"assistant_question": "w5 {question}\n"}},
        {"assistant": ModelConfig(name=assistant("llama"))},
        {"assistant": ModelConfig(name=assistant(), dtype="bfloat16")},
        {"assistant": ModelConfig(name=assistant(), config={"n_head": 4})},
    ],
    ids=["rows", "length", "prompt", "assistant", "dtype", "config"],
)  # fmt: skip
def test_other_states_are_another_file(tmp_path, settings):
    prepared(tmp_path)
    prepared(tmp_path, **settings)
    assert len(files(tmp_path)) == 2


def test_other_questions_or_another_order_are_another_file(tmp_path):
    for items in (ITEMS, ITEMS[:5], ITEMS[::-1], [example(3, 1, 9), *ITEMS[1:]]):
        prepared(tmp_path, items)
    assert len(files(tmp_path)) == 4


def test_a_changed_weight_of_the_assistant_is_another_file(tmp_path):
    prepared(tmp_path)
    model = soft(cache_states=True, num_chains=2)
    model.assistant.base_model.h[0].mlp.c_fc.weight.data[0, 0] += 1e-3
    prepared(tmp_path, made=model)
    assert len(files(tmp_path)) == 2


def test_what_the_assistant_does_not_see_is_the_same_file(tmp_path):
    """The LLM, the map, the learning of it, and how many thoughts answer."""
    prepared(tmp_path, train_thoughts=3)
    prepared(
        tmp_path, base=llm("qwen3"), num_thoughts=2, train_thoughts=3, match_norm=True, lora=True
    )
    retold = [dataclasses.replace(item, steps=("w1",), answer="w2") for item in ITEMS]
    prepared(tmp_path, retold)
    assert len(files(tmp_path)) == 1


def test_augmented_examples_are_refused(tmp_path):
    model = soft(cache_states=True, num_chains=2)
    words = "data.train.augment=edge_order"
    with pytest.raises(UserError, match=r"method\.cache_states: data\.train\.augment"):
        model.prepare(recipe(tmp_path, words), ITEMS, OneRank())
    soft(num_chains=2).prepare(recipe(tmp_path, words), ITEMS, OneRank())


@pytest.mark.parametrize(
    ("chains", "parts"),
    [
        (1, [BATCH, BATCH, 3]),
        (BATCH // 2, [2] * BATCH + [2, 1]),
        (BATCH + 1, [1] * (2 * BATCH + 3)),
    ],
)
def test_many_examples_are_written_in_parts_in_their_order(tmp_path, chains, parts):
    """A part has as many questions as their chains leave room for."""
    prompts = [[number] for number in range(2 * BATCH + 3)]
    sizes = []

    def compute(rows):
        sizes.append(len(rows))
        return torch.tensor(rows, dtype=torch.bfloat16)[:, :, None, None]

    write_states(tmp_path / "found", prompts, compute, lambda _: None, chains)
    store = StateStore(tmp_path / "found")
    assert sizes == parts
    expected = torch.tensor(prompts, dtype=torch.bfloat16).flatten()
    assert torch.equal(store[range(len(prompts))].flatten(), expected)
    assert store[[BATCH, 1]].shape == (2, 1, 1, 1)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_writing_that_is_killed_leaves_nothing_that_could_be_read(tmp_path, part):
    prompts = [[number] for number in range(2 * BATCH + 3)]

    def compute(rows, dies=True):
        if dies and rows[0][0] == part * BATCH:
            raise Killed
        return torch.tensor(rows, dtype=torch.float32)[:, :, None, None]

    folder = tmp_path / "found"
    with pytest.raises(Killed):
        write_states(folder, prompts, compute, lambda _: None)
    assert not folder.exists()
    write_states(folder, prompts, lambda rows: compute(rows, dies=False), lambda _: None)
    assert StateStore(folder)[[2 * BATCH + 2]].item() == 2 * BATCH + 2
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["found"]


def test_of_two_runs_started_together_one_writes_and_the_other_reads(tmp_path):
    """The second begins while the first is in the middle of it, and must not take its files away."""
    folder, begun, calls = tmp_path / "found", threading.Event(), []
    prompts = [[number] for number in range(2 * BATCH)]

    def compute(rows):
        calls.append(len(rows))
        begun.set()
        other.join(0.3)
        return torch.tensor(rows, dtype=torch.float32)[:, :, None, None]

    def second():
        begun.wait(10)
        write_states(folder, prompts, compute, lambda _: None)

    other = threading.Thread(target=second)
    other.start()
    write_states(folder, prompts, compute, lambda _: None)
    other.join(10)
    assert calls == [BATCH, BATCH]
    assert StateStore(folder)[[5, 2 * BATCH - 1]].flatten().tolist() == [5, 2 * BATCH - 1]


def test_the_size_is_said_before_the_work(tmp_path):
    said = []
    prompts = [[0]] * 1000
    states.write_states(
        tmp_path / "found", prompts, lambda rows: torch.zeros(len(rows), 2, 5, 100), said.append
    )
    assert said == [f"assistant states: 1000 questions, 4 MB in {tmp_path / 'found'}"]
    record = json.loads((tmp_path / "found" / "shape.json").read_text())
    assert record == {"shape": [1000, 2, 5, 100], "dtype": "float32"}
    assert (tmp_path / "found" / "states.bin").stat().st_size == 4_000_000

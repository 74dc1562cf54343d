"""SoftCoT's loss and gradients against a slow computation through the two plain models, in fp64."""

from __future__ import annotations

import weakref

import pytest
import torch
from soft import LORA, assistant, batch, laid_out, llm, loss_by_hand, mean_loss, raw_by_hand, soft
from tiny import assert_close, example, examples, gradients

from latentreason.config import ModelConfig
from latentreason.errors import UserError
from latentreason.methods.softcot import model as method
from latentreason.methods.softcot.chains import sum_over_chains
from latentreason.methods.softcot.contrastive import info_nce, pairwise_cosine, pairwise_distance
from latentreason.methods.softcot.settings import ContrastiveConfig

EXACT = 1e-9
ITEMS = examples(4)


def contrastive(**options):
    return {"contrastive": ContrastiveConfig(**options)}


def reader_lora():
    return {"assistant": ModelConfig(name=assistant(), lora=LORA)}


def plain_sum(loss, thoughts, parameters):
    """What `sum_over_chains` stands for: all graphs are held at once."""
    return sum(loss(chain) for chain in thoughts)


def loss_and_gradients(model, items=ITEMS):
    loss = mean_loss(model, batch(model, items))
    loss.backward()
    return {"loss": loss.detach(), **gradients(model)}


@pytest.mark.parametrize("chains", [1, 3])
@pytest.mark.parametrize("families", [("llama", "gpt2"), ("gpt2", "llama"), ("qwen3", "gpt2")])
def test_a_padded_batch_is_the_two_plain_models_row_by_row(families, chains):
    model = soft(
        base=llm(families[0]), reader=assistant(families[1]), exact=True, num_chains=chains
    ).eval()
    assert len({len(row.row.ids) for row in laid_out(model, ITEMS)}) > 1, "rows are padded"
    assert len({len(row.assistant) for row in laid_out(model, ITEMS)}) > 1, "prompts are padded"
    total, weight = model(batch(model, ITEMS))["answer"]
    total.backward()
    ours = gradients(model)
    slow = sum(loss_by_hand(model, item, k) for item in ITEMS for k in range(chains))
    slow.backward()
    assert weight == 1
    assert total.item() == pytest.approx(slow.item(), abs=EXACT)
    assert_close(ours, gradients(model), EXACT)


def test_raw_thoughts_are_the_assistants_last_states_at_the_block():
    model = soft(exact=True, num_chains=3, num_thoughts=4).eval()
    prompts = [model.prompt.assistant(item.question, 4).ids for item in ITEMS]
    found = model.assistant_states(prompts, 3, 4)
    assert found.shape == (4, 3, 4, 24)
    for b, item in enumerate(ITEMS):
        for k in range(3):
            slow = raw_by_hand(model, item.question, k, 4)
            assert (found[b, k] - slow).abs().max() <= EXACT


def test_only_the_map_has_gradients():
    model = soft(num_chains=3).train()
    mean_loss(model, batch(model, ITEMS)).backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None}
    assert moved == {"projection.weight", "projection.bias"}
    assert moved == {name for name, p in model.named_parameters() if p.requires_grad}
    assert model.projection.weight.grad.abs().max() > 0
    assert not model.assistant.training
    assert not model.language_model.training


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"initial": "learned"}, "initial_rows"),
        ({"lora": True}, "language_model"),
        (None, "assistant"),
    ],
    ids=["learned rows", "LLM adapters", "assistant adapters"],
)
def test_what_else_is_trained_has_gradients_of_the_plain_sum(options, part, monkeypatch):
    options = reader_lora() if options is None else options
    model = soft(exact=True, num_chains=3, **options).eval()
    ours = loss_and_gradients(model)
    monkeypatch.setattr(method, "sum_over_chains", plain_sum)
    theirs = loss_and_gradients(model)
    assert_close(ours, theirs, 1e-12 * max(t.abs().max().item() for t in theirs.values()))
    moved = {name for name, gradient in ours.items() if gradient.abs().max() > 0} - {"loss"}
    assert {name.split(".")[0] for name in moved} == {"projection", part}
    assert all("lora_" in name for name in moved if "model" in name)


def test_the_chains_one_after_another_have_the_gradient_of_their_sum():
    torch.manual_seed(0)
    thoughts = torch.randn(5, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    unused = torch.randn(3, dtype=torch.float64, requires_grad=True)
    results = []
    for add in (sum_over_chains, plain_sum):
        # Another use of both on either side, and a factor from outside.
        total = 0.3 * add(
            lambda c: (c @ weight).tanh().pow(2).sum(), 2 * thoughts, [weight, unused]
        )
        (total + weight.sum() + thoughts.sum()).backward()
        results.append({"total": total.detach(), "thoughts": thoughts.grad, "weight": weight.grad})
        thoughts.grad = weight.grad = None
    assert_close(*results, 1e-12)


def test_the_chains_need_no_gradients():
    model = soft(num_chains=3).eval()
    made = batch(model, ITEMS)
    with torch.no_grad():
        quiet = model(made)["answer"][0]
    assert not quiet.requires_grad
    assert quiet.item() == pytest.approx(model(made)["answer"][0].item(), rel=1e-6)


class Kept:
    """A tensor that autograd holds; a class of its own, for finalizers."""

    def __init__(self, tensor):
        self.tensor = tensor


class SavedBytes:
    """Bytes of activations that autograd holds, now and at most; weights do not count."""

    def __init__(self, model):
        self.weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self.now = self.most = 0

    def pack(self, tensor):
        kept, storage = Kept(tensor), tensor.untyped_storage()
        if storage.data_ptr() not in self.weights:
            self._add(storage.nbytes())
            weakref.finalize(kept, self._add, -storage.nbytes())
        return kept

    def _add(self, size):
        self.now += size
        self.most = max(self.most, self.now)

    def __enter__(self):
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self.pack, lambda kept: kept.tensor)
        self.hooks.__enter__()
        return self

    def __exit__(self, *exception):
        self.hooks.__exit__(*exception)


@pytest.mark.parametrize("lora", [False, True], ids=["frozen", "LLM adapters"])
def test_the_activations_of_one_chain_are_alive_at_a_time(lora, monkeypatch):
    most = {}
    for chains in (1, 6):
        for name, add in (("ours", sum_over_chains), ("plain", plain_sum)):
            monkeypatch.setattr(method, "sum_over_chains", add)
            options = contrastive(weight=0.0) if chains > 1 else {}
            model = soft(num_chains=chains, lora=lora, **options)
            made = batch(model, examples(8))
            with SavedBytes(model) as saved:
                mean_loss(model, made).backward()
            assert saved.now == 0, "everything is let go of"
            most[name, chains] = saved.most
    thoughts = 8 * 3 * (16 + 24) * 4
    assert most["ours", 6] <= most["ours", 1] + 2 * 6 * thoughts
    assert most["plain", 6] > 5 * most["plain", 1]


def test_recomputed_activations_change_nothing():
    model = soft(exact=True, num_chains=2, lora=True).eval()
    stored = loss_and_gradients(model)
    model.enable_recompute()
    assert_close(stored, loss_and_gradients(model), EXACT)


@pytest.mark.parametrize("recompute", [False, True], ids=["stored", "recomputed"])
def test_under_autocast_the_chains_share_their_adapters(recompute, monkeypatch):
    """Autocast keeps the casts of trained weights, whose graph every chain goes through."""
    model = soft(num_chains=3, lora=True).train()
    if recompute:
        model.enable_recompute()
    results = []
    for add in (sum_over_chains, plain_sum):
        monkeypatch.setattr(method, "sum_over_chains", add)
        with torch.autocast("cpu", torch.bfloat16):
            loss = mean_loss(model, batch(model, ITEMS))
        loss.backward()
        results.append({"loss": loss.detach(), **gradients(model)})
    size = max(t.abs().max().item() for t in results[1].values())
    assert_close(*results, 0.03 * size)
    assert results[0]["projection.weight"].abs().max() > 0


def test_one_chain_is_softcot_without_anything_more():
    model = soft(num_chains=1, initial_ids=[4])
    made = batch(model, ITEMS)
    assert set(made["counts"]) == set(model(made)) == {"answer"}


def test_chain_k_of_many_is_softcot_with_its_row():
    """In the loss and in the thoughts it answers with."""
    many = soft(exact=True, num_chains=3, initial_ids=[5, 2, 7]).eval()
    singles = [soft(exact=True, num_chains=1, initial_ids=[row]).eval() for row in (5, 2, 7)]
    questions = [item.question for item in ITEMS]
    thoughts = many.thoughts(questions, 3, 3)
    for k, single in enumerate(singles):
        assert torch.equal(many.projection.weight, single.projection.weight)
        assert (thoughts[:, k] - single.thoughts(questions, 1, 3)[:, 0]).abs().max() <= EXACT
    losses = [single(batch(single, ITEMS))["answer"][0].item() for single in singles]
    assert len(set(losses)) == 3
    assert many(batch(many, ITEMS))["answer"][0].item() == pytest.approx(sum(losses), abs=EXACT)


def test_the_first_chains_are_the_same_whatever_is_asked_for():
    model = soft(exact=True, num_chains=3).eval()
    questions = [item.question for item in ITEMS]
    gap = model.thoughts(questions, 3, 3)[:, :2] - model.thoughts(questions, 2, 3)
    assert gap.abs().max() <= EXACT


@pytest.mark.parametrize("chains", [1, 3])
def test_a_batch_of_four_is_the_mean_of_four_singles(chains):
    """Fails on the released code, whose contrastive loss knows batches of one only."""
    model = soft(exact=True, num_chains=chains).eval()
    items = [example(2 + number, 2, number) for number in range(4)]
    layouts = laid_out(model, items)
    loss = mean_loss(model, model.collate(layouts, range(4)))
    loss.backward()
    ours = {"loss": loss.detach(), **gradients(model)}
    for number, layout in enumerate(layouts):
        (mean_loss(model, model.collate([layout], [number])) / 4).backward()
    theirs = gradients(model)
    singles = [mean_loss(model, model.collate([row], [n])) for n, row in enumerate(layouts)]
    # InfoNCE is computed in fp32.
    tolerance = EXACT if chains == 1 else 1e-5
    assert_close(ours, {"loss": sum(singles).detach() / 4, **theirs}, tolerance)


def test_targets_of_different_length_count_by_their_tokens():
    model = soft(exact=True).eval()
    made = batch(model, ITEMS)
    targets = [len(model.prompt.target_ids(item.steps, item.answer)) for item in ITEMS]
    assert len(set(targets)) > 1
    assert made["counts"]["answer"] == sum(targets)
    assert made["num_tokens"] == sum(len(row.row.ids) for row in laid_out(model, ITEMS))


def test_fillers_count_nothing():
    model = soft(exact=True, num_chains=3).eval()
    layouts = laid_out(model, ITEMS)
    full = model.collate(layouts[:2], [0, 1])
    padded = model.collate([*layouts[:2], layouts[0]], [0, 1, -1])
    assert padded["counts"] == full["counts"]
    ours, theirs = model(padded), model(full)
    assert ours.keys() == theirs.keys()
    for name, (total, weight) in ours.items():
        assert total.item() == pytest.approx(theirs[name][0].item(), abs=1e-6), name
        assert weight == theirs[name][1]


def test_terms_and_meters_are_what_they_say():
    options = contrastive(weight=0.7, temperature=0.2, positive_dropout=0.3)
    model = soft(num_chains=3, **options).eval()
    layouts = laid_out(model, ITEMS)
    made = model.collate(layouts, range(4))
    terms = model(made)
    flat = model.thoughts([item.question for item in ITEMS], 3, 3).flatten(2)
    seeds = [layout.seed for layout in layouts]
    apart = info_nce(flat, temperature=0.2, positive_dropout=0.3, seeds=seeds)
    expected = {"contrastive": (apart.sum(), 0.7), "chain_cosine": (pairwise_cosine(flat).sum(), None),
                "chain_distance": (pairwise_distance(flat).sum(), None)}  # fmt: skip
    assert set(terms) == {"answer", *expected}
    for name, (total, weight) in expected.items():
        assert terms[name][0].item() == pytest.approx(total.item(), rel=1e-5), name
        assert terms[name][1] == weight
        assert made["counts"][name] == 4
    assert not terms["chain_cosine"][0].requires_grad
    assert len(set(seeds)) == 4, "each question has dropout of its own"


def test_without_weight_there_is_no_term_but_there_are_meters():
    model = soft(num_chains=3, **contrastive(weight=0.0))
    made = batch(model, ITEMS)
    assert set(model(made)) == set(made["counts"]) == {"answer", "chain_cosine", "chain_distance"}


@pytest.mark.parametrize(("reduction", "scale"), [("sum", 1.0), ("mean", 1 / 3)])
def test_the_weights_of_the_released_code_and_the_mean_over_chains(reduction, scale):
    model = soft(num_chains=3, nll_reduction=reduction)
    terms = model(batch(model, ITEMS))
    assert terms["answer"][1] == pytest.approx(scale)
    assert terms["contrastive"][1] == pytest.approx(1 / 3), "1 / N"


def test_match_norm_gives_every_thought_the_norm_of_an_embedding():
    model = soft(num_chains=2, match_norm=True)
    thoughts = model.thoughts([item.question for item in ITEMS], 2, 3)
    mean = model.get_input_embeddings().weight.norm(dim=-1).mean()
    torch.testing.assert_close(thoughts.norm(dim=-1), mean.expand(4, 2, 3))
    mean_loss(model, batch(model, ITEMS)).backward()
    assert model.projection.weight.grad.abs().max() > 0


def test_a_map_in_bf16_computes_in_bf16_and_one_in_fp32_stays_exact_under_autocast():
    rounded = soft(projection_dtype="bfloat16")
    question = [ITEMS[3].question]
    assert rounded.projection.weight.dtype == torch.bfloat16
    assert rounded.thoughts(question, 1, 3).dtype == torch.bfloat16
    model = soft()
    raw = torch.randn(2, 24)
    with torch.autocast("cpu", torch.bfloat16):
        cast = model.project(raw)
    assert cast.dtype == torch.float32
    assert torch.equal(cast, model.project(raw))


def test_gaussian_rows_have_the_embeddings_mean_and_deviation():
    model = soft(num_chains=400, initial="gaussian")
    weight = model.assistant.get_input_embeddings().weight
    rows = model.initial_rows
    assert model.config.initial_ids is None
    assert (rows.mean(0) - weight.mean(0)).abs().max() < 5 * weight.std() / 20
    assert (rows - weight.mean(0)).std().item() == pytest.approx(weight.std().item(), rel=0.05)


def test_copied_rows_are_those_of_the_ids():
    model = soft(num_chains=2, initial_ids=[6, 3])
    assert torch.equal(model.initial_rows, model.assistant.get_input_embeddings().weight[[6, 3]])
    alone = soft()
    assert alone.config.initial_ids == [alone.prompt.assistant_placeholder_id]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_chains": 2, "initial_ids": [3, 9999]}, "no row 9999"),
        ({"num_chains": 2, "initial_ids": [3, -1]}, "no row -1"),
        ({"num_chains": 2, "initial_ids": [3]}, "1 ids for 2 chains"),
        ({"num_chains": 2, "initial": "gaussian", "initial_ids": [3, 4]}, "copies no rows"),
        ({"num_chains": 0}, "num_chains: 0"),
        ({"train_thoughts": 0}, "train_thoughts: 0"),
        ({"assistant": ModelConfig()}, r"assistant\.name"),
        (contrastive(weight=0.5), "nothing to be pushed from"),
        ({"num_chains": 2, **contrastive(temperature=0.0)}, r"contrastive\.temperature: 0"),
        ({"num_chains": 2, **contrastive(positive_dropout=1.0)}, "positive_dropout: 1"),
        ({"num_chains": 2, **contrastive(form="dot", temperature=0.1)}, "has no temperature"),
        ({"cache_states": True, "initial": "learned"}, "cache_states: the initial rows"),
        ({"cache_states": True, **reader_lora()}, "cache_states: the assistant"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_named(settings, message):
    with pytest.raises(UserError, match=message):
        soft(**settings)


def test_chains_without_rows_of_their_own_are_an_error():
    """The family "none" sets no rows apart."""
    with pytest.raises(UserError, match="initial_ids: 2 chains need 2 rows and only 0 are known"):
        soft(num_chains=2, initial_ids=[])

"""InfoNCE between chains and the two meters of their spread: values in closed form."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from latentreason.methods.softcot.contrastive import info_nce, pairwise_cosine, pairwise_distance

N = 10


def identical(chains=N, size=64):
    return torch.randn(1, 1, size).expand(3, chains, size).contiguous()


def random_chains(questions=3, chains=N, size=64, seed=0):
    return torch.randn(questions, chains, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chains", [2, 3, 10])
def test_identical_chains_score_ln_n(chains):
    found = info_nce(identical(chains), positive_dropout=0)
    torch.testing.assert_close(found, torch.full((3,), math.log(chains)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 0.5])
@pytest.mark.parametrize("chains", [2, 10])
def test_orthogonal_chains_score_what_the_formula_says(chains, temperature):
    found = info_nce(3 * torch.eye(chains)[None], temperature=temperature, positive_dropout=0)
    expected = math.log1p((chains - 1) * math.exp(-1 / temperature))
    assert found.item() == pytest.approx(expected, abs=1e-6)


# Spread of the chains around a common one: off-diagonal cosine and InfoNCE of the released formula,
# with p = 0.5, ten chains and 131072 entries each.
TABLE = [(0.0, 0.707, 2.303), (0.1, 0.701, 2.178), (0.3, 0.649, 1.338), (1.0, 0.353, 0.008)]


@pytest.mark.parametrize(("noise", "cosine", "value"), TABLE)
def test_with_dropout_it_falls_as_the_chains_part(noise, cosine, value):
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(131072, generator=generator)
    chains = (base + noise * torch.randn(N, 131072, generator=generator))[None]
    assert info_nce(chains, seeds=[3]).item() == pytest.approx(value, abs=0.02)
    # Dropout takes sqrt(1 - p) of every cosine.
    expected = pairwise_cosine(chains).item() * math.sqrt(0.5)
    assert expected == pytest.approx(cosine, abs=0.004)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_positive_has_cosine_sqrt_1_minus_p(p):
    """Two chains at a right angle: InfoNCE is then a function of the diagonal cosine alone."""
    size = 200_000
    chains = torch.zeros(1, 2, 2 * size)
    chains[0, 0, :size], chains[0, 1, size:] = 1.0, 1.0
    found = info_nce(chains, temperature=1.0, positive_dropout=p, seeds=[0]).item()
    assert found == pytest.approx(math.log1p(math.exp(-math.sqrt(1 - p))), abs=2e-3)


def test_dropout_is_drawn_by_the_questions_own_seed():
    chains = random_chains()
    whole = info_nce(chains, seeds=[5, 6, 7])
    alone = torch.cat([info_nce(chains[b : b + 1], seeds=[5 + b]) for b in range(3)])
    torch.testing.assert_close(whole, alone)
    same = chains[:1].expand(2, -1, -1)
    first, second = info_nce(same, seeds=[5, 6])
    assert first != second
    with pytest.raises(ValueError, match="needs seeds"):
        info_nce(chains)
    with pytest.raises(ValueError, match="argument"):
        info_nce(chains, seeds=[1])


@pytest.mark.parametrize("p", [0.0, 0.5])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_scaling_all_thoughts_changes_nothing(scale, p):
    chains = random_chains(size=4096)
    ours = info_nce(scale * chains, positive_dropout=p, seeds=[1, 2, 3])
    torch.testing.assert_close(ours, info_nce(chains, positive_dropout=p, seeds=[1, 2, 3]))


def test_the_dot_form_is_the_papers_equation_and_not_free_of_scale():
    chains = 0.2 * random_chains()
    scores = torch.einsum("bnd,bmd->bnm", chains, chains).exp()
    expected = -(scores.diagonal(dim1=1, dim2=2) / scores.sum(2)).log().mean(1)
    torch.testing.assert_close(info_nce(chains, form="dot"), expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(info_nce(chains, form="dot"), info_nce(2 * chains, form="dot"))


@pytest.mark.parametrize("form", ["cosine", "dot"])
def test_the_order_of_the_chains_does_not_matter(form):
    chains = 0.2 * random_chains(size=16)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    left, right = (info_nce(c, form=form, positive_dropout=0) for c in (chains, chains[:, order]))
    torch.testing.assert_close(left, right)


def test_one_chain_has_nothing_to_be_told_from():
    assert info_nce(random_chains(chains=1), seeds=[1, 2, 3]).abs().max() == 0


def test_steps_of_it_alone_push_the_chains_apart_step_by_step():
    """Through an affine map of nearly equal states, as in training."""
    torch.manual_seed(0)
    states = torch.randn(1, 1, 4, 12) + 0.2 * torch.randn(2, 5, 4, 12)
    chart = torch.nn.Linear(12, 8)
    optimizer = torch.optim.SGD(chart.parameters(), lr=0.05)
    distances, values = [], []
    for _ in range(8):
        chains = chart(states).flatten(2)
        value = info_nce(chains, positive_dropout=0).mean()
        distances.append(pairwise_distance(chains.detach()).mean().item())
        values.append(value.item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert distances == sorted(set(distances)), distances
    assert values == sorted(set(values), reverse=True), values


def test_no_side_of_it_is_detached():
    """The gradient is the numerical one."""
    torch.manual_seed(0)
    chains = torch.randn(2, 3, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        info_nce(chains, temperature=0.5, seeds=[1, 2]).sum(), [chains]
    )
    step = 1e-2
    for place in [(0, 0, 0), (0, 2, 3), (1, 1, 5)]:
        values = []
        for sign in (1, -1):
            moved = chains.detach().clone()
            moved[place] += sign * step
            values.append(info_nce(moved, temperature=0.5, seeds=[1, 2]).sum().item())
        numerical = (values[0] - values[1]) / (2 * step)
        assert gradient[place].item() == pytest.approx(numerical, abs=2e-3)


@pytest.mark.parametrize("chains", [2, 5, 30])
def test_the_meters_keep_the_identities_of_spread(chains):
    """sum_{i<j} |T_i - T_j|^2 = N sum_i |T_i - mean|^2; for unit vectors sum_{i!=j} cos =
    |sum T|^2 - N; both against the definition, pair by pair."""
    vectors = random_chains(questions=2, chains=chains)
    unit = F.normalize(vectors, dim=-1)
    pairs = [(i, j) for i in range(chains) for j in range(chains) if i < j]
    gaps = torch.stack([(vectors[:, i] - vectors[:, j]).norm(dim=-1) for i, j in pairs], 1)
    cosines = torch.stack([(unit[:, i] * unit[:, j]).sum(-1) for i, j in pairs], 1)
    torch.testing.assert_close(pairwise_distance(vectors), gaps.mean(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pairwise_cosine(vectors), cosines.mean(1), rtol=1e-4, atol=1e-5)
    around = (vectors - vectors.mean(1, keepdim=True)).pow(2).sum((1, 2))
    torch.testing.assert_close(gaps.pow(2).sum(1), chains * around)
    torch.testing.assert_close(
        pairwise_cosine(vectors) * chains * (chains - 1), unit.sum(1).pow(2).sum(-1) - chains
    )


def test_equal_chains_have_cosine_1_and_distance_0():
    torch.testing.assert_close(pairwise_cosine(identical(4)), torch.ones(3))
    assert pairwise_distance(identical(4)).abs().max() == 0

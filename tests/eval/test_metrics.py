"""Metrics against brute force and scipy, on random inputs."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from latentreason_eval.metrics.headline import METRICS, headline
from latentreason_eval.metrics.intervals import bootstrap, wilson
from latentreason_eval.metrics.paired import compare_shares, mcnemar
from latentreason_eval.metrics.passk import majority_at_k, pass_at_k, sample_sizes, vote


def test_wilson_equals_scipy():
    rng = random.Random(0)
    for _ in range(300):
        n = rng.randint(1, 2000)
        k = rng.randint(0, n)
        level = rng.choice([0.8, 0.9, 0.95, 0.99])
        wanted = stats.binomtest(k, n).proportion_ci(level, method="wilson")
        assert wilson(k, n, level) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_wilson_of_nothing_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_pass_at_k_equals_all_subsets():
    rng = random.Random(1)
    for _ in range(60):
        n = rng.randint(1, 8)
        right = [rng.random() < 0.4 for _ in range(n)]
        for k in range(1, n + 1):
            subsets = list(itertools.combinations(right, k))
            wanted = sum(map(any, subsets)) / len(subsets)
            assert pass_at_k(n, sum(right), k) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("none_votes", [False, True])
def test_majority_at_k_equals_all_ordered_subsets(none_votes):
    rng = random.Random(2)
    for _ in range(60):
        n = rng.randint(1, 6)
        answers = [rng.choice(["a", "b", "c", None]) for _ in range(n)]
        right = {"a": True, "b": rng.random() < 0.3, "c": False}
        for k in range(1, n + 1):
            orders = list(itertools.permutations(range(n), k))
            wins = sum(_vote([answers[i] for i in order], right, none_votes) for order in orders)
            found = majority_at_k(answers, right, k, none_votes=none_votes)
            assert found == pytest.approx(wins / len(orders), abs=1e-12)


def _vote(answers: list[str | None], right: dict[str, bool], none_votes: bool) -> bool:
    """First seen of the most frequent; "no answer" counts once at most, or not at all."""
    counts: dict[str | None, int] = {}
    for answer in answers:
        if answer is not None:
            counts[answer] = counts.get(answer, 0) + 1
        elif none_votes:
            counts[None] = 1
    if not counts:
        return False
    winner = max(counts, key=lambda answer: counts[answer])
    return winner is not None and right[winner]


def test_impossible_k_is_refused():
    with pytest.raises(ValueError, match="k=3 n=2"):
        pass_at_k(2, 1, 3)
    with pytest.raises(ValueError, match="k=0"):
        majority_at_k(["a"], {"a": True}, 0)


def test_reported_sample_sizes():
    assert sample_sizes(1) == [1]
    assert sample_sizes(10) == [1, 2, 5, 10]
    assert sample_sizes(64) == [1, 2, 5, 10, 20, 50, 64]


def test_the_headline_is_what_the_benchmark_says():
    row = {
        "accuracy": 0.5,
        "pass_at_k": {"1": 0.5, "2": 0.7, "10": 0.9},
        "majority_at_k": {"1": 0.5, "2": 0.5, "10": 0.6},
        "distinct": 2.5,
    }
    found = {metric: headline(metric, row) for metric in METRICS}
    assert found == {"accuracy": 0.5, "pass": 0.9, "majority": 0.6, "distinct": 2.5}
    assert headline("pass", {"accuracy": 0.4}) == 0.4


def test_mcnemar_is_the_exact_binomial_test():
    rng = random.Random(3)
    for _ in range(100):
        left, right = rng.randint(0, 40), rng.randint(0, 40)
        if left + right:
            wanted = stats.binomtest(left, left + right, 0.5).pvalue
            assert mcnemar(left, right) == pytest.approx(wanted, abs=1e-12)
    assert mcnemar(0, 0) == 1.0


def test_bootstrap_agrees_with_scipy():
    values = np.random.default_rng(4).random(300)
    wanted = stats.bootstrap(
        (values,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    found = bootstrap(list(values), repeats=9999)
    # Two independent sets of 9999 resamples: their quantiles agree to about 1 % of the width.
    width = wanted.high - wanted.low
    assert found == pytest.approx((wanted.low, wanted.high), abs=0.05 * width)


def test_paired_comparison_counts_and_signs():
    first = [1.0] * 60 + [0.0] * 40
    second = [1.0] * 50 + [0.0] * 10 + [1.0] * 30 + [0.0] * 10
    found = compare_shares(first, second)
    assert (found.n, found.only_first, found.only_second) == (100, 10, 30)
    assert found.difference == pytest.approx(0.2)
    assert 0 < found.ci_low < 0.2 < found.ci_high
    assert found.p_value == pytest.approx(stats.binomtest(10, 40).pvalue)


def test_several_samples_have_no_mcnemar():
    assert compare_shares([0.5, 1.0], [1.0, 0.5]).p_value is None


def test_unpaired_lists_are_refused():
    with pytest.raises(ValueError, match="1 and 2"):
        compare_shares([1.0], [1.0, 0.0])


def test_a_vote_goes_to_the_first_of_several():
    assert vote(["b", "a", "a", "b"]) == "b"
    assert vote(["b", "a", "a"]) == "a"
    assert vote([None, None, "a"]) == "a"
    assert vote([None, None]) is None
    assert vote([None, None, "a"], none_votes=True) is None
    assert vote([None, None, "a", "a"], none_votes=True) == "a"


def test_votes_agree_with_majority_at_n_where_there_is_no_tie():
    rng = np.random.default_rng(0)
    for _ in range(200):
        answers = [str(number) for number in rng.integers(0, 3, 5)]
        counts = sorted(Counter(answers).values())
        if len(counts) > 1 and counts[-1] == counts[-2]:
            continue
        right = {"0": True, "1": False, "2": False}
        assert majority_at_k(answers, right, 5) == float(vote(answers) == "0")

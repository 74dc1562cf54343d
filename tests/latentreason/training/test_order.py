"""Order and layout are functions of (seed, epoch, stage) and (seed, epoch, index)."""

from __future__ import annotations

import numpy as np
import pytest

from latentreason.config import OptimConfig, PhaseConfig
from latentreason.training.order import FILLER, layout_rng, micro_batches, permutation
from latentreason.training.schedule import learning_rate


def test_the_order_is_a_function_of_seed_epoch_and_stage():
    one = permutation(1, 2, 3, 50)
    np.random.seed(0)
    assert (permutation(1, 2, 3, 50) == one).all()
    assert sorted(one) == list(range(50))
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert (permutation(*other, 50) != one).any()


def test_layout_chance_is_a_function_of_seed_epoch_index_and_copy():
    one = layout_rng(1, 2, 3).random(4)
    assert (layout_rng(1, 2, 3).random(4) == one).all()
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4), (1, 2, 3, 1)):
        assert (layout_rng(*other).random(4) != one).all()


@pytest.mark.parametrize(("world", "micro"), [(1, 8), (1, 2), (2, 4), (2, 1), (4, 2), (8, 1)])
def test_ranks_and_micro_batches_cut_the_same_step(world, micro):
    order = permutation(0, 0, 0, 37)
    for step in range(5):
        ranks = [micro_batches(order, step, 8, micro, rank, world) for rank in range(world)]
        assert {len(batches) for batches in ranks} == {8 // world // micro}
        assert {len(batch) for batches in ranks for batch in batches} == {micro}
        seen = [i for batches in ranks for batch in batches for i in batch if i != FILLER]
        assert sorted(seen) == sorted(order[8 * step : 8 * step + 8])


def test_a_short_step_spreads_its_fillers_over_the_ranks():
    order = permutation(0, 0, 0, 4)
    for rank in range(2):
        batches = micro_batches(order, 0, 8, 4, rank, 2)
        assert sum(index == FILLER for batch in batches for index in batch) == 2


def rates(optim, total=10, phase=None):
    phase = phase or PhaseConfig(epochs=1)
    return [learning_rate(optim, phase, step, total) for step in range(total)]


def test_schedules():
    assert rates(OptimConfig(lr=0.4)) == [0.4] * 10
    warm = rates(OptimConfig(lr=0.4, warmup=4))
    assert warm == pytest.approx([0.1, 0.2, 0.3, 0.4] + [0.4] * 6)
    linear = rates(OptimConfig(lr=1.0, schedule="linear", min_lr=0.5), total=5)
    assert linear == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6])
    cosine = rates(OptimConfig(lr=1.0, schedule="cosine", warmup=2), total=6)
    expected = [0.5, 1.0, 1.0, 0.5 * (1 + 2**-0.5), 0.5, 0.5 * (1 - 2**-0.5)]
    assert cosine == pytest.approx(expected)


def test_a_phase_may_have_its_own_learning_rate():
    assert rates(OptimConfig(lr=0.4), phase=PhaseConfig(epochs=1, lr=0.1))[0] == 0.1
    # 0 is a rate and not "none given".
    assert rates(OptimConfig(lr=0.4), phase=PhaseConfig(epochs=1, lr=0.0))[0] == 0.0

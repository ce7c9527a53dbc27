import math

import pytest
import torch
from refusals import refused
from scipy.stats import bootstrap
from underglass import metrics

F64 = torch.float64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_normal_scores_have_the_interval_of_the_formula():
    """mean ± 1.96 s / √n: what the central limit theorem says of 499 scores."""
    scores = torch.randn(499, dtype=F64, generator=seeded(1)) * 3 + 5
    found = metrics.bootstrap_interval(scores, generator=seeded(), num_draws=10_000)
    half = 1.959964 * scores.std(correction=0).item() / math.sqrt(499)
    assert found.score == pytest.approx(scores.mean().item())
    # the ends are quantiles of 10,000 draws: their own chance is about 2 % of `half`
    assert found.low == pytest.approx(found.score - half, abs=0.06 * half)
    assert found.high == pytest.approx(found.score + half, abs=0.06 * half)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_equals_scipy(level):
    scores = torch.rand(53, dtype=F64, generator=seeded(2)) ** 3  # lopsided: the ends differ
    ours = metrics.bootstrap_interval(scores, generator=seeded(), level=level, num_draws=10_000)
    theirs = bootstrap(
        (scores.numpy(),),
        lambda x, axis: x.mean(axis=axis),
        method="percentile",
        confidence_level=level,
        n_resamples=10_000,
        rng=0,
    ).confidence_interval
    width = ours.high - ours.low
    assert ours.low == pytest.approx(theirs.low, abs=0.04 * width)  # both are chance
    assert ours.high == pytest.approx(theirs.high, abs=0.04 * width)


@pytest.mark.parametrize(("count", "share"), [(20, 0.928), (100, 0.946)])
def test_it_holds_the_truth_as_often_as_it_says(count, share):
    """Of 200 test sets, about 95 % have an interval around the true mean; of small ones, fewer.

    The shares are those of 4000 test sets, with 1000 draws each.
    """
    generator = seeded()
    hits = 0
    for _ in range(200):
        scores = torch.randn(count, generator=generator)
        found = metrics.bootstrap_interval(scores, generator=generator, num_draws=200)
        hits += found.low <= 0 <= found.high
    assert abs(hits / 200 - share) < 0.05  # three standard deviations


def test_a_paired_difference_sees_more_than_two_intervals():
    hard = torch.randn(101, generator=seeded(3))
    first, second = hard + 0.1, hard + 0.02 * torch.randn(101, generator=seeded(4))
    apart = metrics.bootstrap_difference(first, second, generator=seeded())
    assert 0 < apart.low < apart.score < apart.high
    assert apart.score == pytest.approx((first - second).mean().item(), abs=1e-6)
    one, other = (metrics.bootstrap_interval(x, generator=seeded()) for x in (first, second))
    assert one.low < other.high  # they overlap
    assert apart == metrics.bootstrap_interval(first.double() - second, generator=seeded())


def test_any_statistic_of_rows():
    """F1 from rows of (prediction, target)."""
    rows = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1], [0, 0]])
    found = metrics.bootstrap_interval(
        rows, generator=seeded(), num_draws=50, statistic=lambda r: metrics.f1(r[:, 0], r[:, 1])
    )
    assert found.score == metrics.f1(rows[:, 0], rows[:, 1])
    assert 0 <= found.low <= found.score <= found.high <= 1


def test_ties_and_a_single_score():
    assert metrics.bootstrap_interval([3.0, 3.0, 3.0], num_draws=5) == (3, 3, 3)
    assert metrics.bootstrap_interval([0.1], num_draws=5) == (0.1, 0.1, 0.1)


def test_a_generator_decides_the_interval():
    scores = torch.randn(11)
    first, second, other = (
        metrics.bootstrap_interval(scores, generator=seeded(s), num_draws=50) for s in (1, 1, 2)
    )
    assert first == second != other


def test_wrong_scores_and_options_are_refused():
    with refused(ValueError, r"scores has shape \(0,\): expected one entry for each example"):
        metrics.bootstrap_interval([])
    with refused(ValueError, "scores holds nan: expected numbers"):
        metrics.bootstrap_interval([1.0, math.nan])
    with refused(ValueError, "level=95.0: expected a share between 0 and 1"):
        metrics.bootstrap_interval([1.0, 2.0], level=95.0)
    with refused(ValueError, "num_draws=0: expected at least 1"):
        metrics.bootstrap_interval([1.0, 2.0], num_draws=0)
    with refused(ValueError, r"first has shape \(2,\), second \(3,\): expected two rows"):
        metrics.bootstrap_difference([1.0, 2.0], [1.0, 2.0, 3.0])

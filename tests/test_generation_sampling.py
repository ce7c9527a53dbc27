import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused
from torch.testing import assert_close
from transformers.generation import logits_process as theirs
from underglass.generation import (
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    next_token_logits,
    penalize_repetition,
)

BATCH, VOCAB = 3, 31
F64 = torch.float64
NO_IDS: Any = torch.zeros(BATCH, 0, dtype=torch.int64)  # theirs want a LongTensor by name


def some_logits(dtype=F64):
    return 3 * torch.randn(BATCH, VOCAB, dtype=dtype)


# ----------------------------------------------------------------------- beside transformers


@pytest.mark.parametrize("k", [1, 2, 7, VOCAB, 100])
def test_top_k_equals_transformers(k):
    logits = some_logits()
    assert_close(keep_top_k(logits, k), theirs.TopKLogitsWarper(k)(NO_IDS, logits))


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.9, 0.999, 1.0])
def test_top_p_equals_transformers(p):
    logits = some_logits()
    assert_close(keep_top_p(logits, p), theirs.TopPLogitsWarper(p)(NO_IDS, logits))


@pytest.mark.parametrize("p", [0.0, 0.01, 0.3, 1.0])
def test_min_p_equals_transformers(p):
    logits = some_logits()
    assert_close(keep_min_p(logits, p), theirs.MinPLogitsWarper(p)(NO_IDS, logits))


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3])
def test_repetition_penalty_equals_transformers(penalty):
    logits = some_logits()
    ids: Any = torch.randint(VOCAB, (BATCH, 7))
    expected = theirs.RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
    assert_close(penalize_repetition(logits, ids, penalty), expected)


def test_all_together_equal_transformers():
    logits = some_logits()
    expected = theirs.TemperatureLogitsWarper(0.7)(NO_IDS, logits)
    for warper in (
        theirs.TopKLogitsWarper(11),
        theirs.TopPLogitsWarper(0.8),
        theirs.MinPLogitsWarper(0.05),
    ):
        expected = warper(NO_IDS, expected)
    found = next_token_logits(logits, temperature=0.7, top_k=11, top_p=0.8, min_p=0.05)
    assert_close(found, expected - expected.amax(dim=-1, keepdim=True))
    assert (found == -math.inf).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("temperature", [5e-324, 2e-313, 1e-300, 1e-40, 1e-37, 1e-9])
def test_a_tiny_temperature_is_greedy(temperature, dtype):
    logits = torch.tensor([[-3e4, 0.0, 1.0, 0.5]], dtype=dtype)
    found = next_token_logits(logits, temperature=temperature, top_k=3, top_p=0.9, min_p=0.1)
    assert found.softmax(dim=-1).tolist() == [[0, 0, 1, 0]]


# ----------------------------------------------------------------------- what they promise


def test_top_p_on_a_distribution_to_count_by_hand():
    logits = torch.tensor([0.2, 0.5, 0.25, 0.05], dtype=F64).log()
    for p, kept in [(0.0, [1]), (0.5, [1]), (0.51, [1, 2]), (0.8, [0, 1, 2]), (1.0, [0, 1, 2, 3])]:
        assert keep_top_p(logits, p).isfinite().nonzero().flatten().tolist() == kept


def test_top_k_keeps_all_that_are_as_likely_as_the_last():
    assert keep_top_k(torch.tensor([1.0, 2.0, 1.0, 0.0]), 2).isfinite().tolist() == [
        True,
        True,
        True,
        False,
    ]


def test_min_p_counts_from_the_likeliest():
    logits = torch.tensor([0.5, 0.25, 0.124, 0.126], dtype=F64).log()
    assert keep_min_p(logits, 0.25).isfinite().tolist() == [True, True, False, True]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=20),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 25),
    st.floats(0, 5),
)
def test_at_least_one_token_remains_and_none_changes_its_rank(values, top_p, min_p, top_k, temp):
    logits = torch.tensor([values], dtype=F64)
    found = next_token_logits(logits, temperature=temp, top_k=top_k, top_p=top_p, min_p=min_p)
    kept = found.isfinite()
    assert kept.any()
    assert logits[kept].max() == logits.max()
    assert not found.isnan().any()


def test_temperature_0_is_the_likeliest_alone():
    logits = torch.tensor([[1.0, 3.0, 3.0], [5.0, 0.0, 0.0]])
    assert next_token_logits(logits, temperature=0.0).softmax(dim=-1).tolist() == [
        [0, 1, 0],
        [1, 0, 0],
    ]


def test_penalty_leaves_padding_out():
    logits = torch.full((2, 5), 2.0)
    ids = torch.tensor([[0, 0, 3], [1, 2, 3]])
    mask = torch.tensor([[False, False, True], [True, True, True]])
    found = penalize_repetition(logits, ids, 2.0, mask=mask)
    assert found.tolist() == [[2, 2, 2, 1, 2], [2, 1, 1, 1, 2]]


# ----------------------------------------------------------------------- chance


def chi_squared(counts: torch.Tensor, probabilities: torch.Tensor) -> float:
    expected = probabilities * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def test_tokens_are_drawn_as_often_as_they_are_likely():
    """A chi-squared test of 20,000 draws; its 99.9 % quantile for 5 degrees of freedom: 20.5."""
    logits = torch.tensor([0.1, -2.0, 1.3, 0.4, -0.7, 2.0], dtype=F64)
    generator = torch.Generator().manual_seed(1)
    tokens = draw(logits.expand(20_000, -1), generator)
    counts = tokens.bincount(minlength=6).double()
    assert chi_squared(counts, logits.softmax(dim=-1)) < 20.5
    # and the test itself can tell: half a degree of temperature is far beyond it
    assert chi_squared(counts, (logits / 1.5).softmax(dim=-1)) > 200


def test_what_is_cut_off_is_never_drawn():
    logits = torch.tensor([-math.inf, 0.0, -math.inf, 1.0, -math.inf]).expand(5000, -1)
    assert set(draw(logits, torch.Generator().manual_seed(0)).tolist()) == {1, 3}


def test_one_number_a_row_decides():
    """The first token whose probability, added to those before it, exceeds it."""
    logits = torch.tensor([0.2, 0.5, 0.3], dtype=F64).log().expand(1000, -1)
    chances = torch.rand(1000, generator=torch.Generator().manual_seed(3), dtype=F64)
    expected = (chances > 0.2).long() + (chances > 0.7).long()
    assert torch.equal(draw(logits, torch.Generator().manual_seed(3)), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_of_the_logits_does_not_matter(dtype):
    logits = some_logits(dtype)
    assert next_token_logits(logits, temperature=0.5, top_k=3, top_p=0.5, min_p=0.1).dtype == dtype
    assert draw(logits).shape == (BATCH,)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(temperature=-0.1), "temperature=-0.1: expected a finite number of at least 0"),
        (dict(temperature=math.inf), "temperature=inf: expected a finite number"),
        (dict(temperature=math.nan), "temperature=nan: expected a finite number"),
        (dict(top_k=0), "top_k=0: expected a whole number of at least 1"),
        (dict(top_k=2.5), "top_k=2.5: expected a whole number"),
        (dict(top_p=-0.1), "top_p=-0.1: expected a share from 0 to 1"),
        (dict(top_p=1.1), "top_p=1.1: expected a share from 0 to 1"),
        (dict(min_p=2.0), "min_p=2.0: expected a share from 0 to 1"),
    ],
)
def test_what_is_out_of_range_is_refused(options, message):
    with refused(ValueError, message):
        next_token_logits(some_logits(), **options)


@pytest.mark.parametrize("penalty", [0.0, -1.0, math.inf, math.nan])
def test_wrong_penalties_are_refused(penalty):
    with refused(ValueError, f"repetition_penalty={penalty}: expected a finite number above 0"):
        penalize_repetition(some_logits(), torch.zeros(BATCH, 1, dtype=torch.int64), penalty)

"""Muon beside torch's own, and its orthogonal step beside the exact one."""

import math
from typing import Any

import pytest
import torch
from refusals import refused
from torch import nn
from torch.testing import assert_close
from underglass.optimizers import Muon, muon, orthogonalize
from underglass.optimizers.muon import COEFFICIENTS

F64 = torch.float64
SHAPES = [(11, 7), (7, 11), (13, 13), (11, 7), (1, 5), (5, 1)]
LOWEST, HIGHEST = 0.68, 1.21  # where five steps bring all singular values of 0.0015 and more

has_torchs = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9")
CASES: list[dict[str, Any]] = [
    dict(lr=0.02),
    dict(lr=0.02, weight_decay=0.3, momentum=0.5, nesterov=False),
    dict(lr=0.02, adjust_lr_fn="original", ns_steps=3),
    dict(lr=0.01, adjust_lr_fn="match_rms_adamw", weight_decay=0.0),
]


def train(make, steps, dtype=F64):
    generator = torch.Generator().manual_seed(1)
    params = [nn.Parameter(torch.randn(s, generator=generator, dtype=F64)) for s in SHAPES]
    params = [nn.Parameter(p.detach().to(dtype)) for p in params]
    optimizer = make(params)
    for _ in range(steps):
        for param in params:
            noise = torch.randn(param.shape, generator=generator, dtype=F64)
            param.grad = param.detach() + noise.to(dtype)
        optimizer.step()
    return [p.detach() for p in params]


def polynomial(s, steps=5):
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return s


@has_torchs
@pytest.mark.parametrize("options", CASES, ids=str)
@pytest.mark.parametrize("foreach", [False, None])
def test_equals_torchs_in_float64(options, foreach, monkeypatch):
    """torch's iteration rounds to bfloat16; with that one call taken out, both must agree."""
    ours = train(lambda p: Muon(p, **options, ns_dtype="float64", foreach=foreach), 200)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    theirs = train(lambda p: torch.optim.Muon(p, **options), 200)
    assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@has_torchs
@pytest.mark.parametrize("options", CASES, ids=str)
@pytest.mark.parametrize("foreach", [False, None])
def test_equals_torchs_with_its_bfloat16_iteration(options, foreach):
    ours = train(lambda p: Muon(p, **options, foreach=foreach), 50, torch.float32)
    theirs = train(lambda p: torch.optim.Muon(p, **options), 50, torch.float32)
    start = train(lambda p: torch.optim.Muon(p, **options), 0, torch.float32)
    # The fast form rounds where torch does, and gives the same bits on a CPU; the plain one rounds
    # sums and products apart, to 8 bits each. In shares of the way that the weights have gone:
    bound = 0.03 if foreach is False else 0.005
    for mine, other, first in zip(ours, theirs, start, strict=True):
        assert (mine - other).norm() < bound * (other - first).norm()


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("shape", [*SHAPES, (3, 11, 7)], ids=str)
def test_singular_values_are_those_of_the_polynomial(shape, steps):
    matrix = torch.randn(shape, dtype=F64)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    start = s / s.norm(dim=-1, keepdim=True)
    expected = u @ torch.diag_embed(polynomial(start, steps)) @ vh
    assert_close(orthogonalize(matrix, steps), expected, rtol=1e-10, atol=1e-10)
    if steps == 5:
        assert torch.equal(orthogonalize(matrix), orthogonalize(matrix, steps))


@pytest.mark.parametrize("shape", [(11, 7), (7, 11), (13, 13)], ids=str)
def test_a_step_is_near_the_exact_polar_factor(shape):
    """In the bases of the exact factor U Vh the step is diagonal, and its values near 1."""
    param = nn.Parameter(torch.zeros(shape, dtype=F64))
    param.grad = torch.randn(shape, dtype=F64)
    u, s, vh = torch.linalg.svd(param.grad, full_matrices=False)
    assert (s / s.norm()).min() > 0.0015
    Muon([param], lr=1.0, ns_dtype="float64").step()
    step = -param.detach() / math.sqrt(max(1, shape[0] / shape[1]))
    found = u.mT @ step @ vh.mT
    assert_close(found, torch.diag(found.diagonal()))
    assert_close(u @ found @ vh, step)  # nothing outside these bases
    assert found.diagonal().min() > LOWEST
    assert found.diagonal().max() < HIGHEST


def test_spread_of_the_coefficients():
    """The bounds that the docstring gives, over all singular values that a matrix can have."""
    values = polynomial(torch.logspace(math.log10(0.0015), 0, 100_001, dtype=F64))
    assert LOWEST - 0.01 < values.min() < LOWEST
    assert HIGHEST - 0.01 < values.max() < HIGHEST


def test_a_gradient_of_zeros_or_of_low_rank():
    assert orthogonalize(torch.zeros(5, 3, dtype=F64)).eq(0).all()
    column, row = torch.randn(5, 1, dtype=F64), torch.randn(1, 3, dtype=F64)
    s = torch.linalg.svdvals(orthogonalize(column @ row))
    assert_close(s[0], polynomial(torch.ones((), dtype=F64)))
    assert s[1:].max() < 1e-10


def test_size_of_a_step():
    def root_mean_square(shape, **options):
        param = nn.Parameter(torch.zeros(shape, dtype=F64))
        param.grad = torch.randn(shape, dtype=F64)
        Muon([param], lr=1.0, ns_dtype="float64", **options).step()
        return param.square().mean().sqrt().item()

    for shape in ((64, 16), (16, 64), (32, 32)):
        # as large as AdamW's steps usually are, whatever the shape
        matched = root_mean_square(shape, adjust_lr_fn="match_rms_adamw")
        assert 0.2 * LOWEST < matched < 0.2 * HIGHEST
    assert 2 * LOWEST / 8 < root_mean_square((64, 16)) < 2 * HIGHEST / 8
    assert LOWEST / 8 < root_mean_square((16, 64)) < HIGHEST / 8


@pytest.mark.parametrize("ns_dtype", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize("foreach", [False, None])
def test_the_iteration_runs_in_the_dtype_that_is_asked_for(ns_dtype, foreach, monkeypatch):
    seen, name = [], "orthogonalize" if foreach is False else "_orthogonalize_stack"
    true = getattr(muon, name)

    def spy(matrix, steps):
        seen.append(matrix.dtype)
        return true(matrix, steps)

    monkeypatch.setattr(muon, name, spy)
    result = train(lambda p: Muon(p, ns_dtype=ns_dtype, foreach=foreach), 1, torch.float32)
    assert set(seen) == {getattr(torch, ns_dtype)}
    assert len(seen) == len(SHAPES) - (0 if foreach is False else 1)  # two of one shape
    assert all(p.dtype == torch.float32 for p in result)


@pytest.mark.parametrize("foreach", [False, None])
def test_only_the_iteration_is_rounded_to_bfloat16(foreach):
    """Rate and scale multiply in the parameter's own precision: divided out, 8 bits are left."""
    param = nn.Parameter(torch.zeros(11, 7, dtype=F64))
    param.grad = torch.randn(11, 7, dtype=F64)
    Muon([param], lr=0.03, foreach=foreach).step()
    direction = param.detach() / (-0.03 * math.sqrt(11 / 7))
    assert_close(direction, direction.bfloat16().to(F64), rtol=1e-12, atol=0)


def test_wrong_arguments_are_refused():
    with refused(ValueError, r"matrix has shape \(5,\): expected \[\*batch rows columns\]"):
        orthogonalize(torch.zeros(5))
    with refused(ValueError, "steps=0: expected a whole number of at least 1"):
        orthogonalize(torch.zeros(5, 3), 0)

"""What the tests of attention share: sizes, one mask of every kind, gradients."""

import pytest
import torch
from underglass.attention import causal_mask, padding_mask

# Every axis has its own prime size, so that a transposed axis cannot pass unseen.
BATCH, HEAD, Q, K, D_HEAD, D_V = 2, 3, 5, 7, 11, 13
D_MODEL = HEAD * D_HEAD
F64 = torch.float64

NO_KEY = torch.rand(BATCH, 1, Q, K, generator=torch.Generator().manual_seed(0)) > 0.4
NO_KEY[1, 0, 3] = False
MASKS = {
    "none": None,
    "causal": causal_mask(Q, past=K - Q),
    "padding": padding_mask(torch.arange(BATCH * K).view(BATCH, K) % 5, 4)[:, None],
    "both": causal_mask(Q, past=K - Q)
    & padding_mask(torch.arange(BATCH * K).view(BATCH, K) % 5, 4)[:, None],
    "per head": torch.rand(BATCH, HEAD, Q, K, generator=torch.Generator().manual_seed(1)) > 0.3,
    "a query with no key": NO_KEY,
}
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())


def leaves(*shapes, dtype=F64):
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def gradients(output, inputs):
    """Of a sum weighted at random, so that no two elements count the same."""
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(2), dtype=F64)
    return torch.autograd.grad((output * weights.to(output)).sum(), inputs)

"""Weights in 8 bits: against a search through all whole numbers, and what a model loses by it."""

import pytest
import torch
from refusals import refused
from torch import nn
from torch.testing import assert_close
from underglass.models.gpt import GPT, GPTConfig
from underglass.quantization import LARGEST, dequantize, quantize, quantized

ROWS, COLUMNS = 7, 11
CONFIG = GPTConfig(vocab_size=31, max_len=13, d_model=14, num_layers=2, num_heads=2, d_ff=19)


def weight(std: float = 0.1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    sizes = torch.logspace(-1, 1, ROWS)[:, None]  # the rows differ in size, as a model's do
    return (std * sizes * torch.randn(ROWS, COLUMNS, generator=generator)).to(dtype)


@pytest.mark.parametrize("std", [1e-6, 0.1, 100.0])
def test_no_other_whole_number_is_nearer(std):
    given = weight(std)
    rounded, scale = quantize(given)
    every = torch.arange(-127, 128)
    steps = every[:, None, None] * scale.double()[:, None]
    nearest = (steps - given.double()).abs().amin(dim=0)
    assert_close((dequantize(rounded, scale).double() - given).abs(), nearest, atol=0, rtol=1e-5)
    assert (nearest <= scale.double()[:, None] * 0.500001).all()


def test_each_row_uses_the_whole_range():
    rounded, scale = quantize(weight())
    assert rounded.dtype == torch.int8
    assert scale.dtype == torch.float16
    assert (rounded.abs().amax(dim=1) == LARGEST).all()
    assert (scale / scale.roll(1) != 1).all()  # a scale of its own for each


def test_negated_and_scaled_weights_round_alike():
    rounded, scale = quantize(weight())
    assert torch.equal(quantize(-weight())[0], -rounded)
    assert torch.equal(quantize(4 * weight())[0], rounded)
    assert torch.equal(quantize(4 * weight())[1], 4 * scale)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_is_taken(dtype):
    rounded, scale = quantize(weight(dtype=dtype))
    expected = quantize(weight(dtype=dtype).float())
    assert torch.equal(rounded, expected[0])
    assert torch.equal(scale, expected[1])


def test_rows_of_zeros_stay_zero():
    rounded, scale = quantize(torch.zeros(ROWS, COLUMNS))
    assert not rounded.any()
    assert (scale > 0).all()


def test_a_second_round_trip_changes_nothing():
    once = dequantize(*quantize(weight()))
    assert torch.equal(dequantize(*quantize(once)), once)


def test_a_model_keeps_its_vectors_and_its_own_weights():
    model = GPT(CONFIG, generator=torch.Generator().manual_seed(3))
    for param in model.parameters():
        if param.ndim == 1:
            nn.init.normal_(param)
    before = {name: param.clone() for name, param in model.named_parameters()}
    small = quantized(model)
    for name, param in small.named_parameters():
        wanted = before[name] if param.ndim == 1 else dequantize(*quantize(before[name]))
        assert torch.equal(param, wanted), name
        assert param.ndim == 1 or not torch.equal(param, before[name])
        assert param.requires_grad == model.get_parameter(name).requires_grad
    assert all(torch.equal(param, before[name]) for name, param in model.named_parameters())


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        (torch.tensor([[1.0, torch.nan]]), ValueError, r"weight\[0\] reaches nan: expected finite"),
        (torch.tensor([[1.0], [1e9]]), ValueError, r"weight\[1\] reaches 1e\+09: expected finite"),
        (torch.ones(3), ValueError, r"weight has shape \(3,\): expected \[rows columns\]"),
        (torch.ones(0, 3), ValueError, r"weight has shape \(0, 3\): expected \[rows columns\]"),
        (torch.ones(2, 3, dtype=torch.int8), TypeError, "weight is torch.int8: expected a tensor"),
        ([[1.0]], TypeError, "weight is list: expected a tensor"),
    ],
)
def test_what_cannot_be_quantized_is_refused(wrong, error, match):
    with refused(error, match):
        quantize(wrong)


def test_a_model_with_nan_is_refused():
    model = nn.Linear(3, 2)
    nn.init.constant_(model.weight, torch.nan)
    with refused(ValueError, "reaches nan"):
        quantized(model)

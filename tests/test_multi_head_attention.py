import pytest
import torch
import torch.nn.functional as F
import underglass
from attention_cases import BATCH, D_HEAD, F64, HEAD, K, Q, every_mask, gradients, leaves
from refusals import refused
from torch import nn
from torch.testing import assert_close
from underglass.attention import (
    MultiHeadAttention,
    causal_mask,
    padding_mask,
    scaled_dot_product_attention,
)
from underglass.positions import RotaryPositions

D_MODEL = HEAD * D_HEAD


# ----------------------------------------------------------------------- beside torch


def torch_twin(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    """torch's own module, with the same weights as a module whose heads are not grouped."""
    bias = ours.q_proj.bias is not None
    twin = nn.MultiheadAttention(D_MODEL, HEAD, bias=bias, batch_first=True, dtype=F64)
    projections = ours.q_proj, ours.k_proj, ours.v_proj
    with torch.no_grad():
        twin.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        twin.out_proj.weight.copy_(ours.out_proj.weight)
        if bias:
            twin.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
            twin.out_proj.bias.copy_(ours.out_proj.bias)
    return twin


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cross", [True, False])
@every_mask
def test_equals_torch_module(mask, cross, bias):
    ours = MultiHeadAttention(D_MODEL, HEAD, bias=bias).to(F64)
    theirs = torch_twin(ours)
    x, context = leaves((BATCH, Q, D_MODEL), (BATCH, K, D_MODEL))
    if not cross:
        context, mask = x, None if mask is None else mask[..., K - Q :]
    inputs = [x, context] if cross else [x]
    full = None if mask is None else ~mask.expand(BATCH, HEAD, Q, -1).flatten(0, 1)
    output, weights = ours(x, context if cross else None, mask=mask, return_weights=True)
    expected, _ = theirs(x, context, context, attn_mask=full, need_weights=False)
    assert_close(output, expected)
    assert_close(gradients(output, inputs), gradients(expected, inputs))
    _, theirs_weights = theirs(x, context, context, attn_mask=full, average_attn_weights=False)
    # Asked for weights, torch's module answers a query that has no key with NaN; ours with zeros.
    assert_close(weights, theirs_weights.nan_to_num(0.0))


@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
@pytest.mark.parametrize("cross", [True, False])
@every_mask
def test_fused_equals_explicit(mask, cross, num_kv_heads):
    heads = 6
    attention = MultiHeadAttention(heads * D_HEAD, heads, num_kv_heads=num_kv_heads).to(F64)
    x, context = leaves((BATCH, Q, heads * D_HEAD), (BATCH, K, heads * D_HEAD))
    if not cross:
        context, mask = None, None if mask is None else mask[..., K - Q :]
    if mask is not None and mask.ndim == 4 and mask.shape[1] > 1:
        mask = mask.repeat(1, 2, 1, 1)
    explicit, weights = attention(x, context, mask=mask, return_weights=True)
    fused = attention(x, context, mask=mask)
    assert_close(fused, explicit)
    parameters = list(attention.parameters())
    assert_close(gradients(fused, parameters), gradients(explicit, parameters))
    assert weights.shape == (BATCH, heads, Q, K if cross else Q)


@pytest.mark.parametrize("num_kv_heads", [1, 2])
def test_grouped_heads_equal_torch(num_kv_heads):
    heads = 6
    attention = MultiHeadAttention(heads * D_HEAD, heads, num_kv_heads=num_kv_heads).to(F64)
    x = torch.randn(BATCH, Q, heads * D_HEAD, dtype=F64)
    query, key, value = (
        proj(x).view(BATCH, Q, -1, D_HEAD).transpose(1, 2)
        for proj in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    assert key.shape[1] == num_kv_heads
    together = F.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    expected = attention.out_proj(together.transpose(1, 2).reshape(BATCH, Q, -1))
    assert_close(attention(x, return_weights=True)[0], expected)


@pytest.mark.parametrize("return_weights", [True, False])
def test_one_head_is_the_formula_between_projections(return_weights):
    attention = MultiHeadAttention(D_MODEL, 1).to(F64)
    x = torch.randn(BATCH, Q, D_MODEL, dtype=F64)
    projections = attention.q_proj, attention.k_proj, attention.v_proj
    expected, _ = scaled_dot_product_attention(*(proj(x) for proj in projections))
    result = attention(x, return_weights=return_weights)
    assert_close(result[0] if return_weights else result, attention.out_proj(expected))


def test_all_four_projections_have_a_bias_or_none_has():
    def biases(**options):
        attention = MultiHeadAttention(D_MODEL, HEAD, **options)
        return [name for name, _ in attention.named_parameters() if name.endswith("bias")]

    assert biases() == [f"{name}_proj.bias" for name in ("q", "k", "v", "out")]
    assert biases(bias=False) == []


@pytest.mark.parametrize("return_weights", [True, False])
def test_a_padding_mask_needs_no_axis_for_heads(return_weights):
    """Three sequences, three heads: an axis in the wrong place would broadcast unseen."""
    attention = MultiHeadAttention(D_MODEL, HEAD).to(F64)
    ids = torch.tensor([[5, 6, 7], [5, 6, 0], [5, 0, 0]])
    x = torch.randn(3, 3, D_MODEL, dtype=F64)
    mask = padding_mask(ids, 0)
    result = attention(x, mask=mask, return_weights=return_weights)
    output = result[0] if return_weights else result
    for row, length in enumerate([3, 2, 1]):
        alone = attention(x[row : row + 1, :length])
        assert_close(output[row : row + 1, :length], alone)


@pytest.mark.parametrize("return_weights", [True, False])
def test_no_gradient_from_the_future(return_weights):
    attention = MultiHeadAttention(D_MODEL, HEAD).to(F64)
    (x,) = leaves((BATCH, Q, D_MODEL))
    result = attention(x, mask=causal_mask(Q), return_weights=return_weights)
    output = result[0] if return_weights else result
    (gradient,) = torch.autograd.grad(output[:, 2].sum(), x)
    assert gradient[:, :3].ne(0).all()
    assert gradient[:, 3:].eq(0).all()


@pytest.mark.parametrize("return_weights", [True, False])
def test_order_is_unseen_without_positions(return_weights):
    attention = MultiHeadAttention(D_MODEL, HEAD).to(F64)
    x, order = torch.randn(BATCH, Q, D_MODEL, dtype=F64), torch.randperm(Q)
    before, after = (attention(y, return_weights=return_weights) for y in (x, x[:, order]))
    if return_weights:
        before, after = before[0], after[0]
    assert_close(after, before[:, order])


@pytest.mark.parametrize("return_weights", [True, False])
def test_dropout_only_in_training(return_weights):
    attention = MultiHeadAttention(D_MODEL, HEAD, dropout=0.5).to(F64)
    x = torch.randn(BATCH, Q, D_MODEL, dtype=F64)

    def run():
        result = attention(x, return_weights=return_weights)
        return result[0] if return_weights else result

    assert not torch.equal(run(), run())
    attention.eval()
    assert torch.equal(run(), run())


@pytest.mark.parametrize("return_weights", [True, False])
def test_dropout_takes_its_share(return_weights):
    """A token alone gives itself the weight 1: dropped, nothing but the last bias is left."""
    attention = MultiHeadAttention(D_MODEL, 1, dropout=0.2).to(F64)
    result = attention(torch.randn(5000, 1, D_MODEL, dtype=F64), return_weights=return_weights)
    output = result[0] if return_weights else result
    dropped = (output - attention.out_proj.bias).abs().amax(dim=(1, 2)) < 1e-12
    assert_close(dropped.double().mean().item(), 0.2, atol=0.02, rtol=0)  # 5000 draws


def test_dropout_keeps_the_mean_and_leaves_the_weights_whole():
    attention = MultiHeadAttention(D_MODEL, HEAD, dropout=0.3).to(F64)
    x = torch.randn(Q, D_MODEL, dtype=F64)
    with torch.no_grad():
        outputs, weights = attention(x.expand(2000, -1, -1), return_weights=True)
        expected = attention.eval()(x[None])[0]
    assert_close(weights.sum(-1), torch.ones(2000, HEAD, Q, dtype=F64))
    assert_close(outputs.mean(0), expected, atol=0.03, rtol=0)  # the mean of 2000 draws


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("mask", [None, causal_mask(Q)], ids=["whole", "causal"])
def test_dtype_is_kept(dtype, mask):
    attention = MultiHeadAttention(D_MODEL * 2, HEAD, rotary=RotaryPositions(D_HEAD * 2)).to(dtype)
    x = torch.randn(BATCH, Q, D_MODEL * 2, dtype=dtype)
    output, weights = attention(x, mask=mask, return_weights=True)
    assert output.dtype == weights.dtype == attention(x, mask=mask).dtype == dtype
    # bfloat16 has 8 bits of precision, and the two paths round at different places.
    tolerance = 0.02 if dtype == torch.bfloat16 else 1e-6
    assert_close(attention(x, mask=mask), output, atol=tolerance, rtol=tolerance)


def test_runs_on_the_meta_device():
    with torch.device("meta"):
        rotary = RotaryPositions(D_HEAD * 2)
        attention = MultiHeadAttention(D_MODEL * 2, HEAD, num_kv_heads=1, rotary=rotary)
    x, mask = (
        torch.randn(BATCH, Q, D_MODEL * 2, device="meta"),
        causal_mask(Q, torch.device("meta")),
    )
    output, weights = attention(x, mask=mask, return_weights=True)
    assert attention(x, mask=mask).shape == output.shape == x.shape
    assert weights.shape == (BATCH, HEAD, Q, Q)


@every_mask
@pytest.mark.parametrize("num_kv_heads", [1, 6])
def test_the_course_device_gives_the_numbers_of_the_cpu(mask, num_kv_heads):
    """On a GPU other kernels run: they too must give zeros to a query with no key."""
    device = underglass.device()
    attention = MultiHeadAttention(6 * D_HEAD, 6, num_kv_heads=num_kv_heads)
    x, context = torch.randn(BATCH, Q, 6 * D_HEAD), torch.randn(BATCH, K, 6 * D_HEAD)
    if mask is not None and mask.shape[1] == HEAD:
        mask = mask.repeat(1, 2, 1, 1)
    with torch.no_grad():
        expected, _ = attention(x, context, mask=mask, return_weights=True)
        attention, x, context = attention.to(device), x.to(device), context.to(device)
        mask = None if mask is None else mask.to(device)
        for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.02)):
            attention, x, context = attention.to(dtype), x.to(dtype), context.to(dtype)
            fused = attention(x, context, mask=mask).float().cpu()
            assert_close(fused, expected, atol=tolerance, rtol=tolerance)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(d_model=10, num_heads=3), "d_model=10 is not divisible by num_heads=3"),
        (dict(d_model=10, num_heads=0), "d_model=10 is not divisible by num_heads=0"),
        (
            dict(d_model=12, num_heads=6, num_kv_heads=4),
            "num_heads=6 is not divisible by num_kv_heads=4",
        ),
        (dict(d_model=12, num_heads=6, dropout=1.5), r"dropout=1.5: expected a share from 0 up to"),
        (dict(d_model=12, num_heads=6, dropout=1.0), r"dropout=1.0: expected a share from 0 up to"),
        (
            dict(d_model=12, num_heads=3, rotary=RotaryPositions(6)),
            "rotary turns d_head=6 coordinates: expected d_model / num_heads = 4",
        ),
    ],
)
def test_wrong_sizes_are_refused(options, message):
    with refused(ValueError, message):
        MultiHeadAttention(**options)


def test_wrong_masks_are_refused():
    attention, x = MultiHeadAttention(D_MODEL, HEAD), torch.randn(BATCH, Q, D_MODEL)
    with refused(TypeError, r"mask is torch.float32: expected torch.bool, True where one may look"):
        attention(x, mask=torch.zeros(Q, Q))
    with refused(ValueError, r"mask has shape \(7, 7\): .* \[batch q k\] = \(2, 5, 5\)"):
        attention(x, mask=causal_mask(K))
    with refused(ValueError, r"mask has shape \(2, 5\): .* \[batch q k\] = \(2, 5, 5\)"):
        attention(x, mask=torch.ones(BATCH, Q, dtype=torch.bool))
    with refused(
        ValueError, r"mask has shape \(2, 2, 5, 5\): .* \[batch head q k\] = \(2, 3, 5, 5\)"
    ):
        attention(x, mask=torch.ones(BATCH, 2, Q, Q, dtype=torch.bool))
    with refused(ValueError, r"mask has shape \(5,\): .* \[batch q k\]"):
        attention(x, mask=torch.ones(Q, dtype=torch.bool))


def test_wrong_shapes_are_refused():
    attention, x = MultiHeadAttention(D_MODEL, HEAD), torch.randn(BATCH, Q, D_MODEL)
    with refused(
        ValueError, r"x has shape \(5, 33\): expected \[batch seq d_model\] with d_model=33"
    ):
        attention(x[0])
    with refused(ValueError, r"x has shape \(2, 5, 32\): expected .* d_model=33"):
        attention(x[..., 1:])
    with refused(ValueError, r"context has shape \(1, 5, 33\): .* one batch for x and context"):
        attention(x, x[:1])
    with refused(ValueError, "context is given: a cache and rotary positions need self-attention"):
        MultiHeadAttention(8, 2, rotary=RotaryPositions(4))(x[..., :8], x[..., :8])


# ----------------------------------------------------------------------- the readable path


def test_readable_path_needs_no_ready_made_attention(monkeypatch):
    """Explicit attention computes what it teaches: with torch's own broken, it works as before."""
    attention, x = MultiHeadAttention(D_MODEL, HEAD).to(F64), torch.randn(2, Q, D_MODEL, dtype=F64)
    expected = attention(x, mask=causal_mask(Q))

    def forbidden(*_, **__):
        raise AssertionError("a ready-made attention was called")

    monkeypatch.setattr(F, "scaled_dot_product_attention", forbidden)
    monkeypatch.setattr(F, "multi_head_attention_forward", forbidden)
    for name in dir(nn):
        if name.startswith(("Transformer", "MultiheadAttention")):
            monkeypatch.setattr(getattr(nn, name), "__init__", forbidden)
    assert_close(attention(x, mask=causal_mask(Q), return_weights=True)[0], expected)
    with pytest.raises(AssertionError, match="ready-made"):
        attention(x, mask=causal_mask(Q))


def test_positions_need_rotary_attention():
    with refused(
        ValueError, "positions are given: expected none, for this attention has no rotary"
    ):
        MultiHeadAttention(6, 2)(torch.ones(1, 3, 6), positions=torch.arange(3)[None])


def test_positions_turn_rows_one_by_one():
    """Each sequence of a batch at its own places: the same as each alone with its offset."""
    attention = MultiHeadAttention(12, 3, rotary=RotaryPositions(4)).double()
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    places = torch.tensor([[0, 1, 2, 3, 4], [0, 0, 3, 7, 9]])
    together = attention(x, positions=places)
    assert_close(together[:1], attention(x[:1]))
    assert_close(together[1:], attention(x[1:], positions=places[1:]))
    assert (together[1:] - attention(x[1:])).abs().max() > 1e-3

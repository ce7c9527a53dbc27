import torch
import torch.nn.functional as F
from attention_cases import BATCH, D_HEAD, D_V, F64, HEAD, K, Q, every_mask, gradients, leaves
from refusals import refused
from torch.testing import assert_close
from underglass.attention import causal_mask, padding_mask, scaled_dot_product_attention

# ----------------------------------------------------------------------- the formula


@every_mask
def test_equals_torch_forward_and_backward(mask):
    inputs = leaves((BATCH, HEAD, Q, D_HEAD), (BATCH, HEAD, K, D_HEAD), (BATCH, HEAD, K, D_V))
    query, key, value = inputs
    ours, weights = scaled_dot_product_attention(query, key, value, mask)
    theirs = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    assert_close(ours, theirs)
    assert_close(gradients(ours, inputs), gradients(theirs, inputs))
    seen = torch.ones(()) if mask is None else mask.any(-1)
    assert_close(weights.sum(-1), seen.to(F64).expand(BATCH, HEAD, Q))


@every_mask
def test_gradients_are_those_of_the_formula(mask):
    inputs = leaves((BATCH, HEAD, Q, 2), (BATCH, HEAD, K, 2), (BATCH, HEAD, K, 3))
    assert torch.autograd.gradcheck(
        lambda q, k, v: scaled_dot_product_attention(q, k, v, mask), inputs, fast_mode=True
    )


def test_a_query_with_no_key_gets_zeros():
    query, key, value = (torch.randn(BATCH, n, D_HEAD, dtype=F64) for n in (Q, K, K))
    mask = torch.ones(Q, K, dtype=torch.bool)
    mask[3] = False
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    assert output[:, 3].eq(0).all()
    assert weights[:, 3].eq(0).all()
    assert output[:, :3].ne(0).all()


def test_shapes_without_a_batch():
    query, key, value = (torch.randn(n, D_HEAD, dtype=F64) for n in (Q, K, K))
    output, weights = scaled_dot_product_attention(query, key, value)
    assert_close(output, F.scaled_dot_product_attention(query[None], key[None], value[None])[0])
    assert weights.shape == (Q, K)


# ----------------------------------------------------------------------- masks


def test_causal_mask():
    expected = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 1, 1]], dtype=torch.bool)
    assert torch.equal(causal_mask(3), expected)
    assert torch.equal(causal_mask(2, past=1), expected[1:])
    assert causal_mask(Q, torch.device("meta")).is_meta


def test_padding_mask_joins_the_causal_mask():
    mask = padding_mask(torch.tensor([[7, 8, 0], [9, 0, 0]]), pad_id=0)
    assert torch.equal(mask, torch.tensor([[[True, True, False]], [[True, False, False]]]))
    assert (causal_mask(3) & mask).shape == (2, 3, 3)


def test_padding_mask_refuses_a_row_of_padding():
    with refused(ValueError, r"ids\[1\] is only padding \(pad_id=9\): expected a token to look at"):
        padding_mask(torch.tensor([[1, 9], [9, 9], [2, 2]]), pad_id=9)
    with refused(ValueError, r"ids has shape \(3,\): expected \[batch seq\]"):
        padding_mask(torch.tensor([1, 2, 3]), pad_id=9)


# ----------------------------------------------------------------------- refusals


def test_wrong_input_is_refused():
    x = torch.randn(BATCH, Q, D_HEAD)
    with refused(TypeError, "mask is torch.int64: expected torch.bool, True where one may look"):
        scaled_dot_product_attention(x, x, x, torch.ones(Q, Q, dtype=torch.int64))
    with refused(ValueError, r"mask has shape \(7, 7\): .* \[batch q k\] = \(2, 5, 5\)"):
        scaled_dot_product_attention(x, x, x, causal_mask(K))
    with refused(ValueError, r"mask has shape \(7, 7\): .* \[\*batch q k\] = \(5, 5\)"):
        scaled_dot_product_attention(x[0], x[0], x[0], causal_mask(K))
    with refused(ValueError, r"query \(2, 5, 11\), key \(2, 4, 11\), value \(2, 5, 11\): expected"):
        scaled_dot_product_attention(x, x[:, 1:], x)
    with refused(ValueError, r"query \(2, 5, 11\), key \(2, 5, 10\), value \(2, 5, 11\): expected"):
        scaled_dot_product_attention(x, x[..., 1:], x)

import pytest
import torch
from refusals import refused
from torch import nn
from torch.testing import assert_close
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm
from underglass.attention import padding_mask
from underglass.layers import EncoderBlock, FeedForward, GatedFeedForward, RMSNorm

BATCH, SEQ, D_MODEL, D_FF, HEAD = 2, 5, 21, 13, 3
F64 = torch.float64


def sample(dtype=F64):
    return torch.randn(BATCH, SEQ, D_MODEL, dtype=dtype, requires_grad=True)


def same_gradients(ours, theirs, x, parameters):
    (expected,) = torch.autograd.grad(theirs.square().sum(), x, retain_graph=True)
    (found,) = torch.autograd.grad(ours.square().sum(), x, retain_graph=True)
    assert_close(found, expected)
    for mine, other in parameters:
        (found,) = torch.autograd.grad(ours.square().sum(), mine, retain_graph=True)
        (expected,) = torch.autograd.grad(theirs.square().sum(), other, retain_graph=True)
        assert_close(found, expected)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("relu", nn.ReLU()),
        ("gelu", nn.GELU()),
        ("gelu_tanh", nn.GELU(approximate="tanh")),
        ("silu", nn.SiLU()),
    ],
)
def test_feed_forward_equals_torch(name, module):
    ours, x = FeedForward(D_MODEL, D_FF, activation=name).to(F64), sample()
    expected = nn.Sequential(ours.in_proj, module, ours.out_proj)(x)
    assert_close(ours(x), expected)


def test_gated_feed_forward_equals_transformers():
    config = LlamaConfig(
        hidden_size=D_MODEL, intermediate_size=D_FF, num_attention_heads=HEAD, head_dim=2
    )
    theirs = LlamaMLP(config).to(F64)
    ours, x = GatedFeedForward(D_MODEL, D_FF).to(F64), sample()
    ours.load_state_dict(theirs.state_dict())
    assert_close(ours(x), theirs(x))
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    same_gradients(ours(x), theirs(x), x, pairs)


@pytest.mark.parametrize("eps", [1e-6, 0.1])
def test_rms_norm_equals_torch(eps):
    ours, theirs, x = RMSNorm(D_MODEL, eps=eps).to(F64), nn.RMSNorm(D_MODEL, eps=eps), sample()
    theirs = theirs.to(F64)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight.copy_(torch.randn(D_MODEL)))
    assert_close(ours(x), theirs(x))
    same_gradients(ours(x), theirs(x), x, [(ours.weight, theirs.weight)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rms_norm_equals_transformers_bit_for_bit(dtype):
    """In bfloat16 too, which both compute in float32: so published weights give their numbers."""
    ours, theirs = RMSNorm(D_MODEL).to(dtype), LlamaRMSNorm(D_MODEL, eps=1e-6).to(dtype)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight.copy_(torch.randn(D_MODEL)))
    x = 100 * torch.randn(BATCH, SEQ, D_MODEL).to(dtype)
    assert torch.equal(ours(x), theirs(x))


def block_twin(ours: EncoderBlock) -> nn.TransformerEncoderLayer:
    """torch's own block with the same weights (and eps, activation, no dropout)."""
    twin = nn.TransformerEncoderLayer(
        D_MODEL, HEAD, D_FF, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
    ).to(F64)
    projections = ours.attention.q_proj, ours.attention.k_proj, ours.attention.v_proj
    with torch.no_grad():
        twin.self_attn.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        twin.self_attn.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    for theirs, mine in [
        (twin.self_attn.out_proj, ours.attention.out_proj),
        (twin.linear1, ours.feed_forward.in_proj),
        (twin.linear2, ours.feed_forward.out_proj),
        (twin.norm1, ours.attention_norm),
        (twin.norm2, ours.feed_forward_norm),
    ]:
        theirs.load_state_dict(mine.state_dict())
    return twin


@pytest.mark.parametrize("masked", [False, True])
def test_encoder_block_equals_torch(masked):
    ours, x = EncoderBlock(D_MODEL, HEAD, D_FF).to(F64), sample()
    with torch.no_grad():  # norms that do something, so that a swapped pair is seen
        for norm in (ours.attention_norm, ours.feed_forward_norm):
            norm.weight.normal_()
            norm.bias.normal_()
    theirs = block_twin(ours)
    ids = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    mask = padding_mask(ids, 0) if masked else None
    expected = theirs(x, src_key_padding_mask=ids == 0 if masked else None)
    output, weights = ours(x, mask, return_weights=True)
    assert_close(output, expected)
    assert_close(ours(x, mask), expected)
    assert weights.shape == (BATCH, HEAD, SEQ, SEQ)
    same_gradients(ours(x, mask), expected, x, [(ours.attention_norm.weight, theirs.norm1.weight)])


def test_block_drops_in_training_only():
    block, x = EncoderBlock(D_MODEL, HEAD, D_FF, dropout=0.5).to(F64), sample()
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))


LAYERS = {
    "feed forward": lambda: FeedForward(D_MODEL, D_FF),
    "gated": lambda: GatedFeedForward(D_MODEL, D_FF),
    "norm": lambda: RMSNorm(D_MODEL),
    "block": lambda: EncoderBlock(D_MODEL, HEAD, D_FF),
}
every_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())


@every_layer
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_and_shape_are_kept(layer, dtype):
    x = sample(dtype)
    output = layer().to(dtype)(x)
    assert output.dtype == dtype
    assert output.shape == x.shape


@every_layer
def test_runs_on_the_meta_device(layer):
    with torch.device("meta"):
        module = layer()
    assert module(sample().to("meta", torch.float32)).shape == (BATCH, SEQ, D_MODEL)


@every_layer
def test_gradients(layer):
    module, x = layer().to(F64), sample()
    assert torch.autograd.gradcheck(module, (x,), fast_mode=True)


def test_unknown_activation_is_refused():
    with refused(ValueError, "activation='swish': expected one of relu, gelu, gelu_tanh, silu"):
        FeedForward(3, 5, activation="swish")

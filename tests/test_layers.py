import pytest
import torch
from refusals import refused
from torch import nn
from torch.testing import assert_close
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm
from underglass.attention import MultiHeadAttention, causal_mask, padding_mask
from underglass.cache import KeyValueCache
from underglass.layers import (
    DecoderBlock,
    EncoderBlock,
    FeedForward,
    GatedFeedForward,
    PreNormBlock,
    RMSNorm,
)

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


def same_attention(theirs: nn.MultiheadAttention, ours: MultiHeadAttention) -> None:
    """Give torch's own attention the weights of ours."""
    projections = ours.q_proj, ours.k_proj, ours.v_proj
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())


def scatter(module: nn.Module) -> None:
    """Norms that do something, so that a swapped pair is seen."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(std=0.5)


def block_twin(ours: EncoderBlock | PreNormBlock, **options: bool) -> nn.TransformerEncoderLayer:
    """torch's own block with the same weights (and eps, activation, no dropout)."""
    twin = nn.TransformerEncoderLayer(
        D_MODEL,
        HEAD,
        D_FF,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-12,
        batch_first=True,
        **options,
    ).to(F64)
    same_attention(twin.self_attn, ours.attention)
    for theirs, mine in [
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
    scatter(ours)
    theirs = block_twin(ours)
    ids = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    mask = padding_mask(ids, 0) if masked else None
    expected = theirs(x, src_key_padding_mask=ids == 0 if masked else None)
    output, weights = ours(x, mask, return_weights=True)
    assert_close(output, expected)
    assert_close(ours(x, mask), expected)
    assert weights.shape == (BATCH, HEAD, SEQ, SEQ)
    same_gradients(ours(x, mask), expected, x, [(ours.attention_norm.weight, theirs.norm1.weight)])


def pre_norm(dropout: float = 0.0) -> PreNormBlock:
    return PreNormBlock(
        MultiHeadAttention(D_MODEL, HEAD),
        nn.LayerNorm(D_MODEL, eps=1e-12),
        FeedForward(D_MODEL, D_FF),
        nn.LayerNorm(D_MODEL, eps=1e-12),
        dropout=dropout,
    )


def test_pre_norm_block_equals_torch():
    ours, x = pre_norm().to(F64), sample()
    scatter(ours)
    theirs = block_twin(ours, norm_first=True)
    causal = causal_mask(SEQ)
    expected = theirs(x, src_mask=~causal)
    output, weights = ours(x, causal, return_weights=True)
    assert_close(output, expected)
    assert_close(ours(x, causal), expected)
    assert_close(ours(x, cache=KeyValueCache(SEQ)), expected)  # with a cache it is causal
    assert weights.shape == (BATCH, HEAD, SEQ, SEQ)
    same_gradients(
        ours(x, causal), expected, x, [(ours.attention_norm.weight, theirs.norm1.weight)]
    )


def decoder_twin(ours: DecoderBlock) -> nn.TransformerDecoderLayer:
    twin = nn.TransformerDecoderLayer(D_MODEL, HEAD, D_FF, dropout=0.0, batch_first=True).to(F64)
    same_attention(twin.self_attn, ours.attention)
    same_attention(twin.multihead_attn, ours.cross_attention)
    for theirs, mine in [
        (twin.linear1, ours.feed_forward.in_proj),
        (twin.linear2, ours.feed_forward.out_proj),
        (twin.norm1, ours.attention_norm),
        (twin.norm2, ours.cross_attention_norm),
        (twin.norm3, ours.feed_forward_norm),
    ]:
        theirs.load_state_dict(mine.state_dict())
    return twin


def test_decoder_block_equals_torch():
    ours, x = DecoderBlock(D_MODEL, HEAD, D_FF).to(F64), sample()
    scatter(ours)
    theirs = decoder_twin(ours)
    context = torch.randn(BATCH, 7, D_MODEL, dtype=F64, requires_grad=True)
    ids = torch.tensor([[1] * 4 + [0] * 3, [1] * 7])
    causal, context_mask = causal_mask(SEQ), padding_mask(ids, 0)
    expected = theirs(x, context, tgt_mask=~causal, memory_key_padding_mask=ids == 0)
    output, weights, cross = ours(x, context, causal, context_mask, return_weights=True)
    assert_close(output, expected)
    assert_close(ours(x, context, causal, context_mask), expected)
    assert_close(ours(x, context, None, context_mask, cache=KeyValueCache(SEQ)), expected)
    assert weights.shape == (BATCH, HEAD, SEQ, SEQ)
    assert cross.shape == (BATCH, HEAD, SEQ, 7)
    assert cross[0, ..., 4:].abs().max() == 0
    found = ours(x, context, causal, context_mask)
    same_gradients(found, expected, x, [(ours.feed_forward_norm.bias, theirs.norm3.bias)])
    same_gradients(found, expected, context, [(ours.cross_attention_norm.bias, theirs.norm2.bias)])


@pytest.mark.parametrize(
    "block",
    [
        EncoderBlock(D_MODEL, HEAD, D_FF, dropout=0.5),
        DecoderBlock(D_MODEL, HEAD, D_FF, dropout=0.5),
        pre_norm(dropout=0.5),
    ],
    ids=lambda block: type(block).__name__,
)
def test_blocks_drop_in_training_only(block):
    x = sample()
    inputs = (x, x) if isinstance(block, DecoderBlock) else (x,)
    block = block.to(F64)
    assert not torch.equal(block(*inputs), block(*inputs))
    block.eval()
    assert torch.equal(block(*inputs), block(*inputs))


LAYERS = {
    "feed forward": lambda: FeedForward(D_MODEL, D_FF),
    "gated": lambda: GatedFeedForward(D_MODEL, D_FF),
    "norm": lambda: RMSNorm(D_MODEL),
    "encoder block": lambda: EncoderBlock(D_MODEL, HEAD, D_FF),
    "pre-norm block": pre_norm,
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

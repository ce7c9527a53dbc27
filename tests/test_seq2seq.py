import math
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from refusals import refused
from torch import Tensor, nn
from torch.testing import assert_close
from underglass.attention import padding_mask
from underglass.models.seq2seq import Seq2Seq, Seq2SeqConfig, Seq2SeqWeights, transformer_base

TINY = Seq2SeqConfig(
    vocab_size=31, max_len=11, d_model=30, num_layers=2, num_heads=3, d_ff=13, dropout=0.0, eps=0.1
)
# Padding behind, and, in the target, also where causality does not hide it.
SOURCE = torch.tensor([[7, 30, 5, 9, 4, 8, 2], [6, 3, 2, 0, 0, 0, 0]])
TARGET = torch.tensor([[1, 9, 0, 12, 30], [1, 4, 22, 0, 0]])
MASKS = padding_mask(SOURCE, 0), padding_mask(TARGET, 0)
F64 = torch.float64


def scattered(config: Seq2SeqConfig) -> Seq2Seq:
    """Every weight, those of the norms too, is its own random number."""
    model = Seq2Seq(config).to(F64)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model


# ----------------------------------------------------------------------- parity with torch


def positions_by_hand(size: int, d_model: int) -> Tensor:
    """The formula of section 3.5, number by number."""
    rows = [
        [
            (math.cos if i % 2 else math.sin)(place / 10000 ** (2 * (i // 2) / d_model))
            for i in range(d_model)
        ]
        for place in range(size)
    ]
    return torch.tensor(rows, dtype=F64)


class Twin(nn.Module):
    """The same model on torch's own encoder and decoder, which do all but the two ends."""

    def __init__(self, ours: Seq2Seq) -> None:
        super().__init__()
        config = ours.config
        sizes: dict[str, Any] = dict(
            d_model=config.d_model,
            nhead=config.num_heads,
            dim_feedforward=config.d_ff,
            dropout=0.0,
            activation=dict(relu=F.relu, silu=F.silu)[config.activation],
            layer_norm_eps=config.eps,
            batch_first=True,
            dtype=F64,
        )
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**sizes), config.num_layers, enable_nested_tensor=False
        )
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**sizes), config.num_layers)
        self.tokens = nn.Embedding(config.vocab_size, config.d_model, dtype=F64)
        self.load_state_dict(torch_state(dict(ours.named_parameters())), strict=False)
        self.bias = None if ours.bias is None else nn.Parameter(ours.bias.detach().clone())
        self.weights: list[Tensor] = []  # of each attention, in the order of computation
        for module in self.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.register_forward_pre_hook(_ask_for_weights, with_kwargs=True)
                module.register_forward_hook(lambda _, __, found: self.weights.append(found[1]))

    def forward(
        self, source: Tensor, target: Tensor, hide_source=None, hide_target=None
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits, and the weights of every attention. In torch's masks, True hides."""
        self.weights.clear()
        context = self.encoder(self.embed(source), src_key_padding_mask=hide_source)
        future = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
        hidden = self.decoder(
            self.embed(target),
            context,
            tgt_mask=future,
            tgt_key_padding_mask=hide_target,
            memory_key_padding_mask=hide_source,
        )
        return F.linear(hidden, self.tokens.weight, self.bias), list(self.weights)

    def embed(self, ids: Tensor) -> Tensor:
        d_model = self.tokens.embedding_dim
        return self.tokens(ids) * d_model**0.5 + positions_by_hand(ids.shape[1], d_model)


def _ask_for_weights(_, args, kwargs):
    return args, kwargs | dict(need_weights=True, average_attn_weights=False)


def torch_state(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors, by name, under torch's names; so also our gradients."""
    theirs = {"tokens.weight": ours["tokens.weight"]}
    for name in ours:
        if name.split(".")[0] not in ("encoder", "decoder"):
            continue
        part, layer, module, *rest = name.split(".")
        in_decoder = part == "decoder"
        block = f"{part}.layers.{layer}"
        attention = dict(attention="self_attn", cross_attention="multihead_attn")
        norms = dict(attention_norm="norm1", cross_attention_norm="norm2")
        norms["feed_forward_norm"] = "norm3" if in_decoder else "norm2"
        if module in norms:
            theirs[f"{block}.{norms[module]}.{rest[0]}"] = ours[name]
        elif module == "feed_forward":
            linear = dict(in_proj="linear1", out_proj="linear2")[rest[0]]
            theirs[f"{block}.{linear}.{rest[1]}"] = ours[name]
        elif rest[0] == "out_proj":
            theirs[f"{block}.{attention[module]}.out_proj.{rest[1]}"] = ours[name]
        elif rest[0] == "q_proj":  # torch keeps the three in one
            three = [ours[name.replace("q_proj", f"{which}_proj")] for which in "qkv"]
            theirs[f"{block}.{attention[module]}.in_proj_{rest[1]}"] = torch.cat(three)
    return theirs


@pytest.mark.parametrize(
    "config", [TINY, replace(TINY, output_bias=True, activation="silu")], ids=["plain", "bias"]
)
@pytest.mark.parametrize("masked", [(False, False), (True, False), (False, True), (True, True)])
def test_equals_torch_forward_and_backward(config, masked):
    ours = scattered(config)
    theirs = Twin(ours)
    masks = [mask if wanted else None for mask, wanted in zip(MASKS, masked, strict=True)]
    logits, weights = ours(SOURCE, TARGET, *masks, return_weights=True)
    expected, their_weights = theirs(
        SOURCE, TARGET, *[None if mask is None else ~mask[:, 0] for mask in masks]
    )
    assert_close(logits, expected)
    assert_close(ours(SOURCE, TARGET, *masks), expected)
    assert isinstance(weights, Seq2SeqWeights)
    assert_close(list(weights.encoder), their_weights[:2])
    assert_close(list(weights.decoder), their_weights[2::2])
    assert_close(list(weights.cross), their_weights[3::2])
    logits.square().sum().backward()
    expected.square().sum().backward()
    found = torch_state({name: p.grad for name, p in ours.named_parameters() if p.grad is not None})
    if ours.bias is not None and ours.bias.grad is not None:
        found["bias"] = ours.bias.grad
    assert found.keys() == dict(theirs.named_parameters()).keys()
    for name, parameter in theirs.named_parameters():
        assert_close(found[name], parameter.grad)


# ----------------------------------------------------------------------- in two steps, in pieces


@pytest.mark.parametrize("sizes", [[5], [1, 1, 1, 1, 1], [2, 1, 2]])
@pytest.mark.parametrize("masked", [False, True])
def test_decoding_in_pieces_with_a_cache_gives_the_same(sizes, masked):
    model = scattered(replace(TINY, output_bias=True))
    source_mask, target_mask = MASKS if masked else (None, None)
    expected, expected_weights = model(
        SOURCE, TARGET, source_mask, target_mask, return_weights=True
    )
    context, own = model.encode(SOURCE, source_mask, return_weights=True)
    assert_close(own, expected_weights.encoder)
    assert_close(model.encode(SOURCE, source_mask), context)
    cache, fused, start = model.new_cache(max_len=5), model.new_cache(), 0
    for size in sizes:
        end = start + size
        seen = None if target_mask is None else target_mask[..., :end]
        piece = TARGET[:, start:end], context, source_mask, seen
        logits, weights, cross = model.decode(*piece, cache=cache, return_weights=True)
        assert_close(logits, expected[:, start:end])
        assert_close(model.decode(*piece, cache=fused), logits)
        for layer in range(2):
            assert_close(weights[layer], expected_weights.decoder[layer][:, :, start:end, :end])
            assert_close(cross[layer], expected_weights.cross[layer][:, :, start:end])
        start = end
    assert {layer.length for layer in cache} == {5}


def test_decoding_without_a_cache_is_what_forward_does():
    model = scattered(TINY)
    expected, expected_weights = model(SOURCE, TARGET, *MASKS, return_weights=True)
    context = model.encode(SOURCE, MASKS[0])
    logits, weights, cross = model.decode(TARGET, context, *MASKS, return_weights=True)
    assert_close(logits, expected)
    assert_close(model.decode(TARGET, context, *MASKS), expected)
    assert_close(weights, expected_weights.decoder)
    assert_close(cross, expected_weights.cross)


# ----------------------------------------------------------------------- who sees what


def gradients_of_the_inputs(model: Seq2Seq, masks, position: int) -> list[Tensor]:
    """How much the logits at this target position depend on each source and target token."""
    embedded = []

    def keep(_, __, output):
        output.retain_grad()
        embedded.append(output)

    handle = model.tokens.register_forward_hook(keep)
    model(SOURCE, TARGET, *masks)[:, position].square().sum().backward()
    handle.remove()
    return [vectors.grad.abs().sum(dim=-1) for vectors in embedded]


@pytest.mark.parametrize("masked", [False, True])
def test_no_gradient_from_the_future_nor_from_padding(masked):
    source, target = gradients_of_the_inputs(scattered(TINY), MASKS if masked else (), 3)
    up_to = torch.tensor([True, True, True, True, False]).expand(2, -1)
    if masked:
        assert torch.equal(source > 0, SOURCE != 0)
        # A hidden position still has logits of its own: it is only others that do not see it.
        own = torch.tensor([False, False, False, True, False])
        assert torch.equal(target > 0, up_to & ((TARGET != 0) | own))
    else:
        assert (source > 0).all()
        assert torch.equal(target > 0, up_to)


def test_padding_changes_nothing():
    model = scattered(TINY)
    together = model(SOURCE, TARGET, *MASKS)
    alone = model(SOURCE[1:, :3], TARGET[1:, :3])
    assert_close(together[1, :3], alone[0])


def test_rows_do_not_see_each_other():
    model = scattered(TINY)
    together = model(SOURCE, TARGET, *MASKS)
    for row in range(2):
        one = slice(row, row + 1)
        alone = model(SOURCE[one], TARGET[one], *(mask[one] for mask in MASKS))
        assert_close(together[one], alone)


# ----------------------------------------------------------------------- positions, precision


def test_positions_are_as_exact_as_the_model():
    """Those of float32 do not come along to float64, nor those of bfloat16 to float32."""
    model = scattered(TINY)
    expected = model(SOURCE, TARGET)
    for dtype in (torch.bfloat16, torch.float32):
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        assert model.to(dtype)(SOURCE, TARGET).dtype == dtype
        model.to(F64).load_state_dict(state)
        assert_close(model(SOURCE, TARGET), expected, atol=0, rtol=0)


def test_positions_are_not_part_of_a_checkpoint():
    model = scattered(TINY)
    model(SOURCE, TARGET)
    assert model.state_dict().keys() == dict(model.named_parameters()).keys()
    with torch.device("meta"):
        empty = Seq2Seq(TINY)
    empty.load_state_dict(model.state_dict(), assign=True)
    assert_close(empty(SOURCE, TARGET), model(SOURCE, TARGET), atol=0, rtol=0)


def test_trains_after_it_was_used_in_inference_mode():
    model = scattered(TINY)
    with torch.inference_mode():
        model(SOURCE, TARGET)
    model(SOURCE, TARGET).sum().backward()
    assert model.tokens.weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.bfloat16])
def test_dtype_is_kept(dtype):
    model = Seq2Seq(replace(TINY, output_bias=True)).to(dtype)
    logits, weights = model(SOURCE, TARGET, *MASKS, return_weights=True)
    assert {logits.dtype, *(w.dtype for kind in weights for w in kind)} == {dtype}


def test_ids_may_be_of_either_integer_type():
    model = scattered(TINY)
    assert_close(model(SOURCE.int(), TARGET.int()), model(SOURCE, TARGET))


def test_drops_in_training_only_and_from_the_sum_with_the_positions():
    model = Seq2Seq(replace(TINY, dropout=0.5))
    entering = []
    for stack in (model.encoder, model.decoder):
        stack[0].register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
    assert not torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))
    kept = [(x != 0).double().mean().item() for x in entering]
    assert kept == [pytest.approx(0.5, abs=0.15)] * 4
    model.eval()
    assert torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))
    assert (entering[-1] != 0).all()


# ----------------------------------------------------------------------- sizes


def number_of_parameters(config: Seq2SeqConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in Seq2Seq(config).parameters())


def test_transformer_base_has_the_published_sizes():
    config = transformer_base()
    with torch.device("meta"):
        model = Seq2Seq(config)
    assert sum(p.numel() for p in model.parameters()) == 63_082_496
    assert number_of_parameters(replace(config, output_bias=True)) == 63_082_496 + 37_000
    source, target = (torch.zeros(2, n, dtype=torch.int64, device="meta") for n in (7, 5))
    logits, weights = model(source, target, return_weights=True)
    assert logits.shape == (2, 5, 37_000)
    assert [w.shape for w in weights.encoder] == [(2, 8, 7, 7)] * 6
    assert [w.shape for w in weights.decoder] == [(2, 8, 5, 5)] * 6
    assert [w.shape for w in weights.cross] == [(2, 8, 5, 7)] * 6


# Table 3 of the paper: what differs from the base model, and millions of parameters.
TABLE_3 = [
    (dict(), 65),
    (dict(num_layers=2), 36),
    (dict(num_layers=4), 50),
    (dict(num_layers=8), 80),
    (dict(d_model=256), 28),
    (dict(d_model=1024), 168),
    (dict(d_ff=1024), 53),
    (dict(d_ff=4096), 90),
]
BIG = dict(d_model=1024, d_ff=4096, num_heads=16)


@pytest.mark.parametrize(("change", "millions"), TABLE_3)
def test_41000_rows_give_the_counts_of_table_3(change, millions):
    config = replace(transformer_base(), vocab_size=41_000, **change)
    assert round(number_of_parameters(config) / 1e6) == millions


@pytest.mark.parametrize(("d_k", "millions"), [(16, 58), (32, 60)])
def test_41000_rows_give_the_counts_of_narrower_queries_and_keys(d_k, millions):
    """Rows (B) of table 3, which our config cannot say: 18 attentions with 8 heads of d_k."""
    missing = 18 * 2 * (512 + 1) * (512 - 8 * d_k)
    base = number_of_parameters(replace(transformer_base(), vocab_size=41_000))
    assert round((base - missing) / 1e6) == millions


def test_what_the_docstring_says_about_the_gap():
    base = transformer_base()
    blocks = 63_082_496 - 37_000 * 512
    with torch.device("meta"):
        linear = [m for m in Seq2Seq(base).modules() if isinstance(m, nn.Linear)]
    biases = sum(layer.bias.numel() for layer in linear)
    big = number_of_parameters(replace(base, vocab_size=41_000, **BIG))
    assert (blocks, biases) == (44_138_496, 67_584)
    assert round((65e6 - blocks) / 512) == 40_745
    assert round(41_000 - (big - 213e6) / 1024) == 35_784


# ----------------------------------------------------------------------- initial weights


def test_a_generator_decides_the_initial_weights():
    first, second, other = (
        Seq2Seq(replace(TINY, output_bias=True), generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    for name, weight in first.named_parameters():
        assert torch.equal(second.get_parameter(name), weight)
        if weight.ndim == 2:
            assert not torch.equal(other.get_parameter(name), weight)
        else:
            assert (weight == (1 if name.endswith("norm.weight") else 0)).all()


def test_initial_weights_are_of_the_size_of_torch_s():
    """Xavier's, with queries, keys and values in one; vectors of size 1 once they are scaled."""
    model = Seq2Seq(replace(TINY, vocab_size=211, d_model=132, d_ff=67))
    theirs = nn.Transformer(132, 6, 2, 2, 67, batch_first=True)
    expected = dict(theirs.named_parameters())
    for name, weight in torch_state(dict(model.named_parameters())).items():
        if weight.ndim == 2 and name != "tokens.weight":
            assert weight.abs().max().item() == pytest.approx(
                expected[name].abs().max().item(), rel=0.02
            )
            assert weight.std().item() == pytest.approx(expected[name].std().item(), rel=0.05)
    assert (132**0.5 * model.tokens.weight).std().item() == pytest.approx(1, rel=0.05)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(vocab_size=0), "vocab_size=0: expected at least 1"),
        (dict(max_len=0), "max_len=0: expected at least 1"),
        (dict(d_model=0), "d_model=0: expected at least 1"),
        (dict(num_layers=-1), "num_layers=-1: expected at least 1"),
        (dict(d_ff=0), "d_ff=0: expected at least 1"),
        (dict(num_heads=4), "d_model=30 is not divisible by num_heads=4"),
        (dict(num_heads=0), "d_model=30 is not divisible by num_heads=0"),
        (dict(d_model=33), "d_model=33: expected an even number"),
        (dict(dropout=1.0), "dropout=1.0: expected a share from 0"),
        (dict(eps=0.0), "eps=0.0: expected a number above 0"),
        (dict(activation="tanh"), "activation='tanh': expected one of relu, gelu"),
    ],
)
def test_wrong_configs_are_refused(change, message):
    with refused(ValueError, message):
        replace(TINY, **change)


def test_a_config_does_not_change():
    with pytest.raises(FrozenInstanceError):
        TINY.d_model = 5  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", ["source_ids", "target_ids"])
def test_wrong_ids_are_refused(name):
    model = Seq2Seq(TINY)

    def call(ids):
        model(**(dict(source_ids=SOURCE, target_ids=TARGET) | {name: ids}))

    with refused(ValueError, f"{name} has 12 tokens: expected at most max_len=11"):
        call(torch.zeros(2, 12, dtype=torch.int64))
    with refused(ValueError, rf"{name} holds 31: expected numbers from 0 to 30 \(vocab_size=31\)"):
        call(torch.tensor([[1, 31], [1, 2]]))
    with refused(ValueError, rf"{name} has shape \(2, 0\): expected \[batch seq\]"):
        call(torch.zeros(2, 0, dtype=torch.int64))
    with refused(TypeError, f"{name} is torch.float32: expected integers"):
        call(torch.zeros(2, 3))
    with refused(TypeError, f"{name} is a list: expected a tensor of token ids"):
        call([[1, 2]])


def test_nothing_is_computed_before_a_refusal():
    model = Seq2Seq(TINY)
    model.encoder[0].register_forward_pre_hook(lambda *_: pytest.fail("the encoder ran"))
    with refused(ValueError, "target_ids has 3 rows: expected 2, one for each of source_ids"):
        model(SOURCE, torch.cat([TARGET, TARGET[:1]]))
    with refused(ValueError, "target_ids holds 31"):
        model(SOURCE, TARGET + 1)
    with refused(TypeError, "target_mask is torch.int64"):
        model(SOURCE, TARGET, target_mask=MASKS[1].long())


@pytest.mark.parametrize("method", ["forward", "encode", "decode"])
def test_wrong_source_masks_are_refused(method):
    model = Seq2Seq(TINY)

    def call(mask):
        if method == "encode":
            return model.encode(SOURCE, mask)
        if method == "decode":
            return model.decode(TARGET, model.encode(SOURCE), mask)
        return model(SOURCE, TARGET, mask)

    with refused(TypeError, "source_mask is torch.int64: expected torch.bool, True where one may"):
        call(MASKS[0].long())
    for wrong in ((2, 7), (2, 7, 7), (3, 1, 7), (2, 1, 5), (2, 1, 1), (2, 1, 1, 7)):
        shape = ", ".join(map(str, wrong))
        expected = r"expected one that broadcasts to \(2, 1, 7\), as padding_mask gives"
        with refused(ValueError, rf"source_mask has shape \({shape}\): {expected}"):
            call(torch.ones(wrong, dtype=torch.bool))


def test_wrong_target_masks_are_refused():
    model = Seq2Seq(TINY)
    expected = r"expected one that broadcasts to \(2, 5, 5\)"
    for wrong in (TARGET != 0, MASKS[1][..., :1], MASKS[0]):
        with refused(ValueError, rf"target_mask has shape \({wrong.shape[0]}.*: {expected}"):
            model(SOURCE, TARGET, None, wrong)
    context, cache = model.encode(SOURCE), model.new_cache()
    model.decode(TARGET[:, :3], context, cache=cache)
    with refused(ValueError, r"target_mask has shape \(2, 1, 2\): .* to \(2, 2, 5\)"):
        model.decode(TARGET[:, 3:], context, None, MASKS[1][..., 3:], cache=cache)


def test_wrong_contexts_are_refused():
    model = Seq2Seq(TINY)
    context = model.encode(SOURCE)
    expected = r"expected \[batch source d_model\] with batch=2, as target_ids, and d_model=30"
    for wrong in (context[0], context[:1], context[..., :7]):
        shape = ", ".join(map(str, wrong.shape))
        with refused(ValueError, rf"context has shape \({shape}\): {expected}"):
            model.decode(TARGET, wrong)
    with refused(TypeError, "context is a tuple: expected a tensor"):
        model.decode(TARGET, model.encode(SOURCE, return_weights=True))  # pyright: ignore


def test_wrong_caches_are_refused():
    model = Seq2Seq(TINY)
    context = model.encode(SOURCE)
    with refused(ValueError, "cache has 1 layers: expected num_layers=2"):
        model.decode(TARGET, context, cache=model.new_cache()[:1])
    with refused(ValueError, "max_len=0: expected room for at least one position"):
        model.new_cache(0)
    cache = model.new_cache(20)
    model.decode(TARGET, context, cache=cache)
    model.decode(TARGET, context, cache=cache)
    with refused(ValueError, "target_ids has 5 tokens behind 10 cached ones: .* max_len=11"):
        model.decode(TARGET, context, cache=cache)
    assert [layer.length for layer in cache] == [10, 10]
    small = model.new_cache(3)
    with refused(ValueError, "the cache has room for max_len=3 positions"):
        model.decode(TARGET, context, cache=small)

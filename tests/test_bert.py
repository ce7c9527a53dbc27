from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from refusals import refused
from torch.testing import assert_close
from transformers import BertConfig, BertModel
from underglass.attention import padding_mask
from underglass.models.bert import BERT, BERTConfig, bert_base
from underglass.pretrained.bert import their_name

TINY = BERTConfig(
    vocab_size=31, max_len=11, d_model=21, num_layers=2, num_heads=3, d_ff=13, dropout=0.0
)
IDS = torch.tensor([[2, 7, 30, 3, 0], [2, 3, 0, 0, 0], [2, 5, 6, 7, 3]])
SEGMENTS = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 1]])
F64 = torch.float64


def transformers_twin(ours: BERT) -> BertModel:
    config = ours.config
    theirs = BertModel(
        BertConfig(
            vocab_size=config.vocab_size,
            max_position_embeddings=config.max_len,
            type_vocab_size=config.num_segments,
            hidden_size=config.d_model,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            intermediate_size=config.d_ff,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            pad_token_id=None,  # it would leave the first token without a gradient
        )
    )
    theirs.set_attn_implementation("eager")  # the one that returns weights
    theirs.double()
    theirs.load_state_dict({their_name(name): t for name, t in ours.state_dict().items()})
    return theirs


def scattered(config: BERTConfig) -> BERT:
    """A BERT whose every weight, those of the norms too, is its own random number."""
    model = BERT(config).to(F64)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model


@pytest.mark.parametrize("segments", [None, SEGMENTS], ids=["one text", "two texts"])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_transformers_forward_and_backward(segments, masked):
    ours = scattered(TINY)
    theirs = transformers_twin(ours)
    mask = padding_mask(IDS, 0) if masked else None
    hidden, weights = ours(IDS, mask, segments, return_weights=True)
    expected = theirs(
        IDS,
        attention_mask=(IDS != 0).long() if masked else None,
        token_type_ids=segments,
        output_attentions=True,
    )
    assert_close(hidden, expected.last_hidden_state)
    assert_close(ours(IDS, mask, segments), expected.last_hidden_state)
    assert_close(list(weights), list(expected.attentions))
    assert_close(ours.pool(hidden), expected.pooler_output)
    (hidden.square().sum() + ours.pool(hidden).sum()).backward()
    (expected.last_hidden_state.square().sum() + expected.pooler_output.sum()).backward()
    grads = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        assert_close(parameter.grad, grads[their_name(name)])


def test_padding_does_not_change_the_other_tokens():
    model = scattered(TINY)
    together = model(IDS, padding_mask(IDS, 0))
    for row, length in enumerate([4, 2, 5]):
        alone = model(IDS[row : row + 1, :length])
        assert_close(together[row, :length], alone[0])


def test_bert_base_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = BERT(bert_base())
    assert sum(p.numel() for p in model.parameters()) == 109_482_240
    hidden, weights = model(
        torch.zeros(2, 7, dtype=torch.int64, device="meta"), return_weights=True
    )
    assert hidden.shape == (2, 7, 768)
    assert [w.shape for w in weights] == [(2, 12, 7, 7)] * 12
    assert model.pool(hidden).shape == (2, 768)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_kept(dtype):
    assert BERT(TINY).to(dtype)(IDS).dtype == dtype


def test_ids_may_be_of_any_integer_type():
    model = scattered(TINY)
    assert_close(model(IDS.int()), model(IDS))


def test_a_generator_decides_the_initial_weights():
    first, second, other = (
        BERT(TINY, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    for name, weight in first.named_parameters():
        assert_close(second.get_parameter(name), weight)
    assert not torch.equal(first.tokens.weight, other.tokens.weight)
    assert first.positions.weight.std().item() == pytest.approx(0.02, rel=0.2)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(num_heads=4), "d_model=21 is not divisible by num_heads=4"),
        (dict(num_heads=0), "d_model=21 is not divisible by num_heads=0"),
        (dict(num_layers=0), "num_layers=0: expected at least 1"),
        (dict(vocab_size=-5), "vocab_size=-5: expected at least 1"),
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


def test_wrong_ids_are_refused():
    model = BERT(TINY)
    with refused(ValueError, "ids has 12 tokens: expected at most max_len=11"):
        model(torch.zeros(1, 12, dtype=torch.int64))
    with refused(ValueError, r"ids holds 31: expected numbers from 0 to 30 \(vocab_size=31\)"):
        model(torch.tensor([[1, 31]]))
    with refused(ValueError, "ids holds -1: expected numbers from 0 to 30"):
        model(torch.tensor([[1, -1]]))
    with refused(ValueError, r"ids has shape \(2,\): expected \[batch seq\]"):
        model(torch.tensor([1, 2]))
    with refused(ValueError, r"ids has shape \(1, 0\): expected \[batch seq\]"):
        model(torch.zeros(1, 0, dtype=torch.int64))
    with refused(TypeError, "ids is torch.float32: expected integers"):
        model(torch.zeros(1, 3))
    with refused(TypeError, "ids is a list: expected a tensor of token ids"):
        model([[1, 2]])


def test_wrong_segments_are_refused():
    model = BERT(TINY)
    with refused(ValueError, r"segments has shape \(1, 4\): expected that of ids, \(1, 5\)"):
        model(IDS[:1], segments=SEGMENTS[:1, 1:])
    with refused(ValueError, r"segments holds 2: .* from 0 to 1 \(num_segments=2\)"):
        model(IDS, segments=SEGMENTS * 2)


def test_wrong_masks_are_refused():
    model = BERT(TINY)
    with refused(TypeError, "mask is torch.int64: expected torch.bool"):
        model(IDS, (IDS != 0).long()[:, None])
    with refused(ValueError, r"mask has shape \(3, 5\): .* \[batch q k\] = \(3, 5, 5\)"):
        model(IDS, IDS != 0)


def test_a_missing_pooler_is_named():
    model = BERT(replace(TINY, pooler=False))
    with refused(ValueError, "this BERT has no pooler: expected a config with pooler=True"):
        model.pool(model(IDS))

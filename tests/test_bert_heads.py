import re
from dataclasses import replace

import pytest
import torch
from refusals import refused
from test_bert import IDS, SEGMENTS, TINY
from torch import Tensor, nn
from torch.testing import assert_close
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from underglass.attention import padding_mask
from underglass.models.bert import BERT, bert_base
from underglass.models.bert_heads import (
    BERTForClassification,
    BERTForMaskedLM,
    BERTForSpans,
    BERTForTokens,
)

NUM_LABELS = 7
F64 = torch.float64
BARE = replace(TINY, pooler=False, activation="gelu_tanh", eps=0.1)  # neither of them the default
POOLED = replace(BARE, pooler=True)

BODY = {  # our names of the body's modules, and transformers'
    r"bert\.norm": "bert.embeddings.LayerNorm",
    r"bert\.tokens": "bert.embeddings.word_embeddings",
    r"bert\.positions": "bert.embeddings.position_embeddings",
    r"bert\.segments": "bert.embeddings.token_type_embeddings",
    r"bert\.pooler": "bert.pooler.dense",
    r"bert\.blocks": "bert.encoder.layer",
    r"attention\.q_proj": "attention.self.query",
    r"attention\.k_proj": "attention.self.key",
    r"attention\.v_proj": "attention.self.value",
    r"attention\.out_proj": "attention.output.dense",
    r"attention_norm": "attention.output.LayerNorm",
    r"feed_forward\.in_proj": "intermediate.dense",
    r"feed_forward\.out_proj": "output.dense",
    r"feed_forward_norm": "output.LayerNorm",
}
# Head, the config of its body, transformers' class, and their names of the head's tensors.
HEADS = {
    "masked words": (
        BERTForMaskedLM,
        BARE,
        BertForMaskedLM,
        {
            "transform.weight": "cls.predictions.transform.dense.weight",
            "transform.bias": "cls.predictions.transform.dense.bias",
            "norm.weight": "cls.predictions.transform.LayerNorm.weight",
            "norm.bias": "cls.predictions.transform.LayerNorm.bias",
            "bias": "cls.predictions.bias",
        },
    ),
    "classes": (BERTForClassification, POOLED, BertForSequenceClassification, {}),
    "tokens": (BERTForTokens, BARE, BertForTokenClassification, {}),
    "spans": (
        BERTForSpans,
        BARE,
        BertForQuestionAnswering,
        {"spans.weight": "qa_outputs.weight", "spans.bias": "qa_outputs.bias"},
    ),
}
every_head = pytest.mark.parametrize(
    ("head", "config"), [case[:2] for case in HEADS.values()], ids=HEADS.keys()
)


def on(head, bert: BERT, *, generator: torch.Generator | None = None) -> nn.Module:
    """This head on this BERT, with labels where it takes some."""
    labels = [NUM_LABELS] if head in (BERTForClassification, BERTForTokens) else []
    return head(bert, *labels, generator=generator)


def scattered(head, config) -> nn.Module:
    """Every weight, those of the norms too, is its own random number."""
    model = on(head, BERT(config)).to(F64)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model


def their_name(name: str, head_names: dict[str, str]) -> str:
    """Their name of a tensor of ours; the same where no other is given."""
    for ours, theirs in BODY.items():
        name = re.sub(ours, theirs, name)
    return head_names.get(name, name)


def transformers_twin(ours, kind, names: dict[str, str]):
    config = ours.config
    their_config = BertConfig(
        vocab_size=config.vocab_size,
        max_position_embeddings=config.max_len,
        type_vocab_size=config.num_segments,
        hidden_size=config.d_model,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        intermediate_size=config.d_ff,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        hidden_act="gelu_new",
        layer_norm_eps=config.eps,
        pad_token_id=None,  # it would leave the first token without a gradient
    )
    their_config.num_labels = getattr(ours, "num_labels", 2)
    theirs = kind(their_config)
    theirs.set_attn_implementation("eager")  # the one that returns weights
    theirs.double()
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    report = theirs.load_state_dict(
        {names[name]: tensor for name, tensor in ours.state_dict().items()}, strict=False
    )
    assert not report.unexpected_keys
    assert {*report.missing_keys} <= tied
    return theirs


def flat(logits: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """The two logits of a span side by side; those of the others as they are."""
    return logits if isinstance(logits, Tensor) else torch.stack(logits, dim=-1)


def their_logits(output) -> Tensor:
    if hasattr(output, "logits"):
        return output.logits
    return torch.stack([output.start_logits, output.end_logits], dim=-1)


@pytest.mark.parametrize("case", HEADS.values(), ids=HEADS.keys())
@pytest.mark.parametrize("segments", [None, SEGMENTS], ids=["one text", "two texts"])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_transformers_forward_and_backward(case, segments, masked):
    head, config, kind, head_names = case
    ours = scattered(head, config)
    names = {name: their_name(name, head_names) for name in ours.state_dict()}
    theirs = transformers_twin(ours, kind, names)
    mask = padding_mask(IDS, 0) if masked else None
    logits, weights = ours(IDS, mask, segments, return_weights=True)
    output = theirs(
        IDS,
        attention_mask=(IDS != 0).long() if masked else None,
        token_type_ids=segments,
        output_attentions=True,
    )
    expected = their_logits(output)
    assert_close(flat(logits), expected)
    assert_close(flat(ours(IDS, mask, segments)), expected)
    assert_close(list(weights), list(output.attentions))
    flat(logits).square().sum().backward()
    expected.square().sum().backward()
    grads = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        assert_close(parameter.grad, grads.pop(names[name]))
    assert not grads


@every_head
def test_padding_changes_nothing(head, config):
    model = scattered(head, config)
    together = flat(model(IDS, padding_mask(IDS, 0)))
    for row, length in enumerate([4, 2, 5]):
        alone = flat(model(IDS[row : row + 1, :length]))[0]
        assert_close(together[row] if alone.ndim == 1 else together[row, :length], alone)


def test_the_output_is_the_table_of_tokens():
    """A gradient reaches it from both ends: as the vectors read in, and as those recognised."""
    model = scattered(BERTForMaskedLM, BARE)
    (table,) = [n for n, w in model.named_parameters() if w.shape[0] == 31 and w.ndim == 2]
    word = 11
    assert word not in IDS
    model(IDS)[..., word].square().sum().backward()
    grad = model.get_parameter(table).grad
    assert grad is not None
    reached = grad.abs().sum(dim=1).nonzero().flatten()
    assert set(reached.tolist()) == {word, *IDS.flatten().tolist()}


# ----------------------------------------------------------------------- new heads on a body


@every_head
def test_the_body_stays_as_it_was(head, config):
    bert = BERT(config)
    before = {name: tensor.clone() for name, tensor in bert.state_dict().items()}
    model = on(head, bert, generator=torch.Generator().manual_seed(1))
    assert model.bert is bert
    assert model.config is config
    assert all(torch.equal(tensor, before[name]) for name, tensor in bert.state_dict().items())


def own(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of the head."""
    return {n: t for n, t in model.state_dict().items() if not n.startswith("bert.")}


@every_head
def test_a_generator_decides_the_head(head, config):
    bert = BERT(replace(config, d_model=300))
    first, second, other = (
        own(on(head, bert, generator=torch.Generator().manual_seed(seed))) for seed in (1, 1, 2)
    )
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])
        if tensor.ndim == 2:
            assert not torch.equal(tensor, other[name])
            assert tensor.std().item() == pytest.approx(0.02, rel=0.1)
        else:
            assert (tensor == (1 if name == "norm.weight" else 0)).all()


@every_head
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_head_has_the_precision_of_its_body(head, config, dtype):
    model = on(head, BERT(config).to(dtype))
    assert {tensor.dtype for tensor in own(model).values()} == {dtype}
    assert flat(model(IDS)).dtype == dtype


@every_head
def test_a_head_goes_where_its_body_is(head, config):
    with torch.device("meta"):
        bert = BERT(config)
    model = on(head, bert)
    assert {tensor.device.type for tensor in own(model).values()} == {"meta"}
    logits, weights = model(IDS.to("meta"), return_weights=True)
    assert flat(logits).shape[0] == len(IDS)
    assert [w.shape for w in weights] == [(3, 3, 5, 5)] * 2


def test_bert_base_with_its_head_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = BERTForMaskedLM(BERT(replace(bert_base(), pooler=False)))
    assert sum(p.numel() for p in model.parameters()) == 109_514_298


@every_head
def test_classifiers_drop_in_training(head, config):
    """The head's own dropout: the body's is switched off here. As in transformers, two have one."""
    model = on(head, BERT(replace(config, dropout=0.5))).train()
    model.get_submodule("bert").eval()
    drops = head in (BERTForClassification, BERTForTokens)
    assert torch.equal(flat(model(IDS)), flat(model(IDS))) == (not drops)
    model.eval()
    assert torch.equal(flat(model(IDS)), flat(model(IDS)))


# ----------------------------------------------------------------------- refusals


@every_head
def test_what_is_not_a_bert_is_refused(head, config):
    with refused(TypeError, "bert is a Linear: expected a BERT"):
        on(head, nn.Linear(2, 3))  # pyright: ignore[reportArgumentType]
    with refused(TypeError, "bert is a BERTConfig: expected a BERT"):
        on(head, config)


@pytest.mark.parametrize("head", [BERTForClassification, BERTForTokens])
@pytest.mark.parametrize("number", [0, -3])
def test_no_labels_are_refused(head, number):
    with refused(ValueError, f"num_labels={number}: expected at least 1"):
        head(BERT(POOLED), number)


def test_a_missing_pooler_is_named():
    with refused(ValueError, "bert has no pooler: expected one whose config says pooler=True"):
        BERTForClassification(BERT(BARE), NUM_LABELS)


@every_head
def test_what_bert_refuses_its_heads_refuse(head, config):
    model = on(head, BERT(config))
    with refused(ValueError, "ids has 12 tokens: expected at most max_len=11"):
        model(torch.zeros(1, 12, dtype=torch.int64))
    with refused(TypeError, "mask is torch.int64: expected torch.bool"):
        model(IDS, (IDS != 0).long()[:, None])
    with refused(ValueError, r"segments holds 2: .* from 0 to 1 \(num_segments=2\)"):
        model(IDS, segments=SEGMENTS * 2)

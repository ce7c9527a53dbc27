"""Which model a checkpoint becomes, with which head; and tensors that a file may hold or not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoints import (
    IDS,
    PADDING,
    SEGMENTS,
    bert_config,
    change_config,
    compare,
    in_state,
    llama_config,
    scatter,
    their_model,
    their_reading,
    written,
)
from refusals import refused
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close
from transformers import (
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForTokenClassification,
    GPT2Model,
    LlamaModel,
    MarianModel,
)
from underglass import pretrained
from underglass.models.bert import BERT
from underglass.models.bert_heads import (
    BERTForClassification,
    BERTForMaskedLM,
    BERTForSpans,
    BERTForTokens,
)
from underglass.models.gpt import GPT
from underglass.models.seq2seq import Seq2Seq


def change_tensors(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file({name: t.clone() for name, t in tensors.items()}, folder / "model.safetensors")
    return folder


# ----------------------------------------------------------------------- BERT's heads


@pytest.mark.parametrize("architecture", ["BertForPreTraining", "BertForMaskedLM"])
@torch.no_grad()
def test_the_published_bert_has_its_masked_lm_head(tmp_path, architecture):
    """bert-base-uncased: saved after pretraining with both heads, and called BertForMaskedLM."""
    theirs = scatter(BertForPreTraining(bert_config()).eval())
    folder = change_config(written(theirs, tmp_path), {"architectures": [architecture]})
    expected = theirs(IDS, PADDING[:, 0].long(), SEGMENTS)
    ours = pretrained.load(folder)
    assert isinstance(ours, BERTForMaskedLM)
    assert_close(ours(IDS, PADDING, SEGMENTS), expected.prediction_logits)
    assert ours.bert.config.pooler  # kept, for what is trained further
    bert = pretrained.load(folder, BERT)
    assert in_state(bert) == in_state(ours.bert)


def test_a_head_that_the_file_has_can_be_left_out(tmp_path):
    for name in ("bert_words", "bert_classes", "bert_tokens", "bert_spans"):
        theirs = their_model(name)
        bert = pretrained.load(written(theirs, tmp_path / name), BERT)
        assert type(bert) is BERT
        hidden = theirs.base_model(IDS, PADDING[:, 0].long(), SEGMENTS).last_hidden_state
        assert_close(bert(IDS, PADDING, SEGMENTS), hidden)


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        (BERTForMaskedLM, "cls.predictions.bias is missing"),
        (BERTForClassification, "classifier.weight is missing"),
        (BERTForTokens, "classifier.weight is missing"),
        (BERTForSpans, "qa_outputs.weight is missing"),
    ],
)
def test_a_head_that_the_file_does_not_have_is_not_made_up(tmp_path, kind, missing):
    with refused(ValueError, missing):
        pretrained.load(written(their_model("bert"), tmp_path), kind)


def test_classes_need_a_pooler(tmp_path):
    with refused(ValueError, "pooler.dense.weight is missing"):
        pretrained.load(written(their_model("bert_tokens"), tmp_path), BERTForClassification)


def test_the_class_asked_for_must_be_of_the_family(tmp_path):
    folder = written(their_model("bert"), tmp_path)
    with refused(ValueError, "kind=GPT: expected one of BERT, BERTForMaskedLM, .*='bert'"):
        pretrained.load(folder, GPT)
    with refused(ValueError, "kind=7: expected one of BERT, BERTForMaskedLM"):
        pretrained.load(folder, 7)  # pyright: ignore


def test_another_head_s_bert_can_be_read(tmp_path):
    theirs = BertForMultipleChoice(bert_config())
    bert = pretrained.load(written(theirs, tmp_path), BERT)
    assert_close(bert.tokens.weight, theirs.bert.embeddings.word_embeddings.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id2label": {"0": "a"}}, r"classifier.weight has shape \(5, 12\): expected \(1, 12\)"),
        ({"id2label": None, "num_labels": 5}, None),
        ({"id2label": None}, r"classifier.weight has shape \(5, 12\): expected \(2, 12\)"),
        ({"id2label": None, "num_labels": "5"}, "num_labels='5': expected int"),
        ({"id2label": {}}, "id2label={}: expected a name for each label"),
        ({"id2label": ["a"]}, "id2label=.*: expected a name for each label"),
        ({"num_labels": 3}, "num_labels=3: expected 5, for so many names are in id2label"),
    ],
)
def test_how_many_labels(tmp_path, change, message):
    folder = change_config(written(their_model("bert_tokens"), tmp_path), change)
    if message is None:
        assert pretrained.load(folder, BERTForTokens).num_labels == 5
        return
    with refused(ValueError, message):
        pretrained.load(folder)


@pytest.mark.parametrize(
    ("head", "theirs"),
    [
        (BERTForMaskedLM, BertForMaskedLM),
        (lambda bert: BERTForTokens(bert, 5), BertForTokenClassification),
        (BERTForSpans, BertForQuestionAnswering),
    ],
)
def test_a_pooler_that_no_head_uses_is_kept_and_transformers_passes_over_it(tmp_path, head, theirs):
    """As after training a tagger on top of a BERT that has one."""
    bert = pretrained.load(written(their_model("bert"), tmp_path / "bert"), BERT)
    ours = head(bert).eval()
    pretrained.save(ours, tmp_path / "ours")
    assert in_state(pretrained.load(tmp_path / "ours")) == in_state(ours)
    again, report = their_reading(tmp_path / "ours", theirs)
    assert set(report.pop("unexpected_keys")) == {
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
    }
    assert not any(report.values())
    compare(ours, again)


# ----------------------------------------------------------------------- copies

COPIES = [  # where the output layer is the table of tokens, some files hold it twice
    ("bert_words", "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
    ("bert_words", "cls.predictions.decoder.bias", "cls.predictions.bias"),
    ("gpt2", "lm_head.weight", "transformer.wte.weight"),
    ("llama_tied", "lm_head.weight", "model.embed_tokens.weight"),
    ("marian", "lm_head.weight", "model.shared.weight"),
    ("marian", "model.encoder.embed_tokens.weight", "model.shared.weight"),
    ("marian", "model.decoder.embed_tokens.weight", "model.shared.weight"),
]
copies = pytest.mark.parametrize(("name", "copy", "original"), COPIES)


@copies
def test_a_copy_may_be_there(tmp_path, name, copy, original):
    theirs = their_model(name)
    folder = written(theirs, tmp_path)
    change_tensors(folder, lambda tensors: tensors.update({copy: tensors[original]}))
    compare(pretrained.load(folder), theirs)


@copies
def test_a_copy_may_be_there_alone(tmp_path, name, copy, original):
    theirs = their_model(name)
    folder = written(theirs, tmp_path)
    change_tensors(folder, lambda tensors: tensors.update({copy: tensors.pop(original)}))
    compare(pretrained.load(folder), theirs)


@copies
def test_a_copy_that_differs_is_refused(tmp_path, name, copy, original):
    folder = written(their_model(name), tmp_path)
    change_tensors(folder, lambda tensors: tensors.update({copy: tensors[original] + 1e-6}))
    short = copy.removeprefix("model.")
    with refused(ValueError, f"model.safetensors: {short} differs from .*: expected the same"):
        pretrained.load(folder)


# ----------------------------------------------------------------------- other spellings


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("bert", {"embeddings.position_ids": torch.arange(11)[None]}),
        ("gpt2", {"transformer.h.0.attn.bias": torch.ones(1, 1, 11, 11, dtype=torch.uint8)}),
        ("gpt2", {"h.1.attn.bias": torch.ones(1), "h.1.attn.masked_bias": torch.tensor(-1e4)}),
        ("llama", {"model.layers.1.self_attn.rotary_emb.inv_freq": torch.ones(2)}),
    ],
)
def test_what_holds_nothing_learned_is_left_out(tmp_path, name, extra):
    theirs = their_model(name)
    folder = written(theirs, tmp_path)
    compare(pretrained.load(change_tensors(folder, lambda tensors: tensors.update(extra))), theirs)


def test_marian_s_positions_may_be_there_if_they_are_the_sinusoids(tmp_path):
    theirs = their_model("marian")
    folder = written(theirs, tmp_path)
    table = theirs.state_dict()["model.encoder.embed_positions.weight"]
    name = "model.decoder.embed_positions.weight"
    change_tensors(folder, lambda tensors: tensors.update({name: table}))
    compare(pretrained.load(folder), theirs)
    for wrong in (table.flip(1), table[:5]):
        change_tensors(folder, lambda tensors, wrong=wrong: tensors.update({name: wrong}))
        with refused(ValueError, "decoder.embed_positions.weight in .*: expected the sines"):
            pretrained.load(folder)


@pytest.mark.parametrize(
    ("name", "kind", "ours"), [("gpt2", GPT2Model, GPT), ("marian", MarianModel, Seq2Seq)]
)
def test_a_model_without_its_head(tmp_path, name, kind, ours):
    """transformers then writes the names without a prefix; the head is the table of tokens."""
    whole = their_model(name)
    folder = written(kind.from_pretrained(written(whole, tmp_path / "whole")), tmp_path / "base")
    assert not any(key.startswith(("model.", "transformer.")) for key in tensors_in(folder))
    found = pretrained.load(folder)
    assert type(found) is ours
    expected = in_state(pretrained.load(tmp_path / "whole"))
    expected.pop("bias", None)  # Marian's is of its head
    assert in_state(found) == expected


def tensors_in(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_llama_without_its_head_is_refused(tmp_path):
    folder = written(LlamaModel(llama_config()), tmp_path)
    with refused(ValueError, "lm_head.weight is missing"):
        pretrained.load(folder)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("gpt2", "transformer.h.1.attn.c_attn.weight", r"h.1.attn.c_attn.weight has shape \(11,"),
        ("gpt2", "transformer.h.0.attn.c_attn.bias", r"c_attn.bias has .* \(35,\): expected \(36"),
        ("llama", "model.layers.1.mlp.up_proj.weight", r"\(12, 24\): expected \(13, 24\)"),
        ("marian", "final_logits_bias", r"final_logits_bias has shape \(0, 31\): expected \(1, 31"),
        ("marian", "model.decoder.layers.0.fc2.bias", r"layers.0.fc2.bias has shape \(11,\)"),
    ],
)
def test_misshapen_tensors_are_named_as_in_the_file(tmp_path, name, tensor, message):
    folder = written(their_model(name), tmp_path)
    change_tensors(folder, lambda tensors: tensors.update({tensor: tensors[tensor][1:]}))
    with refused(ValueError, message):
        pretrained.load(folder)


def test_a_prefix_on_some_names_only(tmp_path):
    folder = written(their_model("gpt2"), tmp_path)
    wte = "transformer.wte.weight"
    change_tensors(folder, lambda tensors: tensors.update({"wte.weight": tensors[wte]}))
    with refused(ValueError, "holds wte.weight twice, with and without 'transformer.'"):
        pretrained.load(folder)

"""Every family: we read what transformers writes, it reads what we write, both compute alike."""

from dataclasses import replace

import pytest
import torch
from checkpoints import (
    THEIRS,
    compare,
    in_float64,
    in_state,
    their_answer,
    their_model,
    their_reading,
    written,
)
from torch.testing import assert_close
from underglass import pretrained
from underglass.models.bert import BERT
from underglass.models.bert_heads import (
    BERTForClassification,
    BERTForMaskedLM,
    BERTForSpans,
    BERTForTokens,
)
from underglass.models.gpt import GPT
from underglass.models.llama import Llama
from underglass.models.seq2seq import Seq2Seq
from underglass.pretrained.weights import read_weights

CLASSES = {
    "bert": BERT,
    "bert_words": BERTForMaskedLM,
    "bert_classes": BERTForClassification,
    "bert_tokens": BERTForTokens,
    "bert_spans": BERTForSpans,
    "gpt2": GPT,
    "gpt2_wide": GPT,
    "llama": Llama,
    "llama_tied": Llama,
    "marian": Seq2Seq,
    "marian_swish": Seq2Seq,
}
names = pytest.mark.parametrize("name", THEIRS)


@names
def test_we_read_what_transformers_writes(tmp_path, name):
    theirs = their_model(name)
    ours = pretrained.load(written(theirs, tmp_path))
    assert type(ours) is CLASSES[name]
    assert not ours.training
    if name not in ("llama", "llama_tied"):  # its angles and norms are float32 in any case
        ours, theirs = ours.double(), in_float64(theirs)
    compare(ours, theirs)


@names
def test_transformers_reads_what_we_write(tmp_path, name):
    theirs = their_model(name)
    ours = pretrained.load(written(theirs, tmp_path / "theirs"))
    pretrained.save(ours, tmp_path / "ours")
    again, report = their_reading(tmp_path / "ours", type(theirs))
    assert not any(report.values())
    for tensor, expected in zip(
        again.state_dict().values(), theirs.state_dict().values(), strict=True
    ):
        assert_close(tensor, expected, atol=0, rtol=0)
    assert_close(their_answer(again), their_answer(theirs), atol=0, rtol=0)


@names
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_and_loaded_nothing_has_changed(tmp_path, name, dtype):
    first = pretrained.load(written(their_model(name).to(dtype), tmp_path / "theirs"))
    pretrained.save(first, tmp_path / "ours")
    again = pretrained.load(tmp_path / "ours")
    assert again.config == first.config
    assert {tensor.dtype for tensor in again.state_dict().values()} == {dtype}
    assert in_state(again) == in_state(first)


@names
def test_loading_draws_no_random_numbers(tmp_path, monkeypatch, name):
    """They would be thrown away, and on the meta device take seconds."""
    folder = written(their_model(name), tmp_path)

    def forbidden(*_, **__):
        raise AssertionError("numbers were drawn")

    monkeypatch.setattr(torch.Tensor, "normal_", forbidden)
    before = torch.get_rng_state()
    pretrained.load(folder)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["bert", "bert_words", "llama", "llama_tied"])
def test_a_large_model_is_not_copied(tmp_path, monkeypatch, name):
    """Its parameters are the tensors of the file, which are read when they are needed."""
    folder = written(their_model(name), tmp_path, max_shard_size="2KB")
    tensors, path = read_weights(folder)
    places = {tensor.data_ptr() for tensor in tensors.values()}
    monkeypatch.setattr(pretrained, "read_weights", lambda folder: (tensors, path))
    assert {weight.data_ptr() for weight in pretrained.load(folder).parameters()} <= places


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("gpt2", {"activation": "gelu"}),
        ("gpt2", {"dropout": 0.25, "eps": 1e-3}),
        ("llama", {"num_kv_heads": 1, "rotary_base": 37.0, "eps": 1e-3}),
        ("llama", {"num_kv_heads": 6, "tied": True}),
        ("marian", {"output_bias": False, "activation": "gelu_tanh"}),
        ("marian", {"dropout": 0.25, "max_len": 7}),
    ],
)
@torch.no_grad()
def test_transformers_reads_models_that_began_here(tmp_path, name, change):
    """Of other sizes and kinds than those it wrote for us."""
    theirs = their_model(name)
    first = pretrained.load(written(theirs, tmp_path / "theirs"))
    ours = type(first)(replace(first.config, **change)).eval()  # pyright: ignore
    for weight in ours.parameters():
        weight.normal_(std=0.5)
    pretrained.save(ours, tmp_path / "ours")
    again, report = their_reading(tmp_path / "ours", type(theirs))
    assert not any(report.values())
    compare(ours, again)
    assert pretrained.load(tmp_path / "ours").config == ours.config


@names
def test_bfloat16_arrives_in_transformers(tmp_path, name):
    theirs = their_model(name).bfloat16()
    ours = pretrained.load(written(theirs, tmp_path / "theirs"))
    pretrained.save(ours, tmp_path / "ours")
    again, _ = their_reading(tmp_path / "ours", type(theirs))
    assert again.dtype == torch.bfloat16

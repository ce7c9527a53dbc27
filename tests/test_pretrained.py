from dataclasses import replace
from pathlib import Path

import pytest
import torch
from refusals import refused
from safetensors.torch import save_file
from torch.testing import assert_close
from transformers import BertConfig, BertForPreTraining, BertModel
from underglass import data, pretrained
from underglass.attention import padding_mask
from underglass.models.bert import BERT, BERTConfig
from underglass.pretrained import files

TINY = BERTConfig(vocab_size=31, max_len=11, d_model=12, num_layers=2, num_heads=3, d_ff=13)
IDS = torch.tensor([[2, 7, 30, 3, 0], [2, 3, 0, 0, 0]])

TEXTS = [
    "",
    "The trophy does not fit into the suitcase, because it is too large.",
    "Naïve café, Ångström, Dvořák, İstanbul, straße",
    "北京大学的学生你好。東京タワー",
    "👩‍👩‍👧 🇫🇷 🙂👍🏽 ok",
    "on and on " * 170,  # 512 tokens with [CLS] and [SEP]
]


@pytest.fixture(scope="module")
def minilm():
    theirs = BertModel.from_pretrained(data.path("minilm"), attn_implementation="eager").eval()
    return pretrained.load("minilm"), theirs, pretrained.tokenizer("minilm")


# ----------------------------------------------------------------------- published weights


@torch.no_grad()
def test_minilm_equals_transformers(minilm):
    """Hidden states of both paths, and the weights of every layer, wherever there is a token."""
    ours, theirs, tokenizer = minilm
    ids = tokenizer.encode_batch(TEXTS)
    assert ids.shape == (6, 512)
    mask, real = padding_mask(ids, tokenizer.pad_id), ids != tokenizer.pad_id
    hidden, weights = ours(ids, mask, return_weights=True)
    expected = theirs(ids, attention_mask=real.long(), output_attentions=True)
    differences = [
        hidden - expected.last_hidden_state,
        ours(ids, mask) - expected.last_hidden_state,
    ]
    differences += [
        (a - b).transpose(1, 2) for a, b in zip(weights, expected.attentions, strict=True)
    ]
    largest = [difference[real].abs().max().item() for difference in differences]
    print(f"largest difference from transformers: {max(largest):.1e}")  # pytest -s shows it
    assert len(largest) == 2 + 6
    assert max(largest) < 1e-5
    assert_close(ours.pool(hidden), expected.pooler_output)


@torch.no_grad()
def test_minilm_equals_transformers_in_float64(minilm):
    """With rounding out of the way the two agree at padding too, and to fourteen digits."""
    ours, theirs, tokenizer = pretrained.load("minilm").double(), minilm[1], minilm[2]
    ids = tokenizer.encode_batch(TEXTS[:5])
    hidden, weights = ours(ids, padding_mask(ids, 0), return_weights=True)
    try:
        expected = theirs.double()(ids, attention_mask=(ids != 0).long(), output_attentions=True)
    finally:
        theirs.float()
    assert_close(hidden, expected.last_hidden_state, atol=1e-12, rtol=0)
    assert_close(weights, expected.attentions, atol=1e-12, rtol=0)


def test_minilm_is_ready_to_use(minilm):
    model, _, tokenizer = minilm
    assert not model.training
    assert model.config.vocab_size == tokenizer.vocab_size == 30522
    assert (model.config.num_layers, model.config.num_heads, model.config.d_model) == (6, 12, 384)
    assert all(weight.requires_grad for weight in model.parameters())


# ----------------------------------------------------------------------- there and back


def saved(folder: Path, config: BERTConfig = TINY) -> Path:
    pretrained.save(BERT(config), folder)
    return folder


@pytest.mark.parametrize("pooler", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu"])
def test_there_and_back(tmp_path, pooler, activation):
    model = BERT(replace(TINY, pooler=pooler, activation=activation)).eval()
    pretrained.save(model, tmp_path / "new" / "folder")
    again = pretrained.load(tmp_path / "new" / "folder")
    assert again.config == model.config
    assert_close(again(IDS), model(IDS), atol=0, rtol=0)
    assert sorted(p.name for p in (tmp_path / "new/folder").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu"])
def test_transformers_reads_what_we_write(tmp_path, activation):
    model = BERT(replace(TINY, activation=activation)).eval()
    pretrained.save(model, tmp_path)
    theirs, report = BertModel.from_pretrained(tmp_path, output_loading_info=True)  # pyright: ignore[reportGeneralTypeIssues]
    assert not any(report.values())
    assert_close(model(IDS), theirs.eval()(IDS).last_hidden_state)


def test_precision_is_kept(tmp_path):
    pretrained.save(BERT(TINY).to(torch.bfloat16), tmp_path)
    assert pretrained.load(tmp_path)(IDS).dtype == torch.bfloat16


def test_saving_over_the_checkpoint_it_came_from(tmp_path):
    model = pretrained.load(saved(tmp_path), BERT)
    with torch.no_grad():
        model.norm.bias.add_(1)
    pretrained.save(model, tmp_path)
    assert_close(pretrained.load(tmp_path)(IDS), model(IDS))


def test_weights_with_other_names_and_heads(tmp_path):
    """`bert.` before each name, Google's gamma and beta, the position ids, the training heads."""
    theirs = BertForPreTraining(
        BertConfig(
            vocab_size=31,
            max_position_embeddings=11,
            hidden_size=12,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=13,
        )
    ).eval()
    theirs.save_pretrained(tmp_path)
    tensors = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("Norm.bias", "Norm.beta"): t
        for name, t in theirs.state_dict().items()
    }
    assert "bert.encoder.layer.1.output.LayerNorm.gamma" in tensors
    tensors["bert.embeddings.position_ids"] = torch.arange(11)[None]
    save_file({name: t.clone() for name, t in tensors.items()}, tmp_path / "model.safetensors")
    ours = pretrained.load(tmp_path, BERT)
    assert_close(ours(IDS), theirs.bert(IDS).last_hidden_state)


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    before = {p.name: p.read_bytes() for p in saved(tmp_path).iterdir()}

    def cut_off(tensors, file, **_):
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(files, "save_file", cut_off)
    with pytest.raises(OSError, match="disk full"):
        saved(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_wrong_saves_are_refused(tmp_path):
    with refused(
        TypeError, "model is a Linear: expected one of BERT, BERTForMaskedLM, .*, GPT, Llama"
    ):
        pretrained.save(torch.nn.Linear(2, 3), tmp_path)  # pyright: ignore[reportArgumentType]
    (tmp_path / "file").write_text("mine")
    with refused(NotADirectoryError, "file' is a file: expected a folder"):
        pretrained.save(BERT(TINY), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"

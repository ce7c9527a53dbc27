"""The tokenizer beside a model: read as transformers reads it, and written so that it can."""

import json
from pathlib import Path

import pytest
import torch
from refusals import refused
from transformers import AutoTokenizer, BertTokenizer, GPT2Tokenizer, PreTrainedTokenizerFast
from underglass import data, pretrained
from underglass.models.bert import BERT, BERTConfig
from underglass.models.gpt import GPT, GPTConfig
from underglass.tokenizers import BPE, WordPiece

TEXTS = ["", "The trophy isn't in the suitcase.", "Naïve café 北京 👩‍👩‍👧  \n 1234 x", " a"]
VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nA\na\n"


def small_bert(vocab_size: int) -> BERT:
    return BERT(BERTConfig(vocab_size, max_len=11, d_model=12, num_layers=1, num_heads=3, d_ff=13))


def small_gpt(vocab_size: int) -> GPT:
    return GPT(GPTConfig(vocab_size, max_len=11, d_model=12, num_layers=1, num_heads=3, d_ff=13))


def small_bpe() -> BPE:
    return BPE.train(["the cat sat on the mat, the hat"] * 3, 270, special=["<|endoftext|>"])


# ----------------------------------------------------------------------- reading


def test_a_word_piece_without_vocab_txt(tmp_path):
    """As transformers saves it: in tokenizer.json only."""
    BertTokenizer.from_pretrained(data.path("minilm")).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").unlink(missing_ok=True)
    ours = pretrained.tokenizer(tmp_path, WordPiece)
    assert ours.vocab == pretrained.tokenizer("minilm").vocab
    assert ours.lower


def test_settings_of_a_word_piece(tmp_path):
    (tmp_path / "vocab.txt").write_text(VOCAB)
    assert pretrained.tokenizer(tmp_path, WordPiece).tokens("A") == ["[CLS]", "a", "[SEP]"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert pretrained.tokenizer(tmp_path, WordPiece).tokens("A") == ["[CLS]", "A", "[SEP]"]
    (tmp_path / "tokenizer_config.json").write_text('{"tokenize_chinese_chars": false}')
    with refused(ValueError, "tokenize_chinese_chars=False: expected True"):
        pretrained.tokenizer(tmp_path)


def test_a_bpe_as_transformers_writes_it(tmp_path):
    bpe = small_bpe()
    bpe.save(tmp_path / "bpe")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "bpe")
    theirs.save_pretrained(tmp_path / "theirs")
    ours = pretrained.tokenizer(tmp_path / "theirs", BPE)
    for text in TEXTS:
        assert ours.encode(text) == theirs(text)["input_ids"]
        assert ours.encode(text) == bpe.encode(text)


def test_a_bpe_as_gpt2_was_published(tmp_path):
    """In vocab.json and merges.txt, without a tokenizer.json."""
    bpe = small_bpe()
    bpe.save(tmp_path / "bpe")
    model = json.loads((tmp_path / "bpe" / "tokenizer.json").read_text("utf-8"))["model"]
    old = tmp_path / "old"
    old.mkdir()
    (old / "vocab.json").write_text(json.dumps(model["vocab"]), "utf-8")
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    (old / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
    ours = pretrained.tokenizer(old, BPE)
    assert [ours.encode(text) for text in TEXTS] == [bpe.encode(text) for text in TEXTS]
    theirs = GPT2Tokenizer.from_pretrained(old)
    assert [ours.encode(text) for text in TEXTS] == [theirs(text)["input_ids"] for text in TEXTS]


def test_gpt2_by_name():
    bpe = pretrained.tokenizer("gpt2")
    assert bpe.vocab_size == GPTConfig().vocab_size == 50257
    assert bpe.encode("Hello world") == [15496, 995]
    assert bpe.special == {"<|endoftext|>": 50256}


# ----------------------------------------------------------------------- writing


def saved(folder: Path, tokenizer: WordPiece | BPE) -> Path:
    """A folder that is whole: config, weights, and how to turn text into ids."""
    new = small_gpt if isinstance(tokenizer, BPE) else small_bert
    pretrained.save(new(tokenizer.vocab_size), folder, tokenizer)
    return folder


@pytest.mark.parametrize("lower", [True, False])
def test_a_word_piece_saved_with_its_model(tmp_path, lower):
    ours = WordPiece(pretrained.tokenizer("minilm").vocab, lower=lower)
    folder = saved(tmp_path, ours)
    again = pretrained.tokenizer(folder, WordPiece)
    assert (again.vocab, again.lower) == (ours.vocab, lower)
    theirs = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert theirs(text)["input_ids"] == ours.encode(text)
    saved(tmp_path, ours)  # over itself
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]


def test_a_bpe_saved_with_its_model(tmp_path):
    ours = small_bpe()
    folder = saved(tmp_path, ours)
    theirs = AutoTokenizer.from_pretrained(folder)
    assert isinstance(theirs, PreTrainedTokenizerFast)
    again = pretrained.tokenizer(folder, BPE)
    for text in TEXTS:
        assert theirs(text)["input_ids"] == ours.encode(text) == again.encode(text)


# ----------------------------------------------------------------------- refusals


def test_folders_without_a_tokenizer_that_we_read(tmp_path):
    with refused(FileNotFoundError, "has no vocab.txt and no tokenizer.json, nor vocab.json"):
        pretrained.tokenizer(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with refused(ValueError, "tokenizer.model is of SentencePiece, .*: expected a WordPiece"):
        pretrained.tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "model type None: expected 'WordPiece' or 'BPE'"),
        ({"model": {"type": "WordLevel"}}, "model type 'WordLevel': expected 'WordPiece' or 'BPE'"),
        ({"model": {"type": "Unigram"}}, "tokenizer.json is of SentencePiece"),
        ({"model": {"type": "BPE", "byte_fallback": True}}, "tokenizer.json is of SentencePiece"),
        ({"model": {"type": "BPE"}}, "tokenizer.json: vocab=None: expected tokens"),
        (
            {"model": {"type": "WordPiece", "unk_token": "<unk>"}},
            r"unk_token='<unk>': expected '\[",
        ),
        ({"model": {"type": "WordPiece", "vocab": {"[PAD]": 1}}}, "a vocab with the ids 0, 1, 2"),
        ({"model": {"type": "WordPiece"}}, "a vocab with the ids 0, 1, 2"),
        (
            {"model": {"type": "WordPiece", "vocab": {"a": 0}}, "added_tokens": [{"content": "b"}]},
            "added_tokens has 'b': expected a token of the vocab",
        ),
    ],
)
def test_a_tokenizer_json_of_another_kind(tmp_path, content, message):
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with refused(ValueError, message):
        pretrained.tokenizer(tmp_path)


def test_another_kind_than_asked_for(tmp_path):
    with refused(ValueError, "name_or_path='minilm' has a WordPiece: expected a BPE, as `kind`"):
        pretrained.tokenizer("minilm", BPE)
    with refused(ValueError, "kind=dict: expected WordPiece or BPE"):
        pretrained.tokenizer("minilm", dict)  # pyright: ignore


def test_tokenizers_that_cannot_be_saved(tmp_path):
    model = small_bert(6)
    special = VOCAB.split("\n")[:5]
    with refused(ValueError, "tokenizer has 7 tokens: expected at most .* vocab_size=6"):
        pretrained.save(model, tmp_path, WordPiece([*special, "A", "a"]))
    with refused(ValueError, "tokenizer has a token with a line break"):
        pretrained.save(model, tmp_path, WordPiece([*special, "a\nb"]))
    with refused(TypeError, "tokenizer is a list: expected a WordPiece or a BPE"):
        pretrained.save(model, tmp_path, special)  # pyright: ignore
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "tokenizer.json").write_text("{}")
    with refused(FileExistsError, "has a tokenizer.json, which would count instead"):
        pretrained.save(model, tmp_path, WordPiece(special))
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_a_tokenizer_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    before = {p.name: p.read_bytes() for p in saved(tmp_path, small_bpe()).iterdir()}

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(BPE, "save", fail)
    torch.manual_seed(1)  # other weights
    with pytest.raises(OSError, match="disk full"):
        saved(tmp_path, small_bpe())
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before

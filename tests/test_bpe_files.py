"""tokenizer.json and GPT-2's files: what we write others read, what others write we read."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers
from refusals import refused
from test_bpe import END, NASTY, make_gpt2
from test_bpe_words import LLAMA3_PATTERN
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from underglass import data
from underglass.tokenizers import BPE
from underglass.tokenizers.bpe_json import spell

TEXT = "The words <|endoftext|> of 1997: naïve 東京 🙂, isn't it?\n\n  <s>"


def same(ours: BPE, theirs: BPE) -> bool:
    def parts(bpe):
        return bpe.vocab, bpe.merges, bpe.special, bpe.pattern, bpe.whole_words

    return parts(ours) == parts(theirs)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [speech.text for speech in data.load("speeches")[:2]]


@pytest.fixture(scope="module")
def bpe(texts) -> BPE:
    return BPE.train(texts, 400, special=[END, "<s> é"])


@pytest.fixture
def settings(bpe, tmp_path) -> dict[str, Any]:
    bpe.save(tmp_path / "whole.json")
    return json.loads((tmp_path / "whole.json").read_text("utf-8"))


# ----------------------------------------------------------------------- what we write


@pytest.mark.parametrize("pattern", [None, LLAMA3_PATTERN])
@pytest.mark.parametrize("whole_words", [False, True])
def test_others_read_what_we_save(bpe, texts, pattern, whole_words, tmp_path):
    bpe = BPE(
        {**bpe.vocab, b" zebra": 400},  # which no merges make
        bpe.merges,
        special=bpe.special,
        pattern=pattern or bpe.pattern,
        whole_words=whole_words,
    )
    bpe.save(tmp_path / "new" / "folder")
    rust = Tokenizer.from_file(str(tmp_path / "new" / "folder" / "tokenizer.json"))
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path / "new" / "folder")
    fast = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path / "new" / "folder")
    assert rust.get_vocab_size() == len(auto) == bpe.vocab_size
    assert (400 in bpe.encode("a zebra")) is whole_words
    for text in [*NASTY, TEXT, texts[0], "a zebra, two zebras"]:
        ids = bpe.encode(text, special=True)
        assert rust.encode(text).ids == ids
        assert rust.decode(ids, skip_special_tokens=False) == text
        assert auto(text)["input_ids"] == fast(text)["input_ids"] == ids
        assert auto.decode(ids) == text
    rust.encode_special_tokens = True  # that is, as if they were text
    assert rust.encode(TEXT).ids == bpe.encode(TEXT)


def test_what_we_save_we_load(bpe, tmp_path):
    for path in (tmp_path, tmp_path / "other.json", tmp_path / "tokenizer.json"):
        bpe.save(path)
        assert same(BPE.load(path), bpe)
        assert same(BPE.load(str(path)), bpe)
    bpe.fast().save(tmp_path / "new" / "fast.json")
    assert same(BPE.load(tmp_path / "new" / "fast.json"), bpe)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "new",
        "other.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_gpt2_survives(tmp_path):
    gpt2 = make_gpt2()
    gpt2.save(tmp_path)
    assert same(BPE.load(tmp_path), gpt2)
    assert transformers.AutoTokenizer.from_pretrained(tmp_path)(TEXT)["input_ids"] == gpt2.encode(
        TEXT, special=True
    )


def test_a_failure_leaves_what_was_there(bpe, tmp_path, monkeypatch):
    bpe.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fails(self, *_, **__):
        self.write_bytes(b"half of")
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "write_text", fails)
    with pytest.raises(OSError, match="the disk is full"):
        BPE(bpe.vocab, bpe.merges, special=bpe.special, whole_words=True).save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# ----------------------------------------------------------------------- what others write


def test_we_read_what_rust_writes(texts, tmp_path):
    """Special tokens first, and merges in lists of two, as its trainer has them."""
    rust = Tokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    rust.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    rust.train_from_iterator(
        texts,
        BpeTrainer(
            vocab_size=400,
            special_tokens=["<s>", END],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    rust.save(str(tmp_path / "tokenizer.json"))
    bpe = BPE.load(tmp_path)
    assert bpe.special == {"<s>": 0, END: 1}
    assert bpe.merges == BPE.train(texts, 398).merges
    for text in [*NASTY, TEXT]:
        assert bpe.encode(text, special=True) == rust.encode(text).ids
        assert bpe.fast().encode(text) == bpe.encode(text)
        assert bpe.decode(rust.encode(text).ids) == text


def test_we_read_what_transformers_writes(bpe, tmp_path):
    """GPT-2's two files, and the tokenizer.json that transformers makes of them."""
    vocab = {spell(token): i for token, i in bpe.vocab.items()} | {END: len(bpe.vocab)}
    merges = [f"{spell(left)} {spell(right)}" for left, right in bpe.merges]
    published, converted = tmp_path / "published", tmp_path / "converted"
    published.mkdir()
    (published / "vocab.json").write_text(json.dumps(vocab))
    (published / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
    theirs = transformers.GPT2Tokenizer.from_pretrained(published)
    theirs.save_pretrained(converted)
    for folder in (published, converted):
        ours = BPE.load(folder)
        assert ours.special == {END: len(bpe.vocab)}
        assert (ours.vocab, ours.merges) == (bpe.vocab, bpe.merges)
        for text in [*NASTY, TEXT]:
            assert ours.encode(text, special=True) == theirs(text)["input_ids"]


def test_we_read_the_form_of_llama3(bpe, texts, tmp_path):
    """Another pattern, whole words first, and a template that we do not apply."""
    pieces = ({spell(t): i for t, i in bpe.vocab.items()}, bpe.merges)
    merges = [(spell(left), spell(right)) for left, right in pieces[1]]
    rust = Tokenizer(models.BPE(vocab=pieces[0], merges=merges, ignore_merges=True))
    rust.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    rust.decoder = decoders.ByteLevel()
    rust.add_special_tokens([AddedToken("<|begin|>", normalized=False), "<|end|>"])
    begin = rust.token_to_id("<|begin|>")
    template = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", begin)]
    )
    rust.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    rust.save(str(tmp_path / "tokenizer.json"))
    ours = BPE.load(tmp_path)
    assert (ours.pattern, ours.whole_words) == (LLAMA3_PATTERN, True)
    for text in [*NASTY, TEXT, texts[1]]:
        assert [begin, *ours.encode(text, special=True)] == rust.encode(text).ids


@pytest.mark.parametrize("field", ["type", "dropout", "byte_fallback", "ignore_merges"])
def test_older_files_leave_settings_out(bpe, settings, field, tmp_path):
    del settings["model"][field]
    (tmp_path / "old.json").write_text(json.dumps(settings))
    assert same(BPE.load(tmp_path / "old.json"), bpe)
    assert Tokenizer.from_file(str(tmp_path / "old.json")).encode(TEXT).ids == bpe.encode(
        TEXT, special=True
    )


# ----------------------------------------------------------------------- refusals

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
SPLIT = {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Isolated", "invert": False}


def steps(*pretokenizers: dict) -> dict:
    return {"type": "Sequence", "pretokenizers": list(pretokenizers)}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.type", "WordPiece", "model.type='WordPiece': expected 'BPE'"),
        ("model.type", "Unigram", "model.type='Unigram': expected 'BPE'"),
        ("model.dropout", 0.1, "model.dropout=0.1: expected None or 0"),
        ("model.byte_fallback", True, "model.byte_fallback=True: expected False"),
        (
            "model.end_of_word_suffix",
            "</w>",
            "model.end_of_word_suffix='</w>': expected None or ''",
        ),
        ("model.continuing_subword_prefix", "##", "continuing_subword_prefix='##': expected None"),
        ("model.ignore_merges", "yes", "model.ignore_merges='yes': expected False or True"),
        ("model.vocab", None, "vocab=None: expected tokens and their ids"),
        ("model.vocab", {"a": "1"}, "vocab has 'a': '1': expected a whole number"),
        ("model.vocab", {"▁the": 1}, "token '▁the': expected bytes, spelled as GPT-2 does"),
        ("model.vocab", {"a": 1}, "vocab has no b'!': expected every single byte"),
        ("model.merges", None, "merges=None: expected a list"),
        ("model.merges", ["a b c"], "merges has 'a b c': expected two tokens"),
        ("model.merges", [["a"]], r"merges has \['a'\]: expected two tokens"),
        ("model.merges", ["q q"], "vocab has no b'qq': expected it, for b'q' and b'q' merge"),
        ("model", None, "model=None: expected settings in braces"),
        ("normalizer", {"type": "NFC"}, "normalizer={'type': 'NFC'}: expected none"),
        ("pre_tokenizer", None, "pre_tokenizer=None: expected settings in braces"),
        (
            "pre_tokenizer",
            {"type": "Metaspace"},
            "pre_tokenizer.type='Metaspace': expected 'ByteLe",
        ),
        ("pre_tokenizer", {"type": "ByteLevel"}, "add_prefix_space=True: expected False"),
        ("pre_tokenizer", BYTE_LEVEL, "pre_tokenizer.use_regex=False: expected True"),
        ("pre_tokenizer", steps(SPLIT), "pre_tokenizer.type='Split': expected 'ByteLevel'"),
        ("pre_tokenizer", steps(SPLIT, SPLIT, BYTE_LEVEL), "expected Split, ByteLevel"),
        ("pre_tokenizer", steps({"type": "Digits"}, BYTE_LEVEL), "type='Digits': expected 'Split'"),
        (
            "pre_tokenizer",
            steps(SPLIT | {"behavior": "Removed"}, BYTE_LEVEL),
            "pre_tokenizer.behavior='Removed': expected 'Isolated'",
        ),
        (
            "pre_tokenizer",
            steps(SPLIT | {"invert": True}, BYTE_LEVEL),
            "pre_tokenizer.invert=True: expected False",
        ),
        (
            "pre_tokenizer",
            steps(SPLIT | {"pattern": {"String": "a"}}, BYTE_LEVEL),
            "pre_tokenizer.pattern={'String': 'a'}: expected a Regex",
        ),
        (
            "pre_tokenizer",
            steps(SPLIT | {"pattern": {"Regex": "("}}, BYTE_LEVEL),
            r"pattern='\(' is not a regular expression",
        ),
        ("decoder", {"type": "WordPiece"}, r"decoder\[0\].type='WordPiece': expected 'ByteLevel'"),
        ("added_tokens.lstrip", True, r"added_tokens\[0\].lstrip=True: expected False"),
        ("added_tokens.rstrip", True, r"added_tokens\[0\].rstrip=True: expected False"),
        ("added_tokens.single_word", True, r"added_tokens\[0\].single_word=True: expected False"),
        ("added_tokens.special", False, r"added_tokens\[0\].special=False: expected True"),
        ("added_tokens.id", 5, "id 5 belongs to 2 tokens"),
        ("added_tokens.content", 7, r"added_tokens\[0\].content=7: expected a string"),
        ("added_tokens", {"id": 5}, "added_tokens={'id': 5}: expected a list"),
    ],
)
def test_what_we_do_not_compute_is_refused(settings, field, value, message, tmp_path):
    name, _, inner = field.partition(".")
    if not inner:
        settings[name] = value
    elif name == "added_tokens":
        settings[name][0][inner] = value
    else:
        settings[name][inner] = value
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(settings))
    with refused(ValueError, f"theirs.json: .*{message}"):
        BPE.load(path)


def test_settings_that_change_nothing_are_read(bpe, settings, tmp_path):
    settings["model"] |= {"unk_token": "", "end_of_word_suffix": "", "dropout": 0.0}
    settings["normalizer"] = {"type": "Sequence", "normalizers": []}
    settings["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteLevel"}]}
    settings["truncation"] = {"max_length": 2}
    (tmp_path / "theirs.json").write_text(json.dumps(settings))
    assert same(BPE.load(tmp_path / "theirs.json"), bpe)


def test_broken_files_are_refused(bpe, tmp_path):
    with refused(FileNotFoundError, "path='.*nothing' is no file and no folder: expected tokeniz"):
        BPE.load(tmp_path / "nothing")
    with refused(FileNotFoundError, "is a folder without them: expected tokenizer.json, or vocab"):
        BPE.load(tmp_path)
    bpe.save(tmp_path)
    whole = (tmp_path / "tokenizer.json").read_bytes()
    for content, message in [
        (whole[: len(whole) // 2], "tokenizer.json is not JSON"),
        (b"\xff\xfe", "tokenizer.json is not JSON"),
        (b"[1, 2]", "tokenizer.json holds a list: expected a JSON object"),
    ]:
        (tmp_path / "tokenizer.json").write_bytes(content)
        with refused(ValueError, message):
            BPE.load(tmp_path)


def test_broken_files_of_gpt2_are_refused(tmp_path):
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    vocab.write_text("{}")
    with refused(FileNotFoundError, "is a folder without them: expected"):
        BPE.load(tmp_path)
    merges.write_text("#version: 0.2\na b c\n")
    with refused(ValueError, "merges has 'a b c': expected two tokens"):
        BPE.load(tmp_path)
    merges.write_text("#version: 0.2\na b\n")
    with refused(ValueError, "vocab.json: vocab has no b'!': expected every single byte"):
        BPE.load(tmp_path)


def test_where_nothing_can_be_saved(bpe, tmp_path):
    (tmp_path / "file").touch()
    with refused(NotADirectoryError, "path='.*file' is a file: expected a folder, or \\*.json"):
        bpe.save(tmp_path / "file")
    hidden = BPE(bpe.vocab, bpe.merges, special={"é": 398, "Ġthe": 399})
    with refused(ValueError, r"special token 'é' is how b'\\xe9' is spelled"):
        hidden.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_version_that_the_statements_are_about():
    assert tokenizers.__version__.startswith("0.23.")

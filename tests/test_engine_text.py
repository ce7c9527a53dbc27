"""The page's tokenizer against the library's: the same ids, texts and pieces."""

import numpy as np
import pytest
from engine_pages import engine, give, numbers, refusal, validation_texts
from underglass import pretrained
from underglass.models.gpt import GPT, GPTConfig
from underglass.tokenizers import BPE, words
from underglass.widgets import live_packing

pytestmark = pytest.mark.browser

HOSTILE = {
    "nothing": "",
    "one space": " ",
    "emoji": "🙂👩‍👩‍👧‍👦🏳️‍🌈 🇺🇸x🙂",
    "right to left": "שלום עולם، السلام عليكم\u200f!",
    "turned": "a\u202eb\u2066c\u2069d",
    "controls": "".join(map(chr, range(32))) + "\x7f\x80\x85\x9f",
    "white space": "a\u00a0b\u2003\u2003c\u3000 d\ufeffe\u200bf\u2028g\u2029h\u1680i\u180ej",
    "byte order mark in front": "\ufeffThe state",
    "no characters": "\uffff\ufffe\U0010ffff\ufffd",
    "endings": "don't DON'T we'll they've I'd I'm you're it's ''s 's'",
    "digits": "1776 ½ ²³ ٣٤٥ Ⅷ 一二 1,000.00",
    "joined letters": "e\u0301 ȩ̈ ﬁ ǆ K İ ı ß ẞ",
    "special tokens, written out": "<|endoftext|> <|mask|>",
    "script": "<script>alert(1)</script>&amp;",
    "spaces": "a  b   c\n\n\nd \n \t e   ",
    "one long word": "a" * 3000,
    "long and without a pattern": "".join(chr(0x4E00 + 37 * i % 20000) for i in range(900)),
    "newer than Unicode 16": "\u0558\u088f\U0001fadd \U0003d000\u0c5c1",
}
# With halves of surrogate pairs, which Python's tokenizer refuses and a text field may hold: the
# page takes them as the mark that browsers write for them.
LONE = ["\ud83d", "a\ude42b", "\ud83d\ud83d\ude42", "the \udfff\ud800 end"]


@pytest.fixture(scope="module")
def bpe() -> BPE:
    return pretrained.tokenizer("speeches_gpt")


def encoded(browser, texts: list[str]) -> list[list[int]]:
    return engine(browser).evaluate("(texts) => texts.map((t) => live.tokenizer.encode(t))", texts)


def test_a_hundred_texts_of_validation(browser, bpe):
    texts = validation_texts()
    ids = encoded(browser, texts)
    assert ids == [bpe.encode(text) for text in texts]
    assert sum(map(len, ids)) > 5000
    decoded = engine(browser).evaluate("(all) => all.map((ids) => live.tokenizer.decode(ids))", ids)
    assert decoded == texts


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text(browser, bpe, name):
    (ids,) = encoded(browser, [HOSTILE[name]])
    assert ids == bpe.encode(HOSTILE[name])
    decode = "(ids) => toText(new TextEncoder().encode(live.tokenizer.decode(ids)))"
    assert (
        numbers(engine(browser).evaluate(decode, ids), np.uint8).tobytes().decode()
        == (HOSTILE[name])
    )


@pytest.mark.parametrize("text", LONE, ids=ascii)
def test_half_of_a_surrogate_pair(browser, bpe, text):
    # as code units, which is how a page holds a text
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype=np.uint16).tolist()
    ids = engine(browser).evaluate("(u) => live.tokenizer.encode(String.fromCharCode(...u))", units)
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert "\ufffd" in joined
    assert ids == bpe.encode(joined)


def test_every_kind_of_character(browser, bpe):
    """Where words end depends on what Unicode says of a character, and of which version."""
    edges = {code for run in words.ADDED.split() for code in map(ends, run.split("-"))}
    codes = {*range(0x3100), *range(0x3100, 0x110000, 97), *edges, *(code - 1 for code in edges)}
    letters = [chr(code) for code in sorted(codes) if not 0xD800 <= code < 0xE000]
    texts = [
        "".join(f"a{c} {c}1{c}{c}'s\n" for c in letters[i : i + 64]) for i in range(0, 16000, 64)
    ]
    for text, ids in zip(texts, encoded(browser, texts), strict=True):
        assert ids == bpe.encode(text), ascii(text)


def ends(code: str) -> int:
    return int(code, 16)


def test_every_piece_as_it_is_shown(browser, bpe):
    script = "Array.from({ length: live.tokenizer.size }, (_, id) => live.tokenizer.piece(id))"
    wanted = [bpe.token(i).decode(errors="backslashreplace") for i in range(bpe.vocab_size)]
    assert engine(browser).evaluate(script) == wanted
    assert engine(browser).evaluate("live.tokenizer.special") == bpe.special


def test_cut_characters_decode_as_python_decodes_them(browser, bpe):
    rows = [[0x80 ^ i for i in range(64)], bpe.encode("🙂")[:1], bpe.encode("é🙂ש")[1:], [255, 200]]
    decoded = engine(browser).evaluate("(all) => all.map((r) => live.tokenizer.decode(r))", rows)
    assert decoded == [bpe.decode(row) for row in rows]


@pytest.mark.parametrize("wrong", [-1, 3072, 1.5])
def test_an_unknown_id_is_refused(browser, wrong):
    said = refusal(engine(browser), "live.tokenizer.decode([given])", wrong)
    assert said == f"RangeError: id={wrong}: expected 0 to 3071"


def test_pieces_of_a_cut_character(browser):
    """A vocabulary of bytes alone: no emoji is one token."""
    bpe = BPE.train(["a b"], 260, special=["<|mask|>", "<|end|>", "<|x|>", "<|y|>"])
    config = GPTConfig(vocab_size=260, max_len=8, d_model=8, num_layers=1, num_heads=2, d_ff=8)
    give(engine(browser), live_packing.pack(GPT(config), bpe))
    ids = engine(browser).evaluate("other.tokenizer.encode('🙂é')")
    assert ids == bpe.encode("🙂é")
    pieces = engine(browser).evaluate("(ids) => ids.map((id) => other.tokenizer.piece(id))", ids)
    assert pieces == [r"\xf0", r"\x9f", r"\x99", r"\x82", r"\xc3", r"\xa9"]

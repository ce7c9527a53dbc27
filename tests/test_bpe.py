"""Byte-level BPE beside tiktoken and the Rust tokenizers, and its own definition."""

import random
import subprocess
import sys
from collections import Counter
from functools import cache, partial
from typing import Any

import pytest
import tiktoken
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from refusals import refused
from underglass import data
from underglass.tokenizers import BPE
from underglass.tokenizers.bpe import MOST_KEPT
from underglass.tokenizers.merges import (
    BYTES,
    count_pairs,
    learn_merges,
    learn_merges_plainly,
    merge_pair,
    merge_word,
    merge_word_plainly,
)
from underglass.tokenizers.words import compile_pattern, split_words

END = "<|endoftext|>"
NASTY = [
    "",
    " ",
    "   \n\n\t  x  ",
    "The cat's pyjamas — $3.50, isn't it? we'll, I'VE; (50% off!)\r\n",
    "don’t 'tis rock 'n' roll ''' 's'S'll'LL",
    "naïve café, Ångström, Dvořák, İstanbul, straße, ﬁne, ½, ℌ, ẞ, ſ 'ſ",
    "e\u0301 vs \u00e9, \u0345, \u0308\u0301 alone",
    "東京タワー和歌山, 你好吗？한국어 텍스트",
    "नमस्ते ไทย עברית العَرَبِيَّة ٠١٢٣ Ⅻ ①",
    "👩‍👩‍👧 family 🇫🇷 🙂👍🏽 ☕️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "zero\u200bwidth\ufeff soft\u00adhyphen nbsp\u00a0here \u2028\u2029\x85\x1c\x1f\x0b\x0c",
    "\x00\x01\x7f\x80\x9f\xa0\xad\xff\u0100\u0143",
    "\ufffd\ufffe\uffff\U0001ffff\U0010ffff\ue000\u0378",
    "\u088f\u0c5ca\U000323b0b\U0003d000",  # letters since Unicode 17 and 18
    "a\U0001fac8b \U00011de1\u2074",
    "Ġthe Ċ \\xe2 \\ud800 <|endoftext|> <|endoftext| >",
    "a" * 1000 + " " * 1000 + "\n" * 1000 + "ab" * 500,
    "1234567890" * 30 + "!?" * 200,
    "if x:\n    return {'a': [1,2]}\n\n\tpass  # done   \n",
]


def any_text() -> st.SearchStrategy[str]:
    """All of Unicode, and pieces that words are cut at, so that they meet."""
    piece = st.one_of(
        st.text(max_size=8),
        st.sampled_from("abst 1,.'’\n\t\r\u00a0\u2003éß東🙂\u0301\U00030000\u088f"),
        st.sampled_from([" the", "'s", "'ll", "'T", "  ", END, "ing", "1997", "naïve"]),
    )
    return st.lists(piece, max_size=30).map("".join)


@pytest.fixture(scope="module")
def ranks() -> dict[bytes, int]:
    return data.load("gpt2")


@cache
def make_gpt2() -> BPE:
    return BPE.from_ranks(data.load("gpt2"), special=[END])


@pytest.fixture(scope="module")
def gpt2() -> BPE:
    return make_gpt2()


@pytest.fixture(scope="module")
def fast(gpt2) -> BPE:
    return gpt2.fast()


@pytest.fixture(scope="module")
def theirs(gpt2, ranks) -> tiktoken.Encoding:
    return tiktoken.Encoding(
        "gpt2", pat_str=gpt2.pattern, mergeable_ranks=ranks, special_tokens={END: 50256}
    )


@pytest.fixture(scope="module")
def prose() -> list[str]:
    return [speech.text for speech in data.load("speeches")[::10]]


@pytest.fixture(scope="module")
def small(prose) -> BPE:
    return BPE.train(prose[:3], 400, special=["<a>", "<a><b>"])


# ----------------------------------------------------------------------- beside the others


@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_equals_tiktoken_and_rust(gpt2, fast, theirs, text):
    ids = gpt2.encode(text)
    assert ids == theirs.encode_ordinary(text)
    assert ids == fast.encode(text)
    assert gpt2.decode(ids) == fast.decode(ids) == text
    special = gpt2.encode(text, special=True)
    assert special == theirs.encode(text, allowed_special="all")
    assert special == fast.encode(text, special=True)
    assert gpt2.decode(special) == text


@given(any_text())
@settings(max_examples=500, deadline=None)
def test_any_text_equals_tiktoken_and_rust(gpt2, fast, theirs, text):
    ids = gpt2.encode(text)
    assert ids == theirs.encode_ordinary(text)
    assert ids == fast.encode(text)
    assert gpt2.decode(ids) == theirs.decode(ids) == text
    assert gpt2.encode(text, special=True) == theirs.encode(text, allowed_special="all")
    assert gpt2.encode(text, special=True) == fast.encode(text, special=True)


@given(st.lists(st.integers(0, 50256), max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_ids_are_decoded_as_tiktoken_does(gpt2, fast, theirs, ids):
    assert gpt2.decode_bytes(ids) == theirs.decode_bytes(ids)
    assert gpt2.decode(ids) == fast.decode(ids) == theirs.decode(ids)
    assert [gpt2.token(i) for i in ids] == theirs.decode_tokens_bytes(ids)


def test_prose_equals_tiktoken_and_rust(gpt2, fast, theirs, prose):
    for text in prose[::3]:
        ids = gpt2.encode(text)
        assert ids == theirs.encode_ordinary(text)
        assert ids == fast.encode(text)


def test_every_token_of_gpt2_is_one_id(gpt2, ranks):
    assert (gpt2.vocab_size, len(gpt2.merges)) == (50257, 50000)
    assert gpt2.special == {END: 50256}
    assert gpt2.vocab == ranks
    merge_ranks = {merge: rank for rank, merge in enumerate(gpt2.merges)}
    for token in list(ranks)[256::50]:
        assert merge_word(token, merge_ranks) == [token]
    assert [left + right for left, right in gpt2.merges] == list(ranks)[256:]


# ----------------------------------------------------------------------- learning


texts_to_learn = st.one_of(
    st.lists(st.text("ab", max_size=30), min_size=1, max_size=6),
    st.lists(st.text("aAb c1.'s\n", max_size=40), min_size=1, max_size=6),
    st.lists(any_text(), min_size=1, max_size=6),
)


@given(texts_to_learn, st.integers(0, 60))
@example(["aaaa aaaaa aaa"], 9)
@example(["abab baba"], 5)
@example(["", ""], 3)
@settings(max_examples=300, deadline=None)
def test_three_ways_of_learning_give_the_same_merges(texts, num_merges):
    ours = BPE.train(texts, 256 + num_merges)
    rust = BPE.train(texts, 256 + num_merges, fast=True)
    assert ours.merges == rust.merges
    assert ours.vocab == rust.vocab
    words = Counter(w.encode() for text in texts for w in split_words(text, ours._words))
    assert list(ours.merges) == learn_merges_plainly(words, num_merges)


def test_prose_gives_the_same_merges(prose):
    """Many merges of many texts; then a part of it by the definition, which is slow."""
    texts = prose[:8]
    ours, rust = (BPE.train(texts, 2000, special=[END], fast=fast) for fast in (False, True))
    assert ours.merges == rust.merges
    assert ours.vocab == rust.vocab
    assert (ours.vocab_size, ours.special) == (2000, {END: 1999})
    part = prose[0]
    words = Counter(w.encode() for w in split_words(part, ours._words))
    merges = BPE.train([part], 500).merges
    assert list(merges) == learn_merges_plainly(words, 244)


def test_other_patterns_are_learned_alike(prose):
    pattern = r"\p{L}{1,5}|(\p{N})"  # leaves much between its matches, and has a group
    ours, rust = (BPE.train(prose[:3], 400, pattern=pattern, fast=fast) for fast in (False, True))
    assert ours.merges == rust.merges
    assert ours.encode(prose[5]) == ours.fast().encode(prose[5])
    assert ours.decode(ours.encode(prose[5])) == prose[5]


def test_the_bytes_are_in_the_order_of_gpt2(ranks):
    assert list(BYTES) == sorted((t for t in ranks if len(t) == 1), key=ranks.__getitem__)


def test_counting_and_merging():
    assert count_pairs({(1, 2, 1, 2): 3, (2, 1): 1}) == {(1, 2): 6, (2, 1): 4}
    assert merge_pair([1, 1, 1, 2, 1, 1], (1, 1), 9) == [9, 1, 2, 9]
    assert merge_pair([1, 2], (2, 1), 9) == [1, 2]
    assert learn_merges({b"abab": 2, b"c": 5}, 9) == [(b"a", b"b"), (b"ab", b"ab")]


def test_of_pairs_equally_frequent_the_older_tokens_merge_first():
    assert learn_merges({b"xb": 1, b"xa": 1, b"by": 1}, 3) == [
        (b"b", b"y"),
        (b"x", b"a"),
        (b"x", b"b"),
    ]
    assert learn_merges({b" a": 1, b"a ": 1}, 1) == [(b"a", b" ")]  # the space is not visible


def test_learning_ends_when_every_word_is_a_token():
    bpe = BPE.train(["ab ab"], 1000, special=[END])
    assert bpe.merges == ((b"a", b"b"), (b" ", b"ab"))
    assert (bpe.vocab_size, bpe.special) == (259, {END: 258})


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_the_heap_merges_as_the_definition(source):
    """Merges of any order, also such as no training would give."""
    tokens, ranks = [b"a", b"b"], {}
    for rank in range(source.draw(st.integers(0, 12))):
        pair = source.draw(st.sampled_from(tokens)), source.draw(st.sampled_from(tokens))
        ranks.setdefault(pair, rank)
        tokens.append(pair[0] + pair[1])
    shuffled = source.draw(st.permutations(list(ranks)))
    ranks = {pair: rank for rank, pair in enumerate(shuffled)}
    word = source.draw(st.text("ab", max_size=40)).encode()
    assert merge_word(word, ranks) == merge_word_plainly(word, ranks)


def test_a_long_word_is_no_trap(gpt2, theirs):
    generator = random.Random(0)
    word = "".join(generator.choices("abcdefghij", k=100_000))
    assert gpt2.encode(word) == theirs.encode_ordinary(word)


# ----------------------------------------------------------------------- on its own


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_there_and_back(small, text):
    ids = small.encode(text)
    assert small.decode(ids) == text
    assert small.decode_bytes(ids) == text.encode()
    assert small.decode(torch.tensor(ids, dtype=torch.int64)) == text
    assert b"".join(small.token(i) for i in ids) == text.encode()
    assert small.decode(small.encode(text, special=True)) == text


def test_ids_that_end_within_a_character(gpt2):
    ids = gpt2.encode("鷺")
    assert gpt2.decode_bytes(ids) == "鷺".encode() == b"\xe9\xb7\xba"
    assert gpt2.decode_bytes(ids[:1]) == b"\xe9"
    assert gpt2.decode(ids[:1]) == "\ufffd"
    assert gpt2.tokens("a 鷺€") == ["a", r" \xe9", r"\xb7", r"\xba", "€"]


def test_special_tokens_are_text_unless_asked_for(small):
    text = "x<a><b><a>y<b>"
    plain = small.encode(text)
    assert set(plain).isdisjoint(small.special.values())
    assert small.special == {"<a>": 398, "<a><b>": 399}
    first, last = small.encode("x"), small.encode("y<b>")
    assert small.encode(text, special=True) == [*first, 399, 398, *last]  # the longest first
    assert small.decode([399, 398]) == "<a><b><a>"
    assert small.token(399) == b"<a><b>"
    assert small.tokens("<a>!", special=True) == ["<a>", "!"]
    none = BPE.train(["a"], 256)
    assert none.encode(text, special=True) == none.encode(text)


def test_batches(gpt2, fast):
    texts = ["The cat", "", "The cat sat" + END]
    for bpe in (gpt2, fast):
        batch = bpe.encode_batch(texts, pad_id=50256)
        assert batch.dtype == torch.int64
        longest = len(gpt2.encode(texts[2]))
        for row, text in zip(batch.tolist(), texts, strict=True):
            ids = gpt2.encode(text)
            assert row == ids + [50256] * (longest - len(ids))
        assert bpe.encode_batch(texts, pad_id=0, special=True).shape == (3, 4)
        assert bpe.encode_batch(["", ""], pad_id=0).shape == (2, 0)


def test_what_is_remembered_does_not_grow_for_ever(small, monkeypatch):
    monkeypatch.setattr("underglass.tokenizers.bpe.MOST_KEPT", 5)
    fresh = BPE(small.vocab, small.merges, special=small.special)
    text = "one two three four five six seven eight nine ten"
    assert fresh.encode(text) == small.encode(text)
    assert len(fresh._kept) <= 5 < MOST_KEPT


def test_whole_words():
    vocab = {token: i for i, token in enumerate([*BYTES, b"ab", b"abc"])}
    assert BPE(vocab, [(b"a", b"b")]).tokens("abc ab") == ["ab", "c", " ", "ab"]
    bpe = BPE(vocab, [(b"a", b"b")], whole_words=True)
    assert bpe.tokens("abc ab") == ["abc", " ", "ab"]
    assert bpe.fast().encode("abc ab abcd") == bpe.encode("abc ab abcd")


def test_special_tokens_may_come_first():
    vocab = {token: i + 1 for i, token in enumerate(BYTES)}
    bpe = BPE(vocab, [], special={"<s>": 0})
    assert bpe.encode("<s>a", special=True) == bpe.fast().encode("<s>a", special=True)
    assert bpe.encode("<s>a", special=True)[0] == 0
    assert bpe.encode("<s>a") == bpe.fast().encode("<s>a")


def test_from_ranks_takes_special_tokens_by_name_or_by_id(ranks):
    few = {token: i for token, i in ranks.items() if i < 300}
    assert BPE.from_ranks(few).special == {}
    assert BPE.from_ranks(few, special=["<b>", "<a>"]).special == {"<b>": 300, "<a>": 301}
    assert BPE.from_ranks(few, special={"<b>": 301, "<a>": 300}).token(300) == b"<a>"
    assert BPE.from_ranks(few, pattern=r"\p{L}|\P{L}").encode("in in") == [72, 77, 220, 72, 77]


def test_what_it_looks_like(gpt2):
    assert repr(gpt2) == "BPE(vocab_size=50257, special=['<|endoftext|>'])"


# ----------------------------------------------------------------------- refusals


def test_wrong_texts_are_refused(small, fast):
    for bpe in (small, fast):
        with refused(TypeError, "text=None: expected a string"):
            bpe.encode(None)
        with refused(TypeError, "text=b'a': expected a string"):
            bpe.encode(b"a")
        with refused(ValueError, r"text holds '\\ud83d' at 1, half of a surrogate pair: expected"):
            bpe.encode("a\ud83d")
        with refused(TypeError, "texts='one text' is one text: expected a list of texts"):
            bpe.encode_batch("one text", pad_id=0)
        with refused(ValueError, "texts is empty: expected at least one text"):
            bpe.encode_batch([], pad_id=0)
        with refused(TypeError, r"texts\[1\]=3: expected a string"):
            bpe.encode_batch(["a", 3], pad_id=0)


def test_wrong_ids_are_refused(small):
    with refused(ValueError, "ids holds 400: expected numbers from 0 to 399"):
        small.decode([1, 400])
    with refused(ValueError, "ids holds -1: expected numbers from 0 to 399"):
        small.decode_bytes(torch.tensor([-1]))
    with refused(TypeError, "ids holds 1.0: expected whole numbers"):
        small.decode(torch.tensor([1.0]))
    with refused(TypeError, r"ids holds \[1\]: expected whole numbers"):
        small.decode(torch.tensor([[1]]))
    with refused(ValueError, "ids holds 400: expected"):
        small.token(400)
    with refused(ValueError, "pad_id holds 400: expected numbers from 0 to 399"):
        small.encode_batch(["a"], pad_id=400)


@pytest.mark.parametrize("fast", [False, True])
def test_wrong_arguments_of_training_are_refused(fast):
    train: Any = partial(BPE.train, fast=fast)
    with refused(TypeError, "texts='aaaaaaaa.*\\.\\.\\.' is one text: expected a list of texts"):
        train("a" * 1000, 300)
    with refused(ValueError, "texts is empty: expected at least one text"):
        train([], 300)
    with refused(TypeError, r"texts\[0\]=b'a': expected a string"):
        train([b"a"], 300)
    with refused(ValueError, r"texts\[1\] holds '\\udc00' at 0, half of a surrogate pair"):
        train(["a", "\udc00"], 300)
    with refused(ValueError, "vocab_size=255: expected room for 256 bytes and 0 special tokens"):
        train(["a"], 255)
    with refused(ValueError, "vocab_size=256: .* and 1 special tokens, 257 or more"):
        train(["a"], 256, special=[END])
    with refused(TypeError, "vocab_size='300': expected a whole number"):
        train(["a"], "300")
    with refused(TypeError, "special='<a>' is one token: expected a list of tokens"):
        train(["a"], 300, special="<a>")
    with refused(ValueError, "special has '<a>' twice: expected every token once"):
        train(["a"], 300, special=["<a>", "<b>", "<a>"])
    with refused(ValueError, "special has an empty token: expected characters"):
        train(["a"], 300, special=[""])
    with refused(TypeError, "special token=3: expected a string"):
        train(["a"], 300, special=[3])
    with refused(ValueError, "special token 'a' is in vocab too: expected every token once"):
        train(["a"], 300, special=["a"])
    with refused(ValueError, r"pattern='\(' is not a regular expression: missing \)"):
        train(["a"], 300, pattern="(")
    with refused(ValueError, r"pattern='a\*' matches the empty text: expected whole words"):
        train(["a"], 300, pattern="a*")
    with refused(TypeError, "pattern=None: expected a regular expression, a string"):
        train(["a"], 300, pattern=None)


def test_wrong_vocabularies_are_refused(ranks):
    untyped: Any = BPE
    vocab = {token: i for i, token in enumerate(BYTES)}
    with refused(ValueError, r"vocab has no b'!': expected every single byte"):
        BPE({token: i for token, i in vocab.items() if i}, [])
    with refused(ValueError, r"vocab has no b'ab': expected it, for b'a' and b'b' merge"):
        BPE(vocab, [(b"a", b"b")])
    with refused(ValueError, "id 256 belongs to 0 tokens: expected each of 0 to 256 to belong to"):
        BPE(vocab, [], special={"<a>": 300})
    with refused(ValueError, "id 5 belongs to 2 tokens"):
        BPE(vocab, [], special={"<a>": 5})
    with refused(TypeError, "special holds '5': expected whole numbers"):
        untyped(vocab, [], special={"<a>": "5"})
    with refused(
        ValueError, r"ranks has b'abc', which .* make of \[b'a', b'b', b'c'\]: expected two"
    ):
        BPE.from_ranks({**vocab, b"abc": 256})
    with refused(ValueError, "id 256 belongs to 0 tokens"):
        BPE.from_ranks({**vocab, b"ab": 257})
    with refused(ValueError, "vocab has no b'!': expected every single byte"):
        BPE.from_ranks({})


def test_compiled_patterns_keep_all_of_the_text():
    pattern = compile_pattern(r"b|(?=c)")
    assert split_words("abcbb", pattern) == ["a", "b", "c", "b", "b"]


def test_the_rust_library_is_imported_where_it_is_used():
    program = "import sys, underglass.tokenizers; print('tokenizers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr

"""Where texts are cut into words: the same places as by tiktoken and the Rust tokenizers."""

import pytest
import regex
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Split
from underglass.tokenizers.merges import BYTES
from underglass.tokenizers.words import _NEW, GPT2_PATTERN, compile_pattern, split_words

ALL = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def ours(text: str, pattern: str) -> list[str]:
    return split_words(text, compile_pattern(pattern))


def rust(text: str, pattern: str) -> list[str]:
    splitter = Split(Regex(pattern), "isolated")
    return [text[start:end] for _, (start, end) in splitter.pre_tokenize_str(text)]


def found_by_tiktoken(text: str, pattern: str) -> str:
    """What matches the pattern: the rest of a text has no tokens there."""
    encoding = tiktoken.Encoding(
        "bytes",
        pat_str=pattern,
        mergeable_ranks={byte: i for i, byte in enumerate(BYTES)},
        special_tokens={},
    )
    return encoding.decode(encoding.encode_ordinary(text))


@pytest.mark.parametrize(
    ("yes", "no", "first"),
    [(r"\p{L}+", r"\P{L}+", "a"), (r"\p{N}+", r"\P{N}+", "1"), (r"\s+", r"\S+", " ")],
)
def test_of_all_characters_the_same_are_letters_digits_and_space(yes, no, first):
    text, pattern = first + ALL, f"{yes}|{no}"
    words = ours(text, pattern)
    assert "".join(words) == text
    assert words == rust(text, pattern)
    assert "".join(words[::2]) == found_by_tiktoken(text, yes)


def test_what_unicode_added_is_what_tiktoken_does_not_know():
    """The table holds exactly what `regex` calls a character and tiktoken (Unicode 16) does not."""
    unknown = found_by_tiktoken(ALL, r"\p{Cn}+")
    added = regex.sub(r"\p{Cn}+", "", unknown)
    assert "".join(_NEW.findall(ALL)) == added
    assert len(added) == 17810


def test_of_all_characters_the_same_are_letters_of_an_english_ending():
    """As "S" is for "s", so is one character more, the long "ſ"."""
    pattern = "(?i:s|t|r|e|v|m|l|d)"
    words = ours(ALL, pattern)
    assert words == rust(ALL, pattern)
    assert set("DELMRSTVdelmrstvſ") <= set(words)
    assert len(words) == 17 + 10  # and the runs between them, of which "U" and "u" are two


text_of_pieces = st.lists(
    st.one_of(
        st.text(max_size=5),
        st.sampled_from(
            [" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "'ſ", "ab", "12345", "...", "é"]
        ),
        st.sampled_from("\u088f\U00011de0\U0001fac8\u00a0\u2028\x1c\x85'’"),
    ),
    max_size=25,
).map("".join)


@given(text_of_pieces)
@settings(max_examples=300, deadline=None)
def test_words_equal_rust(text):
    splitter = ByteLevel(add_prefix_space=False, use_regex=True)
    expected = [text[start:end] for _, (start, end) in splitter.pre_tokenize_str(text)]
    assert ours(text, GPT2_PATTERN) == rust(text, GPT2_PATTERN) == expected
    assert ours(text, LLAMA3_PATTERN) == rust(text, LLAMA3_PATTERN)


def test_words_of_english():
    text = "We'll see:  it's 1997,\n\n and \u088f!"
    expected = [
        "We",
        "'ll",
        " see",
        ":",
        " ",
        " it",
        "'s",
        " 1997",
        ",",
        "\n\n",
        " and",
        " \u088f!",
    ]
    assert ours(text, GPT2_PATTERN) == expected


@pytest.mark.parametrize("pattern", [r"b|(?=c)", "b", "(b)+", r"\p{Lu}"])
@given(text=st.text("abc\u088fé", max_size=20))
@settings(max_examples=100, deadline=None)
def test_nothing_between_two_matches_is_lost(pattern, text):
    words = ours(text, pattern)
    assert "".join(words) == text
    assert all(words)
    if pattern != r"b|(?=c)":
        assert words == rust(text, pattern)

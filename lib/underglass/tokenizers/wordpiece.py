"""WordPiece: text to the tokens and ids that BERT was trained on, and back.

References: Wu et al. (2016), "Google's Neural Machine Translation System", section 4.1;
Devlin et al. (2019), "BERT", section 3 (special tokens, pairs of texts).
Chapter: chapters/04_attention.ipynb
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

MAX_WORD = 100  # BERT's: a longer word is unknown as a whole, and no time is spent on it
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SPECIAL_TOKEN = re.compile(f"({'|'.join(map(re.escape, SPECIAL))})")
# Unicode's blocks of Chinese characters, as in BERT (one begins at 2B920 in the Rust tokenizer).
_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def split_words(text: str, *, lower: bool = True) -> list[str]:
    """Words, and each punctuation mark and each Chinese character as a word of its own."""
    text = "".join(_clean(char) for char in text)
    if lower:
        text = "".join(char.lower() for char in _without_accents(text))
    return "".join(f" {char} " if _is_punctuation(char) else char for char in text).split()


@cache
def _clean(char: str) -> str:
    """Nothing for what cannot be seen, a blank for any white space, room around the Chinese."""
    if char in "\t\n\r" or char.isspace() and unicodedata.category(char) != "Cc":
        return " "
    # Control characters, format marks, characters for private use, broken halves of others.
    if char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs"):
        return ""
    return f" {char} " if _is_chinese(char) else char


def _without_accents(text: str) -> str:
    """Take each letter apart from its accents (NFD), and leave the accents out."""
    parts = unicodedata.normalize("NFD", text)
    return "".join(char for char in parts if unicodedata.category(char) != "Mn")


@cache
def _is_punctuation(char: str) -> bool:
    if char.isascii():  # BERT counts + $ < = > ^ ` | ~ too, which Unicode calls symbols
        return char.isprintable() and not char.isalnum() and char != " "
    return unicodedata.category(char).startswith("P")


def _is_chinese(char: str) -> bool:
    """Whether it is a character of Chinese, whose words no blanks set apart."""
    return any(first <= ord(char) <= last for first, last in _CHINESE)


def split_pieces(word: str, vocab: Container[str]) -> list[str]:
    """The longest beginning that is in the vocabulary, then the longest beginning of the rest, ...

    A word of which some part is not in the vocabulary is one [UNK].
    """
    pieces, start = [], 0
    while start < len(word) <= MAX_WORD:
        mark = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if mark + word[start:end] in vocab), None)
        if end is None:
            return ["[UNK]"]
        pieces.append(mark + word[start:end])
        start = end
    return pieces or ["[UNK]"]


class WordPiece:
    """Splits text into words, and each word into the longest pieces that are in the vocabulary.

    Not every text comes back from `decode(encode(text))`. What is lost:

    - case and accents, if `lower`: "Élan" and "elan" are one word;
    - white space: how much, of which kind, and whether there was any beside a punctuation mark or
      a Chinese character, each of which comes back with a space on both sides;
    - what cannot be seen (control and format characters, private use) and "\ufffd": left out;
    - unknown words, and all of more than 100 characters: [UNK];
    - text that looks like a special token: "[SEP]" is that token, and is not decoded.

    `BPE` loses nothing.

    Args:
        vocab: every token once; its place is its id. A piece within a word begins with "##".
        lower: whether the vocabulary is of lower-case text without accents ("uncased").

    Raises:
        ValueError: if a special token is missing, or a token is there twice.
    """

    def __init__(self, vocab: Sequence[str], *, lower: bool = True) -> None:
        self.vocab = tuple(vocab)
        self.lower = lower
        self._ids = {token: i for i, token in enumerate(self.vocab)}
        _check_vocab(self.vocab, self._ids)
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (
            self._ids[token] for token in SPECIAL
        )

    @classmethod
    def from_file(cls, path: str | Path, *, lower: bool = True) -> "WordPiece":
        """From a vocabulary file as BERT's authors publish it: one token a line, in order of id."""
        # Not splitlines(): it splits at rare characters too (U+2028), and a token may be one.
        lines = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        return cls(lines, lower=lower)

    @property
    def vocab_size(self) -> int:
        return len(self.vocab)

    def tokens(self, text: str, pair: str | None = None) -> list[str]:
        """The tokens of [CLS] text [SEP], or of [CLS] text [SEP] pair [SEP].

        A special token written out in the text, such as "[MASK]", counts as that token.
        """
        second = [] if pair is None else [*self._pieces("pair", pair), "[SEP]"]
        return ["[CLS]", *self._pieces("text", text), "[SEP]", *second]

    def encode(self, text: str, pair: str | None = None) -> list[int]:
        """The ids of `tokens(text, pair)`."""
        return [self._ids[token] for token in self.tokens(text, pair)]

    def segments(self, text: str, pair: str | None = None) -> list[int]:
        """For each token of `tokens(text, pair)`: 0 if it belongs to text, 1 if to pair."""
        first = len(self.tokens(text))
        return [0] * first + [1] * (len(self.tokens(text, pair)) - first)

    def encode_batch(self, texts: Iterable[str]) -> Int64[Tensor, "batch seq"]:
        """The ids of each text in a row of its own, filled up with `pad_id` to one length."""
        if isinstance(texts, str):
            raise TypeError(f"texts={texts!r} is one text: expected a list of texts")
        rows = [self.encode(text) for text in texts]
        if not rows:
            raise ValueError("texts is empty: expected at least one text")
        length = max(map(len, rows))
        return torch.tensor([row + [self.pad_id] * (length - len(row)) for row in rows])

    def decode(self, ids: Iterable[int] | Tensor) -> str:
        """The text of the ids: words set apart by spaces, without [CLS], [SEP] and [PAD].

        Raises:
            ValueError: if an id is outside the vocabulary.
        """
        tokens = [self._token(int(i)) for i in ids]
        kept = [token for token in tokens if token not in ("[CLS]", "[SEP]", "[PAD]")]
        return " ".join(kept).replace(" ##", "")

    def _token(self, i: int) -> str:
        if not 0 <= i < self.vocab_size:
            raise ValueError(f"ids holds {i}: expected numbers from 0 to {self.vocab_size - 1}")
        return self.vocab[i]

    def _pieces(self, name: str, text: str) -> Iterator[str]:
        if not isinstance(text, str):
            raise TypeError(f"{name}={text!r}: expected a string")
        for part in _SPECIAL_TOKEN.split(text):
            if part in SPECIAL:
                yield part
            else:
                for word in split_words(part, lower=self.lower):
                    yield from split_pieces(word, self._ids)


def _check_vocab(vocab: Sequence[str], ids: dict[str, int]) -> None:
    missing = [token for token in SPECIAL if token not in ids]
    if missing:
        raise ValueError(f"vocab has no {', '.join(missing)}: expected {', '.join(SPECIAL)}")
    if len(ids) < len(vocab):
        twice = next(token for i, token in enumerate(vocab) if ids[token] != i)
        raise ValueError(f"vocab has {twice!r} twice: expected every token once")

"""Byte-level BPE, the tokenizer of GPT-2 and of most language models since: no text is unknown.

    bpe = BPE.train(texts, 1024, special=["<|endoftext|>"])
    bpe = BPE.from_ranks(data.load("gpt2"), special=["<|endoftext|>"])     # GPT-2's own
    bpe.decode(bpe.encode("any text")) == "any text"

References: Sennrich et al. (2016), "Neural Machine Translation of Rare Words with Subword Units",
section 3.2; Radford et al. (2019), "Language Models are Unsupervised Multitask Learners",
section 2.2.
Chapter: chapters/02_tokens.ipynb
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from copy import copy
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from underglass.tokenizers import bpe_checks as check
from underglass.tokenizers import bpe_files, rust
from underglass.tokenizers.bpe_json import Recipe
from underglass.tokenizers.merges import BYTES, Merge, learn_merges, merge_word
from underglass.tokenizers.words import GPT2_PATTERN, compile_pattern, split_words

MOST_KEPT = 100_000  # words whose ids are kept: a text has few different words, and repeats them


class BPE:
    """Splits text into words and each word into its bytes, then merges them as it was learned.

    Every text survives: `decode(encode(text)) == text`. Where words end is decided as of Unicode
    16: a character that was added later counts as no letter and no digit.

    Args:
        vocab: token -> id: the 256 single bytes, and all that the merges make.
        merges: pairs of tokens that become one, in the order in which they were learned.
        special: tokens that no merge makes -> their ids, such as "<|endoftext|>".
        pattern: a regular expression that matches one word: no merge reaches across its borders.
        whole_words: whether a word that is a token is taken whole, even where no merges lead to it
            (so does Llama 3).

    Raises:
        ValueError: if the ids of both kinds of tokens together are not 0, 1, 2, ..., each once; if
            a byte or what a merge makes is not in vocab; if the pattern is no regular expression.
    """

    def __init__(
        self,
        vocab: Mapping[bytes, int],
        merges: Iterable[Merge],
        *,
        special: Mapping[str, int] | None = None,
        pattern: str = GPT2_PATTERN,
        whole_words: bool = False,
    ) -> None:
        self.vocab, self.special = dict(vocab), dict(special or {})
        self.merges = tuple(merges)
        self.pattern, self.whole_words = pattern, whole_words
        check.special(self.special)
        check.vocab(self.vocab, self.merges, self.special)
        self._words = compile_pattern(pattern)
        self._ranks = {merge: rank for rank, merge in enumerate(self.merges)}
        ids = self.vocab | {name.encode(): i for name, i in self.special.items()}
        self._tokens = sorted(ids, key=ids.__getitem__)
        longest_first = sorted(self.special, key=len, reverse=True)
        self._special = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        self._kept: dict[str, list[int]] = {}
        self._rust = None

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        *,
        special: Iterable[str] = (),
        pattern: str = GPT2_PATTERN,
        fast: bool = False,
    ) -> "BPE":
        """Learn merges from texts: time and again, the most frequent pair becomes a token.

        Ids: first the 256 bytes, then what the merges make, then the special tokens. A special
        token that is written out in the texts is text like any other.

        Args:
            vocab_size: how many tokens there shall be; there are fewer if all words of the texts
                are one token each before that.
            fast: learn with the Rust library `tokenizers`: the same merges, sooner.

        Raises:
            TypeError: if `texts` is one text instead of several, or not of strings.
            ValueError: if the texts are empty, or vocab_size has no room for the bytes and the
                special tokens.
        """
        texts, names = check.texts(texts), check.names(special)
        num_merges = check.size(vocab_size, names) - len(BYTES) - len(names)
        words = compile_pattern(pattern)
        if fast:
            merges = rust.learn_merges(texts, num_merges, pattern)
        else:
            counts = Counter(word for text in texts for word in split_words(text, words))
            merges = learn_merges({word.encode(): n for word, n in counts.items()}, num_merges)
        tokens = [*BYTES, *(left + right for left, right in merges)]
        vocab = {token: i for i, token in enumerate(tokens)}
        numbered = {name: len(tokens) + i for i, name in enumerate(names)}
        return cls(vocab, merges, special=numbered, pattern=pattern)

    @classmethod
    def from_ranks(
        cls,
        ranks: Mapping[bytes, int],
        *,
        special: Iterable[str] | Mapping[str, int] = (),
        pattern: str = GPT2_PATTERN,
    ) -> "BPE":
        """From tokens in the order in which they were learned, as tiktoken's files hold them.

        Args:
            special: names, which get the ids after the last rank, or name -> id.

        Raises:
            ValueError: if the ranks are not 0, 1, 2, ..., or a token is not made of two before it.
        """
        if not isinstance(special, Mapping):
            special = {name: len(ranks) + i for i, name in enumerate(check.names(special))}
        merges: dict[Merge, int] = {}
        for token in sorted(ranks, key=ranks.__getitem__):
            if len(token) > 1:
                left, right = check.two_parts(token, merge_word(token, merges))
                merges[left, right] = len(merges)
        return cls(ranks, merges, special=special, pattern=pattern)

    @classmethod
    def load(cls, path: str | Path) -> "BPE":
        """From a tokenizer.json, or a folder that holds one, or else vocab.json and merges.txt.

        Reads what Hugging Face's libraries write for tokenizers of this kind. `encode` gives the
        ids of the text alone: special tokens that a template would put around it, truncation and
        padding are not applied, and not kept by `save`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if a file is broken, or of a tokenizer that computes anything else.
        """
        recipe, path = bpe_files.read(Path(path).expanduser())
        try:
            return cls(
                recipe.vocab,
                recipe.merges,
                special=recipe.special,
                pattern=recipe.pattern,
                whole_words=recipe.whole_words,
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the file `path`, if it ends in .json, or else tokenizer.json into folder `path`.

        The Rust `tokenizers` and transformers read it. Written under a temporary name first: what
        was there stays whole if something fails.
        """
        bpe_files.write(Path(path).expanduser(), self._recipe())

    def fast(self) -> "BPE":
        """The same tokenizer, which encodes with the Rust library `tokenizers`: equal ids.

        On prose, whose words repeat, it is hardly faster; several times where few words do.
        """
        twin = copy(self)
        twin._rust = rust.build(self._recipe())
        return twin

    def _recipe(self) -> Recipe:
        return Recipe(self.vocab, self.merges, self.special, self.pattern, self.whole_words)

    @property
    def vocab_size(self) -> int:
        return len(self._tokens)

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text; none for the empty text.

        Args:
            special: whether a special token written out in the text counts as that token. Leave it
                off for text of others: who writes "<|endoftext|>" would end your document.

        Raises:
            TypeError: if `text` is not a string.
            ValueError: if the text holds half of a surrogate pair, which UTF-8 has no bytes for.
        """
        check.text("text", text)
        if not (special and self.special):
            return self._encode_plain(text)
        ids = []
        for part in self._special.split(text):
            ids += [self.special[part]] if part in self.special else self._encode_plain(part)
        return ids

    def encode_batch(
        self, texts: Iterable[str], *, pad_id: int, special: bool = False
    ) -> Int64[Tensor, "batch seq"]:
        """The ids of each text in a row of its own, filled up with `pad_id` to one length."""
        texts = check.texts(texts)
        check.ids([pad_id], self.vocab_size, "pad_id")
        rows = [self.encode(text, special=special) for text in texts]
        length = max(map(len, rows))
        padded = [row + [pad_id] * (length - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.int64)

    def decode(self, ids: Iterable[int] | Tensor) -> str:
        """The text of the ids. Bytes that are no whole character become the mark "\\ufffd".

        Raises:
            ValueError: if an id is outside the vocabulary.
        """
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids: Iterable[int] | Tensor) -> bytes:
        """The bytes of the ids, exactly. Raises as `decode` does."""
        return b"".join([self._tokens[i] for i in check.ids(ids, self.vocab_size)])

    def token(self, i: int) -> bytes:
        """The bytes of token i, which need not be whole characters."""
        return self.decode_bytes([i])

    def tokens(self, text: str, *, special: bool = False) -> list[str]:
        """For each id of the text its token, to be shown: \\xe2 is a byte of a cut character."""
        ids = self.encode(text, special=special)
        return [self.token(i).decode(errors="backslashreplace") for i in ids]

    def __repr__(self) -> str:
        return f"BPE(vocab_size={self.vocab_size}, special={list(self.special)})"

    def _encode_plain(self, text: str) -> list[int]:
        if self._rust is not None:
            return self._rust.encode_batch_fast([text])[0].ids  # fast: without places in the text
        ids = []
        for word in split_words(text, self._words):
            ids += self._kept.get(word) or self._encode_word(word)
        return ids

    def _encode_word(self, word: str) -> list[int]:
        token = word.encode()
        whole = self.whole_words and token in self.vocab
        parts = [token] if whole else merge_word(token, self._ranks)
        if len(self._kept) == MOST_KEPT:
            self._kept.clear()
        self._kept[word] = [self.vocab[part] for part in parts]
        return self._kept[word]

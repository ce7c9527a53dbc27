"""The sentences and their parts: to train on, to choose by, and to be read at the end."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import torch

from underglass import data, pretrained
from underglass.tokenizers import WordPiece

CLEAR = 0.5  # a mean rating nearer to 0 is no clear opinion: those 5 % of the sentences stay out
NUM_TEST, NUM_VALIDATION = 1500, 1000
SPLIT_SEED = 2026
MAX_LEN = 64  # tokens; the longest sentence about films has 79, one in a thousand more than this
RUN = 4  # words in a row by which a sentence that repeats another is known
ORIGINS = ("tweet", "product", "editorial")
NUM_ELSEWHERE = 400  # of each origin


@dataclass(frozen=True)
class Sentence:
    """A sentence, and what about twenty people made of it, from -4 (very negative) to 4.

    Attributes:
        label: 1 if the mean rating is positive, 0 if it is negative.
        rating: the mean.
        ratings: what each person gave.
        origin: "movie", "tweet", "product" or "editorial".
    """

    text: str
    label: int
    rating: float
    ratings: tuple[int, ...]
    origin: str

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """MiniLM's token ids, [CLS] and [SEP] among them; at most 64."""
        return shortened(tokenizer().encode(self.text))

    @property
    def share(self) -> float:
        """The share of the people who found it positive; who gave it a 0 counts half."""
        positive = sum((rating > 0) + (rating == 0) / 2 for rating in self.ratings)
        return positive / len(self.ratings)


class Split(NamedTuple):
    """Three parts that share no sentence, nor one that nearly repeats another's."""

    training: list[Sentence]
    validation: list[Sentence]
    test: list[Sentence]


@cache
def tokenizer() -> WordPiece:
    """MiniLM's own."""
    found = pretrained.tokenizer("minilm")
    assert isinstance(found, WordPiece)
    return found


@cache
def split() -> Split:
    """The sentences from film reviews: `.training`, `.validation`, `.test`, drawn by a fixed seed.

    Choices are made on the validation part; the test part is read once, when all are made. A
    sentence that nearly repeats one held back (half of its runs of four words, or of the other's,
    are the same) is in no part: it would be an answer known beforehand.
    """
    films = _sentences("movie")
    test, validation, training = (
        films[:NUM_TEST],
        films[NUM_TEST : NUM_TEST + NUM_VALIDATION],
        films[NUM_TEST + NUM_VALIDATION :],
    )
    validation = without_repeats(validation, test)
    return Split(without_repeats(training, [*test, *validation]), validation, test)


@cache
def elsewhere() -> dict[str, list[Sentence]]:
    """Sentences of other origins, for each 400 drawn by a fixed seed: never trained on."""
    return {origin: _sentences(origin, NUM_ELSEWHERE) for origin in ORIGINS}


def without_repeats(sentences: Iterable[Sentence], others: Iterable[Sentence]) -> list[Sentence]:
    """The sentences that do not nearly repeat one of the others."""
    having: dict[tuple[str, ...], list[int]] = {}
    lengths = []
    for place, other in enumerate(others):
        runs = _runs(other.text)
        lengths.append(len(runs))
        for run in runs:
            having.setdefault(run, []).append(place)

    def repeats(sentence: Sentence) -> bool:
        runs = _runs(sentence.text)
        shared = Counter(place for run in runs for place in having.get(run, ()))
        return any(2 * n >= min(len(runs), lengths[place]) for place, n in shared.items())

    return [sentence for sentence in sentences if not repeats(sentence)]


def _runs(text: str) -> set[tuple[str, ...]]:
    """All runs of four words; a shorter sentence is one run."""
    words = re.findall(r"\w+", text.lower())
    return {(*words[start : start + RUN],) for start in range(max(1, len(words) - RUN + 1))}


def _sentences(origin: str, count: int | None = None) -> list[Sentence]:
    """Those with a clear opinion, in an order drawn by the seed; the first so many of them."""
    clear = [
        rated
        for rated in data.load("sentiment")
        if rated.origin == origin and abs(rated.rating) >= CLEAR
    ]
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    order = torch.randperm(len(clear), generator=generator).tolist()[:count]
    return [
        Sentence(
            text=rated.text,
            label=int(rated.rating > 0),
            rating=rated.rating,
            ratings=rated.ratings,
            origin=origin,
        )
        for rated in (clear[place] for place in order)
    ]


def shortened(ids: Iterable[int]) -> tuple[int, ...]:
    """At most 64 ids, the last of them [SEP], as in the whole."""
    own = (*ids,)
    return own if len(own) <= MAX_LEN else (*own[: MAX_LEN - 1], own[-1])


def task() -> dict[str, Any]:
    """What all recipes have in common, as JSON holds it: the texts, and which is in which part."""
    parts = split()._asdict() | elsewhere()
    texts = "\n".join(s.text for own in parts.values() for s in own)
    return {
        "kind": "film_sentiment",
        "sentences": {name: len(own) for name, own in parts.items()},
        "least mean rating": CLEAR,
        "longest": MAX_LEN,
        "texts": hashlib.sha256(texts.encode()).hexdigest(),
    }

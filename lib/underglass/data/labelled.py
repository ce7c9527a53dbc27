"""Readers for texts that people have marked: ratings, named entities, pronouns."""

import csv
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Rated:
    """A text and how people felt it, from -4 (very negative) to 4 (very positive)."""

    text: str
    rating: float  # the published mean
    ratings: tuple[int, ...]  # what each person gave
    origin: str  # "movie", "tweet", "product" or "editorial"


_ORIGINS = {
    "movie": "movieReviewSnippets",
    "tweet": "tweets",
    "product": "amazonReviewSnippets",
    "editorial": "nytEditorialSnippets",
}


def read_sentiment(folder: Path) -> list[Rated]:
    """Sentences of film reviews first, then tweets, product reviews and editorials.

    For 199 tweets the published mean is not the mean of the ratings beside it.
    """
    return [rated for origin in _ORIGINS for rated in _read_origin(folder, origin)]


def _read_origin(folder: Path, origin: str) -> list[Rated]:
    people = {row[0]: row[3] for row in _tabbed(folder / f"{_ORIGINS[origin]}_anonDataRatings.txt")}
    return [
        Rated(
            text=html.unescape(html.unescape(text)),  # the editorials were escaped twice
            rating=float(mean),
            ratings=tuple(json.loads(people[identity])),
            origin=origin,
        )
        for identity, mean, text in _tabbed(folder / f"{_ORIGINS[origin]}_GroundTruth.txt")
    ]


def _tabbed(file: Path) -> Iterator[list[str]]:
    with open(file, encoding="utf-8-sig", newline="") as lines:  # -sig: one has a byte-order mark
        yield from csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)


@dataclass(frozen=True)
class Tagged:
    """A text as words, with one tag for each: `B-` begins a name, `I-` continues it, `O` is none.

    The ten kinds: company, facility, geo-loc, movie, musicartist, other, person, product,
    sportsteam, tvshow.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]


def read_tagging(folder: Path) -> list[Tagged]:
    """The tweets in the file's order. A line holds a word and its tag; an empty pair ends each."""
    found, pairs = [], []
    for word, tag in _tabbed(folder / "ner.txt"):
        if word:
            pairs.append((html.unescape(word), tag))
        else:
            words, tags = zip(*pairs, strict=True)
            found.append(Tagged(words, tags))
            pairs = []
    assert not pairs  # the file ends with an empty pair
    return found


@dataclass(frozen=True)
class Pronoun:
    """A sentence with one pronoun and the noun that it stands for."""

    sentence: str
    words: tuple[str, ...]  # its words and punctuation marks, as written
    pronoun: int  # its place in `words`
    antecedent: int  # the place of the noun that it stands for
    nouns: tuple[int, ...]  # the places of all nouns before the pronoun, the antecedent among them
    clue: str  # what settles it: "gender", "number", "animacy" or "sense"


def read_pronouns(folder: Path) -> list[Pronoun]:
    """The book's own sentences, in the order of the file."""
    with open(folder / "pronouns.txt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [_pronoun(row) for row in rows]


def _pronoun(row: dict[str, str]) -> Pronoun:
    words = tuple(re.findall(r"\w+|[^\w\s]", row["text"]))
    lowered = [word.lower() for word in words]

    def place(word: str) -> int:
        assert lowered.count(word) == 1, f"{word!r} shall be there once: {row['text']}"
        return lowered.index(word)

    return Pronoun(
        sentence=row["text"],
        words=words,
        pronoun=place(row["pronoun"]),
        antecedent=place(row["antecedent"]),
        nouns=tuple(place(noun) for noun in row["nouns"].split()),
        clue=row["clue"],
    )

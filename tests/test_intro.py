"""The map of the front page shows the chapters that the book has, and no other as here."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def chapters_in_map(text: str) -> tuple[list[str], list[str]]:
    """The files that the map links to, and the names of chapters that it calls planned."""
    rows = re.findall(r"^\|.*\| (.+?) \|.*\| (\*\*here\*\*|planned) \|$", text, re.MULTILINE)
    here = [name for name, state in rows if state == "**here**"]
    linked = [re.fullmatch(r"\[\d\d .+\]\((chapters/\d\d_\w+)\.ipynb\)", name) for name in here]
    return [link[1] if link else "" for link in linked], [n for n, s in rows if s == "planned"]


def test_the_map_is_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    files = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    here, planned = chapters_in_map((ROOT / "intro.md").read_text("utf-8"))
    assert here == [file for file in files if file.startswith("chapters/")]
    assert here + planned
    assert not any("](" in name for name in planned)


def test_all_sixteen_chapters_are_on_the_map():
    here, planned = chapters_in_map((ROOT / "intro.md").read_text("utf-8"))
    numbers = [re.search(r"\d\d", name) for name in here + planned]
    assert sorted(number[0] for number in numbers if number) == [f"{n:02}" for n in range(1, 17)]

"""The glossary: in order, each term once, one or two sentences; and every {term} leads into it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROLE = re.compile(r"\{term\}`([^`]+)`")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "chapters").glob("*.ipynb"))]


def entries(text: str) -> list[tuple[str, str]]:
    """Each term of the page's glossary with its definition, in the order written."""
    block = re.search(r"^```\{glossary\}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert block
    found = []
    for paragraph in re.split(r"\n{2,}", block[1].strip("\n")):
        term, *definition = paragraph.split("\n")
        found.append((term, " ".join(line.strip() for line in definition)))
    return found


def order(term: str) -> tuple[str, str]:
    """As a reader looks it up: a hyphen is a space, other signs count only between equals."""
    return re.sub(r"[^a-z0-9 ]", "", term.casefold().replace("-", " ")), term.casefold()


def sentences(definition: str) -> int:
    bare = re.sub(r"\$[^$]*\$|`[^`]*`", "x", definition)
    return len(re.findall(r"[.?!](?= [A-Z]|$)", bare))


def markdown(path: Path) -> str:
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def unknown_terms(text: str, terms: set[str]) -> Iterator[str]:
    """What {term} roles name and the glossary does not have; case does not count, as in Sphinx."""
    known = {term.casefold() for term in terms}
    for named in ROLE.findall(text):
        target = re.search(r"<([^>]*)>$", named)
        term = " ".join((target[1] if target else named).split())
        if term.casefold() not in known:
            yield term


ENTRIES = entries((ROOT / "glossary.md").read_text("utf-8"))


def test_in_alphabetical_order_and_each_once():
    terms = [order(term) for term, _ in ENTRIES]
    assert terms == sorted(set(terms))


@pytest.mark.parametrize(("term", "definition"), ENTRIES, ids=[term for term, _ in ENTRIES])
def test_one_or_two_sentences(term, definition):
    assert 1 <= sentences(definition) <= 2
    assert definition.endswith(".")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_term_role_leads_to_an_entry(path):
    assert list(unknown_terms(markdown(path), {term for term, _ in ENTRIES})) == []


def test_reads_roles_with_and_without_a_title():
    text = "{term}`Attention`, {term}`the\nweights <attention\nweights>`, {term}`key words`"
    assert list(unknown_terms(text, {"attention", "attention weights"})) == ["key words"]


def test_counts_sentences():
    assert sentences("A mean of numbers, $a. B$, and so on.") == 1
    assert sentences("One. Two! Three.") == 3

"""CONTRIBUTING.md says what the Makefile does, and names files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PLAIN = dict(re.findall(r"^\| `make ([\w-]+)` \| (.*) \|$", TEXT, re.MULTILINE))


def targets(makefile: str) -> dict[str, list[str]]:
    """Each phony target with the commands of the environment that it runs, without `$(BIN)/`."""
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    found = {}
    for name in phony[1].split():
        recipe = re.search(rf"^{name}:.*\n((?:\t.*\n?)*)", makefile, re.MULTILINE)
        assert recipe, f"no recipe for {name}"
        found[name] = re.findall(r"\$\(BIN\)/(.+)$", recipe[1], re.MULTILINE)
    return found


@pytest.mark.parametrize("target", targets(MAKEFILE))
def test_every_target_has_its_plain_commands(target):
    assert target in PLAIN
    assert [c for c in targets(MAKEFILE)[target] if f"`{c}`" not in PLAIN[target]] == []


def test_no_target_is_named_that_make_does_not_have():
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert named >= {"test", "outputs"}
    assert named - targets(MAKEFILE).keys() == set()


def test_files_that_it_names_are_there():
    named = re.findall(r"`((?:tests|book|lib|chapters)/[a-z_/.]*|\w+\.(?:md|yml|bib))`", TEXT)
    assert "tests/pages.py" in named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_reads_a_makefile():
    lines = [".PHONY: a b", "a: b  ## help", "\t@$(BIN)/python x.py", "\t@echo", "b:", "\t@true"]
    assert targets("\n".join([*lines, ""])) == {"a": ["python x.py"], "b": []}

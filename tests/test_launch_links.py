"""The check of the Colab links, on small built pages and without the network."""

import json

import pytest
from launch_links import colab_links, problems, raw_address

LINK = "https://colab.research.google.com/github/owner/name/blob/main/chapters/04.ipynb"
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def book(tmp_path):
    pages = tmp_path / "html" / "chapters"
    pages.mkdir(parents=True)
    (pages / "04.html").write_text(f'<a href="{LINK}">Colab</a> <a href="https://x.org">x</a>')
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "04.ipynb").write_text(json.dumps(NOTEBOOK))
    return tmp_path


def test_finds_the_links_and_where_they_lead(book):
    assert colab_links(book / "html") == [LINK]
    raw = "https://raw.githubusercontent.com/owner/name/main/chapters/04.ipynb"
    assert raw_address(LINK) == (raw, "chapters/04.ipynb")


def test_the_same_notebook_passes(book):
    answer = json.dumps(NOTEBOOK, indent=3).encode()
    assert list(problems(book / "html", book, lambda address: answer)) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (json.dumps({**NOTEBOOK, "cells": [1]}), "is not this commit's chapters/04.ipynb"),
        ("<html>404</html>", "Expecting value"),
        ("{}", "parses, but is not a notebook"),
    ],
)
def test_another_answer_is_a_problem(book, answer, message):
    (found,) = problems(book / "html", book, lambda address: answer.encode())
    assert message in found


def test_an_unreachable_link_is_a_problem(book):
    def refuse(address):
        raise OSError("HTTP Error 404")

    (found,) = problems(book / "html", book, refuse)
    assert "HTTP Error 404" in found


def test_no_link_at_all_is_a_problem(tmp_path):
    (found,) = problems(tmp_path, tmp_path, lambda address: b"{}")
    assert "no page has a Colab link" in found


def test_other_addresses_are_refused():
    with pytest.raises(ValueError, match="expected .*/github/OWNER/NAME/blob/BRANCH/PATH"):
        raw_address("https://colab.research.google.com/drive/1")

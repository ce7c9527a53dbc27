"""The longest match is found wherever it is, as looking at every place finds it."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused
from underglass.generation import Match, TextIndex

TEXTS = [[3, 1, 4, 1, 5, 9, 2, 6], [5, 3, 5, 8], [], [9, 7, 9, 3, 1, 4, 1]]
text = st.lists(st.integers(0, 3), max_size=12)  # few tokens, so that much repeats


def slow(texts: list[list[int]], ids: list[int], start: int) -> int:
    """How far the tokens from `start` on also stand somewhere: every place is tried."""
    runs = [
        next((n for n in range(99) if other[at : at + n + 1] != ids[start : start + n + 1]), 99)
        if start + len(other) - at > 0
        else 0
        for other in texts
        for at in range(len(other))
    ]
    return max([min(run, len(ids) - start) for run in runs], default=0)


def shared(texts: list[list[int]], ids: list[int], found: Match) -> bool:
    """Whether the match is where it says."""
    theirs = texts[found.text][found.place : found.place + found.length]
    return theirs == ids[found.start : found.start + found.length]


@given(st.lists(text, min_size=1, max_size=4), text)
@settings(max_examples=100, deadline=None)
def test_matches_are_as_long_as_trying_every_place_finds(texts, ids):
    if not any(texts):
        return
    index = TextIndex(texts)
    expected = [slow(texts, ids, start) for start in range(len(ids))]
    matches = [index.match(ids[start:]) for start in range(len(ids))]
    assert [found.length for found in matches] == expected
    assert all(shared(texts, ids[start:], found) for start, found in enumerate(matches))
    longest = index.longest(ids)
    assert longest.length == max(expected, default=0)
    assert shared(texts, ids, longest)
    if longest.length:
        assert longest.start == expected.index(longest.length)  # the first of equally long ones


def test_no_match_reaches_from_one_text_into_the_next():
    index = TextIndex(TEXTS)
    assert index.longest([2, 6, 5, 3]) == Match(2, 0, 0, 6)
    assert index.longest([0, 0, 9, 3, 1, 4, 1, 8]) == Match(5, 2, 3, 2)
    assert index.longest([0, 0]).length == 0
    assert index.longest([]).length == 0


def test_tensors_and_lists_give_the_same():
    rows = [torch.tensor(row, dtype=torch.int32) for row in TEXTS if row]
    index = TextIndex(rows)
    assert index.longest(torch.tensor([8, 9, 3, 1])) == index.longest([8, 9, 3, 1])
    assert index.longest([8, 9, 3, 1]) == Match(3, 1, 2, 2)


def test_depth_is_the_longest_match_that_is_told():
    same = [1, 2] * 40
    assert TextIndex([same], depth=16).match(same).length == 16
    assert TextIndex([same]).match(same).length == 80
    assert TextIndex([same, [1, 2, 1, 3]], depth=1).match([1, 2, 1, 3]).length == 1


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([[1]], dict(depth=0), "depth=0: expected at least 1"),
        ([], {}, "texts have no token: expected at least one"),
        ([[]], {}, "texts have no token"),
        ([[1], [2, -1]], {}, r"texts\[1\] holds -1: expected token ids of at least 0"),
        ([torch.ones(2, 2, dtype=torch.int64)], {}, r"texts\[0\] has shape \(2, 2\)"),
    ],
)
def test_values_out_of_range(texts: Any, options: dict[str, int], message: str):
    with refused(ValueError, message):
        TextIndex(texts, **options)


def test_types_that_cannot_be():
    with refused(TypeError, r"texts\[0\] holds torch.float32: expected whole numbers"):
        TextIndex([[0.5]])  # pyright: ignore[reportArgumentType]
    index = TextIndex([[1, 2]])
    with refused(TypeError, "ids holds torch.float32: expected whole numbers"):
        index.longest([0.5])  # pyright: ignore[reportArgumentType]
    with refused(ValueError, "ids holds -2: expected token ids"):
        index.match([-2])

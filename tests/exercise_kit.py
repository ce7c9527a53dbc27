"""The test that every exercise of every chapter takes: its stub, its solution, typical mistakes."""

import contextlib
import io
import random
import re
from collections.abc import Callable, Mapping

import numpy as np
import torch


def said(check: Callable[[object], None], answer: object) -> str:
    """What `check` prints about an answer: always one line."""
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard):
        check(answer)
    lines = heard.getvalue().splitlines()
    assert len(lines) == 1, f"a check prints one line, not {lines}"
    return lines[0]


def assert_exercise(
    check: Callable[[object], None],
    *,
    stub: object,
    solution: object,
    mistakes: Mapping[str, tuple[object, str]],
) -> None:
    """Assert that `check` knows the stub, passes the solution, and names each mistake.

    Args:
        mistakes: name -> (a wrong answer, a regular expression that its message must match).
    """
    assert len(mistakes) >= 2, f"an exercise is tested on two typical mistakes, not {len(mistakes)}"
    for unwritten in (stub, ..., None):
        line = said(check, unwritten)
        assert line.startswith("Not yet: "), f"the stub {unwritten!r} got: {line}"

    before = _random_state()
    line = said(check, solution)
    assert line.startswith("Correct: "), f"the solution got: {line}"
    assert said(check, solution) == line, "the line of success differs from run to run"
    assert _random_state() == before, "the check changes the global random state"

    messages = {}
    for name, (wrong, expected) in mistakes.items():
        messages[name] = said(check, wrong)
        assert messages[name].startswith("Not quite: "), f"{name!r} got: {messages[name]}"
        assert re.search(expected, messages[name]), f"{name!r} got: {messages[name]}"
    sentences = {message.partition(" (Seen with ")[0] for message in messages.values()}
    assert len(sentences) == len(mistakes), f"two mistakes get the same message: {messages}"


def _random_state() -> tuple[object, ...]:
    numpy = np.random.get_state(legacy=True)  # noqa: NPY002 - the global one is what must not move
    return (torch.get_rng_state().tolist(), random.getstate(), str(numpy))

'''What the checks of every chapter are written with.

An exercise is a function of the reader's attempt. It calls the attempt on small cases, compares,
and returns the sentence that follows "Correct: ":

    from underglass.checks.core import Attempt, compare, exercise, require

    @exercise
    def softmax(attempt: Attempt) -> str:
        """Write softmax over the last axis."""
        x = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, 0.0]])
        rows, columns = x.softmax(-1), x.softmax(-2)
        compare(attempt(x), rows, mistakes={
            "your columns sum to 1, not your rows: the softmax runs over dim=-1": columns,
            "nothing is divided by its row's sum": x.exp(),
            "some weights are negative": lambda got: (got < 0).any(),
        })
        require(attempt(x + 1000).isfinite().all(), "large scores overflow: subtract the maximum")
        return "every row sums to 1, and large scores do not overflow."

The reader runs `checks.<chapter>.softmax(my_softmax)`; it prints one line and raises nothing:

    Not yet: ...     a stub: returns None or `...`, raises NotImplementedError, trips on a `...`
    Not quite: ...   the first mistake that fits, or the first of shape, dtype, values that is off,
                     or the reader's own exception and its line; then the call that showed it
    Correct: ...     the sentence that the check returned

A mistake is a sentence (lower case; the full stop is added) with either the *value* that it leads
to, or a *predicate* of the reader's result (asked of wrong ones only; raising means "no").
Where the result is a tuple, so are `expected` and the mistakes' values; `...` stands for "any".
An exercise that asks for a value uses `attempt.value`; one that asks for a module calls
`module = attempt(...)`, then `attempt.call(module, x)`. Cases are written out, or drawn from a
generator of the check's own. `tests/exercise_kit.py` tests an exercise in one call.
'''

import contextlib
import functools
import random
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from underglass.checks.comparing import ATOL, RTOL, describe, difference, fits, same


class _NotYet(Exception):
    """The attempt is still a stub."""


class _NotQuite(Exception):
    """The attempt is off, in the words that the reader sees."""


class Attempt:
    """What the reader handed in; called, it runs their function and looks after the result."""

    def __init__(self, value: object, *, may_change: bool = False) -> None:
        self._value = value
        self._may_change = may_change
        self.last_call = ""

    @property
    def value(self) -> Any:
        """The answer itself, for an exercise that asks for a number, a tensor or a word."""
        _refuse_stub(self._value, "the answer")
        return self._value

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Run the reader's function; a stub or an exception ends the check with its line."""
        if not callable(self.value):
            raise _NotQuite(
                f"this check takes your function itself, without parentheses after its name; "
                f"it got {describe(self._value)}"
            )
        return self.call(self.value, *args, **kwargs)

    def call(self, function: Callable[..., object], *args: object, **kwargs: object) -> Any:
        """Run something that the reader's code returned: a module, a method of it."""
        name = getattr(function, "__name__", type(function).__name__)
        shown = [describe(a) for a in args] + [f"{k}={describe(a)}" for k, a in kwargs.items()]
        self.last_call = f"{name}({', '.join(shown)})"
        tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
        before = [t.detach().clone() for t in tensors]
        try:
            result = function(*args, **kwargs)
        except NotImplementedError as error:
            raise _NotYet(f"{name} is still to be written") from error
        except Exception as error:
            raise _explain(error, function, name) from error
        _refuse_stub(result, f"what {name} returns")
        if not self._may_change:
            for old, new in zip(before, tensors, strict=True):
                if not same(new, old):
                    raise _NotQuite(f"{name} changes its argument in place: work on a copy")
        return result


def exercise(
    check: Callable[[Attempt], str] | None = None,
    *,
    gradients: bool = False,
    may_change: bool = False,
) -> Any:
    """Turn a function of an `Attempt` into a check that prints one line and raises nothing.

    Args:
        gradients: let the attempt build graphs and call `backward`; off, it runs without autograd,
            so that no `.grad` of the reader's is touched.
        may_change: the attempt's task is to change its arguments in place (an optimizer's step).
    """
    if check is None:
        return functools.partial(exercise, gradients=gradients, may_change=may_change)

    @functools.wraps(check)
    def run(answer: object) -> None:
        attempt = Attempt(answer, may_change=may_change)
        with _own_randomness(), torch.set_grad_enabled(gradients):
            try:
                line = f"Correct: {_sentence(check(attempt))}"
            except _NotYet as stop:
                line = f"Not yet: {_sentence(stop)} Fill it in, then run this cell again."
            except _NotQuite as stop:
                called = f" (Seen with {attempt.last_call}.)" if attempt.last_call else ""
                line = f"Not quite: {_sentence(stop)}{called}"
        print(line)

    return run


def require(condition: object, message: str) -> None:
    """End the check with "Not quite: message" unless the condition holds."""
    if not condition:
        raise _NotQuite(message)


def compare(
    got: object,
    expected: object,
    mistakes: Mapping[str, object] | None = None,
    *,
    what: str | tuple[str, ...] = "result",
    rtol: float = RTOL,
    atol: float = ATOL,
) -> None:
    """End the check, naming the mistake that fits or else what is off first, unless got = expected.

    Args:
        mistakes: sentence -> the value it leads to, or a predicate of the result.
        what: the result's name in the message; for a tuple, one name for each part.
    """
    _refuse_stub(got, what if isinstance(what, str) else " and ".join(what))
    off = difference(got, expected, what, rtol, atol)
    if off is None:
        return
    for sentence, mistake in (mistakes or {}).items():
        if fits(got, mistake, rtol, atol):
            raise _NotQuite(sentence)
    raise _NotQuite(off)


def _sentence(text: object) -> str:
    return f"{str(text).rstrip('.')}."


def _refuse_stub(value: object, what: str) -> None:
    parts = value if isinstance(value, tuple | list) else [value]
    for part in parts:
        if part is None or part is ...:
            raise _NotYet(f"{what} is still {'None' if part is None else '`...`'}")


def _explain(error: Exception, function: object, name: str) -> _NotYet | _NotQuite:
    """One line about an exception in the reader's code: where, which, and its own first line."""
    code = getattr(getattr(function, "forward", function), "__code__", None)
    if isinstance(function, type):
        code = getattr(function.__init__, "__code__", None)
    steps = traceback.extract_tb(error.__traceback__)
    own = [step for step in steps if code is not None and step.filename == code.co_filename]
    where = f" in line {own[-1].lineno} (`{own[-1].line}`)" if own else ""
    message = (str(error).strip() or "no message").splitlines()[0][:200]
    if "ellipsis" in message:
        return _NotYet(f"{name} still has a `...`{where}")
    return _NotQuite(f"{name} raised {type(error).__name__}{where}: {message}")


@contextlib.contextmanager
def _own_randomness() -> Iterator[None]:
    """Run from one seed, and hand every global generator back as it was."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the reader's global one
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002

"""The machinery of the checks, on an example exercise: softmax over the last axis."""

import random

import numpy as np
import pytest
import torch
from exercise_kit import assert_exercise, said
from torch import nn
from underglass.checks.core import Attempt, compare, exercise, require


@exercise
def softmax(attempt: Attempt) -> str:
    """Write softmax over the last axis."""
    x = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, 0.0]])
    rows, columns = x.softmax(-1), x.softmax(-2)
    compare(
        attempt(x),
        rows,
        mistakes={
            "your columns sum to 1, not your rows: the softmax runs over dim=-2": columns,
            "nothing is divided by its row's sum": x.exp(),
            "some weights are negative": lambda got: (got < 0).any(),
        },
    )
    require(attempt(x + 1000).isfinite().all(), "large scores overflow: subtract the maximum first")
    return "every row sums to 1, and large scores do not overflow"


def stub(x):
    # your code here
    return ...


def solution(x):
    powers = (x - x.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


MISTAKES = {
    "wrong axis": (lambda x: x.softmax(-2), "your columns sum to 1, not your rows"),
    "no sum": (lambda x: x.exp(), "nothing is divided by its row's sum"),
    "logarithm": (lambda x: x.log_softmax(-1), "some weights are negative"),
    "overflow": (
        lambda x: x.exp() / x.exp().sum(-1, keepdim=True),
        r"large scores overflow.*\(Seen with <lambda>\(\[\[1000, 1001, 1002\], \[1003, 1003, 1000",
    ),
}


def test_example_exercise():
    assert_exercise(softmax, stub=stub, solution=solution, mistakes=MISTAKES)


def test_lines_are_these():
    assert said(softmax, solution) == (
        "Correct: every row sums to 1, and large scores do not overflow."
    )
    assert said(softmax, stub) == (
        "Not yet: what stub returns is still `...`. Fill it in, then run this cell again."
    )
    assert said(softmax, lambda x: x.exp()) == (
        "Not quite: nothing is divided by its row's sum. "
        "(Seen with <lambda>([[0, 1, 2], [3, 3, 0]]).)"
    )


def test_check_keeps_its_name_and_text():
    assert (softmax.__name__, softmax.__doc__) == ("softmax", "Write softmax over the last axis.")


@pytest.mark.parametrize("kit_fault", ["stub", "solution", "mistake", "same message", "too few"])
def test_kit_fails_where_it_must(kit_fault):
    arguments = {"stub": stub, "solution": solution, "mistakes": dict(MISTAKES)}
    if kit_fault == "stub":
        arguments["stub"] = solution
    elif kit_fault == "solution":
        arguments["solution"] = stub
    elif kit_fault == "mistake":
        arguments["mistakes"]["wrong axis"] = (solution, "")
    elif kit_fault == "same message":
        arguments["mistakes"]["no sum"] = MISTAKES["wrong axis"]
    else:
        arguments["mistakes"] = {"wrong axis": MISTAKES["wrong axis"]}
    with pytest.raises(AssertionError):
        assert_exercise(softmax, **arguments)


def raises_not_implemented(x):
    raise NotImplementedError


def trips_on_ellipsis(x):
    powers = ...
    return powers / powers.sum()  # pyright: ignore


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (None, "Not yet: the answer is still None."),
        (lambda x: None, "Not yet: what <lambda> returns is still None."),
        (lambda x: (x, ...), "Not yet: what <lambda> returns is still `...`."),
        (raises_not_implemented, "Not yet: raises_not_implemented is still to be written."),
        (trips_on_ellipsis, "Not yet: trips_on_ellipsis still has a `...` in line "),
    ],
)
def test_every_kind_of_stub(answer, line):
    assert said(softmax, answer).startswith(line)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda x: [1.0], "result: expected a tensor, got [1.0]"),
        (lambda x: x.numpy(), "result: expected a tensor, got a ndarray"),
        (lambda x: x.softmax(-1)[0], "result: expected shape (2, 3), got (3,)"),
        (lambda x: x.softmax(-1).double(), "result: expected dtype float32, got float64"),
        (lambda x: x.softmax(-1).to("meta"), "result: expected on cpu, got on meta"),
        (
            lambda x: x.softmax(-1) + torch.tensor([[0, 0, 0.1], [0, 0.2, 0]]),
            "result: 2 of 6 values are off, most at [1, 1]: expected 0.4879, got 0.6879",
        ),
        (
            lambda x: (x.softmax(-1) + 0.1).where(x != 1, torch.nan),
            "result: 6 of 6 values are off, most at [0, 1]: expected 0.2447, got nan",
        ),
        (torch.tensor([1.0]), "this check takes your function itself, without parentheses"),
        (0.25, "this check takes your function itself, without parentheses"),
    ],
)
def test_first_thing_that_is_off(answer, line):
    assert said(softmax, answer).startswith(f"Not quite: {line}")


def broken(x):
    half = x / 2
    return half.view(7, -1)


def test_exception_is_told_in_one_line_with_its_place():
    at = broken.__code__.co_firstlineno + 2
    assert said(softmax, broken) == (
        f"Not quite: broken raised RuntimeError in line {at} (`return half.view(7, -1)`): "
        "shape '[7, -1]' is invalid for input of size 6. "
        "(Seen with broken([[0, 1, 2], [3, 3, 0]]).)"
    )


def test_wrong_number_of_arguments():
    assert "takes 0 positional arguments but 1 was given" in said(softmax, lambda: 3)


def test_exception_of_the_check_itself_is_not_hidden():
    @exercise
    def faulty(attempt):
        return str(1 / 0)

    with pytest.raises(ZeroDivisionError):
        faulty(solution)


def test_predicate_that_cannot_read_the_result_says_no():
    @exercise
    def faulty(attempt):
        compare(attempt(), torch.zeros(2), mistakes={"never": lambda got: got[5] == 0})
        return "fine"

    assert said(faulty, lambda: torch.ones(2)).startswith("Not quite: result: 2 of 2 values")


@exercise
def both(attempt: Attempt) -> str:
    expected = torch.tensor([1.0, 2.0]), torch.tensor([True, False])
    compare(
        attempt(),
        expected,
        what=("output", "mask"),
        mistakes={"the mask is upside down": (..., ~expected[1])},
    )
    return "both parts are right"


@pytest.mark.parametrize(
    ("result", "line"),
    [
        ((torch.tensor([1.0, 2.0]), torch.tensor([True, False])), "Correct: both parts are right."),
        ((torch.zeros(2), torch.tensor([False, True])), "Not quite: the mask is upside down."),
        (torch.zeros(2), "Not quite: expected 2 results (output, mask), got [0, 0]"),
        ((torch.zeros(2),), "Not quite: expected 2 results (output, mask), got 1 value"),
        (
            (torch.tensor([1.0, 2.0]), torch.tensor([True, True])),
            "Not quite: mask: 1 of 2 values are off, most at [1]: expected False, got True",
        ),
        (
            (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0])),
            "Not quite: mask: expected dtype bool, got float32",
        ),
    ],
)
def test_several_results(result, line):
    assert said(both, lambda: result).startswith(line)


@pytest.mark.parametrize(
    ("expected", "right", "wrong", "line"),
    [
        (42, 42.0, 41, "result: expected 42, got 41"),
        (0.5, torch.tensor(0.5), "half", "result: expected 0.5, got 'half'"),
        (True, True, 1, "result: expected True, got 1"),
        (["[CLS]", "a"], ["[CLS]", "a"], ["a"], "result: expected ['[CLS]', 'a'], got ['a']"),
        (torch.tensor(2), torch.tensor(2), torch.tensor(3), "result: expected 2, got 3"),
        (torch.tensor(1j), torch.tensor(1j), torch.tensor(2j), "result: expected 1j, got 2j"),
    ],
)
def test_values_instead_of_functions(expected, right, wrong, line):
    @exercise
    def value(attempt):
        compare(attempt.value, expected)
        return "that is it"

    assert said(value, right) == "Correct: that is it."
    assert said(value, wrong) == f"Not quite: {line}."


def test_modules_are_made_and_called():
    @exercise
    def layer(attempt):
        module = attempt(3)
        compare(attempt.call(module, torch.ones(2, 3)), torch.full((2, 3), 2.0))
        return "it doubles"

    class Unwritten(nn.Module):
        def __init__(self, d_model):
            super().__init__()

        def forward(self, x): ...

    class Double(Unwritten):
        def forward(self, x):
            return 2 * x

    class Broken(Unwritten):
        def forward(self, x):
            return x.nothing

    assert said(layer, Unwritten).startswith("Not yet: what Unwritten returns is still None.")
    assert said(layer, Double) == "Correct: it doubles."
    assert "Broken raised AttributeError in line" in said(layer, Broken)
    assert "(`return x.nothing`)" in said(layer, Broken)


def test_changed_argument_is_told():
    assert said(softmax, lambda x: x.exp_().softmax(-1)).startswith(
        "Not quite: <lambda> changes its argument in place: work on a copy."
    )

    @exercise(may_change=True)
    def step(attempt):
        x = torch.ones(2)
        attempt(x)
        compare(x, torch.zeros(2))
        return "the step is taken"

    assert said(step, lambda x: x.zero_()) == "Correct: the step is taken."


def test_reader_keeps_gradients_and_random_state():
    weight = torch.ones(3, requires_grad=True)
    weight.grad = torch.full((3,), 5.0)

    def curious(x):
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)
        result = (x * weight).softmax(-1)
        assert not result.requires_grad  # no graph is built, so nothing can flow back
        return result

    def draw():
        return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002

    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    random.seed(7)
    undisturbed = draw()
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    random.seed(7)
    assert said(softmax, curious).startswith("Correct")
    assert draw() == undisturbed
    assert weight.grad.tolist() == [5.0] * 3
    assert torch.is_grad_enabled()


def test_gradients_where_the_exercise_needs_them():
    @exercise(gradients=True)
    def slope(attempt):
        x = torch.tensor([3.0], requires_grad=True)
        (got,) = torch.autograd.grad(attempt(x).sum(), x)
        compare(got, torch.tensor([6.0]), what="gradient")
        return "the slope is 2x"

    with torch.no_grad():
        assert said(slope, lambda x: x**2) == "Correct: the slope is 2x."
        assert said(slope, lambda x: x**3).startswith("Not quite: gradient: 1 of 1 values are off")


def test_reader_with_chance_gets_the_same_numbers_every_time():
    assert said(softmax, lambda x: torch.rand(2, 3)) == said(softmax, lambda x: torch.rand(2, 3))

"""Widgets on one page do not change each other's looks.

Each brings the shared style sheet with its own, so that it also stands after the own sheets of all
that came before: what a widget says of a button or a table has to outweigh it.
"""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from underglass import widgets
from underglass.models.gpt import GPT, GPTConfig
from underglass.models.residual import trace
from underglass.quiz import Choice, Question, Quiz
from underglass.widgets.frame import Widget

HISTORY = {"step": [1, 2, 3], "loss": [3.0, 2.0, 1.5], "rate": [0.1, 0.1, 0.1]}
SECOND = {"step": [1, 2, 3], "loss": [3.1, 2.2, 1.4]}
PAIRS = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
WEIGHTS = torch.full((2, 2, 3, 3), 1 / 3)
TOKENS = ["a", "b", "c"]
CELL = {"method": "full", "rate": 0.1, "amount": 50, "seed": 0}
TUNED = SimpleNamespace(settings=CELL, history=HISTORY, outcome={"accuracy": 0.5})
QUESTION = Question("Why?", [Choice("So", "Yes.", correct=True), Choice("No", "No.")])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


MAKERS: dict[str, Callable[[], Widget]] = {
    "AttentionSteps": lambda: widgets.AttentionSteps(PAIRS[0], PAIRS, PAIRS, tokens=TOKENS),
    "AttentionView": lambda: widgets.AttentionView(WEIGHTS, TOKENS),
    "ContrastiveMap": lambda: widgets.ContrastiveMap((PAIRS, PAIRS)),
    "FineTuneExplorer": lambda: widgets.FineTuneExplorer([TUNED]),
    "LiveBERT": lambda: widgets.LiveBERT(),
    "LiveGPT": lambda: widgets.LiveGPT(),
    "LoRAView": lambda: widgets.LoRAView({"query": (PAIRS, 2 * PAIRS, PAIRS[:, :1] @ PAIRS[:1])}),
    "ErrorBrowser": lambda: widgets.ErrorBrowser(
        [{"text": "Not bad.", "label": 1, "probability": 0.2, "slices": ["negation"]}]
    ),
    "LossExplorer": lambda: widgets.LossExplorer([1.0, 0.0, -1.0], 0),
    "OptimizerRace": lambda: widgets.OptimizerRace(),
    "PositionView": lambda: widgets.PositionView(),
    "Quiz": lambda: Quiz([QUESTION]),
    "RateFinder": lambda: widgets.RateFinder({"SGD": {0.1: [HISTORY], 1.0: [SECOND]}}),
    "ResidualView": lambda: widgets.ResidualView(
        trace(GPT(GPTConfig(5, 4, 6, 1, 2, 3), generator=seeded()), torch.tensor([[0, 1, 2]])),
        list("abcde"),
    ),
    "TrainingCurves": lambda: widgets.TrainingCurves({"one": [HISTORY, SECOND], "two": SECOND}),
}
LOOKS = """() => [...document.querySelector(".ug").querySelectorAll("*")].map((element) => {
  const style = getComputedStyle(element);
  const names = ["color", "backgroundColor", "borderTop", "borderRight", "padding", "margin",
    "display", "fontSize", "fontWeight", "textAlign", "minHeight", "fill"];
  return [element.tagName, element.getAttribute("class"), ...names.map((name) => style[name])];
})"""


def test_every_widget_is_here():
    others = {name for name in widgets.__all__ if name[0].isupper()} - {"Surface"}
    assert MAKERS.keys() - {"Quiz"} == others


@pytest.mark.browser
@pytest.mark.parametrize("name", MAKERS)
def test_a_widget_looks_the_same_with_others_after_it(show, name):
    steps = widgets.AttentionSteps(PAIRS[0], PAIRS, PAIRS)
    alone = show(MAKERS[name]()).evaluate(LOOKS)
    among = show(MAKERS[name](), Quiz([QUESTION]), steps).evaluate(LOOKS)
    assert len(alone) > 20
    assert [(a, b) for a, b in zip(alone, among, strict=True) if a != b] == []

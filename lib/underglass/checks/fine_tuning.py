"""Checks of chapter 09's exercises."""

from typing import Any

import torch
from torch import Tensor

from underglass.checks.core import Attempt, compare, exercise, require


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@exercise
def repeated(attempt: Attempt) -> str:
    """(training, test), lists of texts -> those of training that are also in test, as a list.

    Case, punctuation and white space make no difference.
    """
    training = ["A dull film.", "I LIKED it!", "A  dull film", "Quite long.", "i liked it"]
    training += ["Bravo!", "Go  see it."]
    test = ["a dull film", "So so.", "I liked it!", "Bravo!", "Go see it!"]
    right = [text for text in training if text != "Quite long."]
    compare(
        _listed(attempt(training, test)),
        right,
        mistakes={
            "only exact copies are found: ignore case, punctuation and white space": ["Bravo!"],
            "case still makes a difference": ["Bravo!", "Go  see it."],
            "punctuation still makes a difference": ["I LIKED it!", "Bravo!"],
            "white space still makes a difference: compare the words": (
                ["A dull film.", "I LIKED it!", "i liked it", "Bravo!"]
            ),
            "these are the texts of the test part; those of the training part have to go": (
                ["a dull film", "I liked it!", "Bravo!", "Go see it!"]
            ),
            "these are the ones that may stay": ["Quite long."],
            "return the texts as they were, not what you compared": (
                lambda got: len(got) == len(right) and not set(got) <= set(training)
            ),
        },
        what="repeated texts",
    )
    require(
        not _listed(attempt(["A filmic dullness"], ["film"])),
        "a text that only contains the letters of another does not repeat it",
    )
    return "what the test part knows is out of the training part, and not the other way round."


def _listed(value: Any) -> Any:
    """A set or a tuple is as good as a list; order counts only where there is one."""
    return list(value) if isinstance(value, tuple) else value


@exercise
def lora_numbers(attempt: Attempt) -> str:
    """(shapes [(d_out, d_in), ...], rank) -> how many numbers LoRA trains in these matrices."""
    shapes, rank = [(384, 384), (1536, 384), (384, 512)], 8
    each = [d_out + d_in for d_out, d_in in shapes]
    compare(
        attempt(shapes, rank),
        rank * sum(each),
        mistakes={
            "this is the number of weights themselves, which stay frozen": (
                sum(d_out * d_in for d_out, d_in in shapes)
            ),
            "rank x d_out x d_in is more than the matrix has: the factors stand side by side": (
                rank * sum(d_out * d_in for d_out, d_in in shapes)
            ),
            "A alone is counted: B is trained too": rank * sum(d_in for _, d_in in shapes),
            "B alone is counted: A is trained too": rank * sum(d_out for d_out, _ in shapes),
            "every matrix has an A and a B of its own": rank * each[0],
            "A [rank d_in] has rank rows: multiply by the rank": sum(each),
            "there is no square matrix between A and B": rank * sum(each) + len(shapes) * rank**2,
        },
        what="trained numbers",
    )
    return "rank times (d_out + d_in), for every matrix."


@exercise
def lora_forward(attempt: Attempt) -> str:
    """(x, W, A, B, alpha) -> W x + (alpha / r) B A x, for rows x [n d_in]."""
    x, W, A, B = _random(3, 5), _random(4, 5, seed=1), _random(2, 5, seed=2), _random(4, 2, seed=3)
    alpha = 6.0
    frozen, low = x @ W.T, x @ A.T @ B.T
    compare(
        attempt(x, W, A, B, alpha),
        frozen + 3 * low,
        mistakes={
            "alpha is not divided by the rank": frozen + 6 * low,
            "there is no factor: alpha / r scales B A": frozen + low,
            "the factor is upside down: alpha / r, not r / alpha": frozen + low / 3,
            "W x is missing: LoRA adds to what the layer computes": 3 * low,
            "the rank is the number of rows of A, not of columns": frozen + 6 / 5 * low,
            "the factor scales W x too; it belongs to B A x alone": 3 * (frozen + low),
            "nothing of A and B is in it": frozen,
        },
        what="output",
    )
    return "what the frozen layer computes, plus a small path beside it."


@exercise
def layer_rates(attempt: Attempt) -> str:
    """(rate, factor, num_blocks) -> rates of tables, blocks from bottom to top, and head."""
    rate, factor, blocks = 0.1, 0.5, 3
    right = tuple(rate * factor**k for k in (4, 3, 2, 1, 0))
    compare(
        _numbers(attempt(rate, factor, blocks)),
        right,
        mistakes={
            "the head comes last and has the highest rate: turn the list round": (right[::-1]),
            "one is missing: tables, blocks and head are blocks + 2 rates": (
                lambda got: len(got) == blocks + 1
            ),
            "the tables and the head have rates too": lambda got: len(got) == blocks,
            "the head gets the rate itself: it is a factor too low": (
                tuple(rate * factor**k for k in (5, 4, 3, 2, 1))
            ),
            "the rates fall by the same amount: each is the one above times the factor": (_even),
            "the factor grows the rates downwards: it multiplies, it does not divide": (
                tuple(rate / factor**k for k in (4, 3, 2, 1, 0))
            ),
        },
        what="rates",
    )
    return "the lower, the slower, by the same factor from layer to layer."


def _numbers(value: Any) -> Any:
    """The numbers of a tensor or a list as a tuple."""
    if isinstance(value, Tensor):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value


def _even(got: tuple[float, ...]) -> bool:
    steps = [b - a for a, b in zip(got, got[1:], strict=False)]
    return len(got) == 5 and max(steps) - min(steps) < 1e-9


@exercise
def halving(attempt: Attempt) -> str:
    """(trials, amount, keep) -> [(trials, amount) of each rung], until one trial is left.

    In each rung a `keep`-th of the trials goes on, with `keep` times the sentences.
    """
    right = [(27, 100), (9, 300), (3, 900), (1, 2700)]
    compare(
        _pairs(attempt(27, 100, 3)),
        right,
        mistakes={
            "the last rung, with one trial, is missing": right[:-1],
            "nobody is sent home: divide the trials by keep": (
                lambda got: [n for n, _ in got[:2]] == [27, 27]
            ),
            "the amount stays: those who go on get keep times the sentences": (
                [(27, 100), (9, 100), (3, 100), (1, 100)]
            ),
            "each rung adds the first amount; it should be multiplied by keep": (
                [(27, 100), (9, 200), (3, 300), (1, 400)]
            ),
            "the first rung has all trials": right[1:],
            "this halves, and keep was 3": lambda got: [n for n, _ in got[:2]] == [27, 13],
            "it goes on after one trial is left": lambda got: len(got) > 4,
        },
        what="rungs",
    )
    require(
        _pairs(attempt(8, 50, 2)) == [(8, 50), (4, 100), (2, 200), (1, 400)],
        "with 8 trials, 50 sentences and keep=2 it is off: is a number written out?",
    )
    return "every rung trains on as many sentences in all, and the trials get ever fewer."


def _pairs(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(x, list | tuple) for x in value):
        return [tuple(int(number) for number in pair) for pair in value]
    return value


@exercise
def temperature(attempt: Attempt) -> str:
    """(log-odds, labels, temperatures to try) -> the one with the lowest mean loss."""
    own = _random(400) * 4
    chance = torch.rand(400, generator=torch.Generator().manual_seed(1))
    labels = (chance < torch.sigmoid(own / 2.5)).long()
    tried = [1.0, 0.4, 0.25, 0.5, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0]

    def losses(scale: list[float]) -> list[float]:
        signs = 2.0 * labels - 1
        return [float(-torch.nn.functional.logsigmoid(signs * own * s).mean()) for s in scale]

    divided, times = losses([1 / t for t in tried]), losses(tried)
    sums = [float(torch.sigmoid(own / t).sum()) for t in tried]
    best = tried[divided.index(min(divided))]
    compare(
        _number(attempt(own, labels, tried)),
        best,
        mistakes={
            "the log-odds are multiplied: divide by the temperature": tried[
                times.index(min(times))
            ],
            "this is the highest loss": tried[divided.index(max(divided))],
            "this is the lowest loss itself; return the temperature that has it": min(divided),
            "accuracy cannot choose: no temperature changes a sign": tried[0],
            "this is the place in the list: return what stands there": divided.index(min(divided)),
            "the labels are not used": lambda got: got in (tried[sums.index(max(sums))], tried[-1]),
        },
        what="temperature",
    )
    return "above 1 it says: you were too sure of yourself."


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


TEXTS = (
    "It never bores.",
    "Not funny, not sad, not anything.",
    "A joy from beginning to end.",
    "Long, loud and hollow.",
    "If you liked the first one, you will like this one too, though nobody has asked for it.",
    "Charming!",
    "The plot has more holes than a sieve, but who cares?",
    "It could have been great.",
    "Great, another sequel.",
    "You will laugh, and then you will be ashamed of it.",
)


@exercise
def own_slice(attempt: Attempt) -> str:
    """text -> whether the text belongs to a slice of the reader's own; any rule is right."""
    found = []
    for text in TEXTS:
        belongs = attempt(text)
        require(
            isinstance(belongs, bool),
            "return True or False for a text (bool(...) makes one of them)",
        )
        require(
            attempt(text) == belongs, "the same text is in the slice once and once not: no chance"
        )
        found.append(belongs)
    require(any(found), f"none of {len(TEXTS)} trial sentences is in it: widen the rule")
    require(not all(found), f"all of {len(TEXTS)} trial sentences are in it: narrow the rule")
    return (
        f"{sum(found)} of {len(TEXTS)} trial sentences are in it; now see how the model does there."
    )

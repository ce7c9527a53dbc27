"""Fine-tuning as a grid to walk through: method, learning rate and amount of data, side by side.

Chapter: chapters/09_fine_tuning.ipynb
"""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

from traitlets import Bytes, Dict, Enum, Float, Int, List, Unicode, observe, validate

from underglass.widgets.fine_tune_grid import best, packed, read
from underglass.widgets.frame import Widget

COLOURS = ("accuracy", "spread", "seconds", "memory", "stored", "trained")
AT = ("best", "chosen")
MOST = 8  # cells beside one another
SAME = 1e-6  # two rates are one if they differ by less, relative to their size


class FineTuneExplorer(Widget):
    """Accuracy, costs and curves of fine-tuning, by method, learning rate and amount of data.

        FineTuneExplorer(recorded("fine_tuning_grid").runs)

    A map shows the mean over seeds in every cell of the grid, a star the best rate of each row. A
    picture below it follows each method over the amount of data, with a bar from the lowest to the
    highest seed, and says who leads at each amount. Under it stand, side by side, the loss curves
    of several cells and what each of them cost.

    The traits follow what the reader does, and can be set from Python:

        method, rate, amount: the chosen cell; a change of method moves the rate to the nearest of
            those that it was run with. A cell of the grid may be missing: then it was not run.
        compared: the cells that are kept to be compared, each (method, rate, amount), at most 8;
            without any, each method stands there at its best rate with the chosen amount. The
            chosen cell is always added.
        colour: what the map shows: "accuracy", "spread" (highest minus lowest seed), "seconds",
            "memory", "stored" or "trained"
        at: whether the curves over the amount take each method at its "best" rate or at the
            "chosen" one

    The best rate has the highest mean accuracy, of the rates at which no seed diverged. Loss curves
    are held at 60 points at most, each the mean of as many steps as that takes, as float32.

    Args:
        runs: a list of runs, each with `settings` ("method", "rate", "amount", the number of
            training sentences, and "seed"), `history` (what `TrainingCurves` takes) and `outcome`:
            "accuracy" (a share on the validation part, None if the run diverged), and, if they
            were measured, "seconds", "memory" and "stored" (bytes), and "trained" (numbers).
        method: None chooses the first.
        rate: None chooses the best, by mean accuracy.
        amount: None chooses the largest.

    Raises:
        ValueError: if a setting or an outcome is missing or out of its range, a seed occurs twice
            in a cell, columns of a history do not fit, or an option is not among what there is.
        TypeError: if something is no run, or a number is none.
    """

    files = "fine_tune_explorer"
    before = ("scales", "curves", "fine_tune_cells")

    method = Unicode().tag(sync=True)
    rate = Float().tag(sync=True)
    amount = Int().tag(sync=True)
    compared = List().tag(sync=True)
    colour = Enum(COLOURS, default_value="accuracy").tag(sync=True)
    at = Enum(AT, default_value="best").tag(sync=True)
    # names; of each cell where it is, its mean, and accuracy and costs of its seeds; their curves,
    # packed (see histories.py); how many steps became one point of a curve
    _methods = List(Unicode()).tag(sync=True)
    _cells = List(Dict()).tag(sync=True)
    _curves = Bytes().tag(sync=True)
    _apart = Int(1).tag(sync=True)

    def __init__(
        self,
        runs: Any,
        *,
        method: str | None = None,
        rate: float | int | None = None,
        amount: int | None = None,
        compared: Sequence[Sequence[Any]] = (),
        colour: str = "accuracy",
        at: str = "best",
    ) -> None:
        self._read = read(runs)
        self._rates: dict[str, list[float]] = {}
        for own, other, _ in self._read:
            self._rates.setdefault(own, []).append(other)
        self._rates = {own: sorted({*rates}) for own, rates in self._rates.items()}
        self._amounts = sorted({of for _, _, of in self._read})
        _check_among("colour", colour, COLOURS)
        _check_among("at", at, AT)
        method = next(iter(self._rates)) if method is None else self._known_method(method)
        amount = self._amounts[-1] if amount is None else self._known_amount(amount)
        if rate is None:
            rate = best(self._read, method, amount) or self._rates[method][0]
        super().__init__(
            method=method,
            rate=_known(rate, method, self._rates[method]),
            amount=amount,
            compared=self._known_cells(compared),
            colour=colour,
            at=at,
            **packed(self._read),
        )

    def best(self, method: str, amount: int) -> float | None:
        """The rate of the highest mean accuracy with so many sentences.

        None if the method was not run with them, or a seed diverged at every rate.
        """
        return best(self._read, self._known_method(method), self._known_amount(amount))

    @observe("method")
    def _nearest_rate(self, change: dict) -> None:
        rates = self._rates[change["new"]]
        if self.rate not in rates:
            self.rate = min(rates, key=lambda known: abs(math.log(known / self.rate)))

    @validate("method")
    def _valid_method(self, proposal: dict) -> str:
        return self._known_method(proposal["value"])

    @validate("rate")
    def _valid_rate(self, proposal: dict) -> float:
        return _known(proposal["value"], self.method, self._rates[self.method])

    @validate("amount")
    def _valid_amount(self, proposal: dict) -> int:
        return self._known_amount(proposal["value"])

    @validate("compared")
    def _valid_compared(self, proposal: dict) -> list[list]:
        return self._known_cells(proposal["value"])

    def _known_method(self, method: str) -> str:
        return _check_among("method", method, list(self._rates))

    def _known_amount(self, amount: int) -> int:
        return _check_among("amount", amount, self._amounts)

    def _known_cells(self, cells: Sequence[Any]) -> list[list]:
        """The cells as lists, each once, with the rates as the grid has them."""
        if len(cells) > MOST:
            raise ValueError(f"compared has {len(cells)} cells, expected at most {MOST}")
        found = []
        for i, cell in enumerate(cells):
            if isinstance(cell, str) or not isinstance(cell, Sequence) or len(cell) != 3:
                raise ValueError(f"compared[{i}]={cell!r}, expected (method, rate, amount)")
            method, rate, amount = cell
            rate = _known(rate, self._known_method(method), self._rates[method])
            if (method, rate, amount) not in self._read:
                raise ValueError(f"compared[{i}]={cell!r}, expected a cell that was run")
            if [method, rate, amount] in found:
                raise ValueError(f"compared[{i}]={cell!r} once more, expected each cell once")
            found.append([method, rate, amount])
        return found

    def _summary(self) -> str:
        counts = [
            (len(self._rates), "method"),
            (len(self._amounts), "amount"),
            (len(self._read), "cell"),
            (sum(len(cell) for cell in self._read.values()), "run"),
        ]
        return ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts)


def _known(rate: Any, method: str, rates: list[float]) -> float:
    """The rate as the grid has it."""
    for known in rates if isinstance(rate, Real) else ():
        if math.isclose(known, rate, rel_tol=SAME):
            return known
    raise ValueError(f"rate={rate!r}, expected one of {method!r}: {rates}")


def _check_among(argument: str, value: Any, known: Sequence[Any]) -> Any:
    if value not in known:
        raise ValueError(f"{argument}={value!r}, expected one of {', '.join(map(repr, known))}")
    return value

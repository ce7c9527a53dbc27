"""The learning rate as something to drag: recorded runs of every rate, optimizer and seed.

Chapter: chapters/07_optimizers.ipynb
"""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from traitlets import Bool, Bytes, Dict, Enum, Float, List, Unicode, observe, validate

from underglass.widgets.frame import Widget
from underglass.widgets.rate_grid import best, measured, read

SMOOTHING, SMOOTHEST = 0.8, 0.99  # many noisy curves over one another cannot be read
COMPARISONS = ("rates", "optimizers")
SAME = 1e-6  # two rates are one if they differ by less, relative to their size


class RateFinder(Widget):
    """Final loss against the learning rate, and the training curve of the rate that is chosen.

        RateFinder({"AdamW": {0.001: [seed_0, seed_1], 0.004: [...]}, "SGD": {0.1: [...], ...}})

    Each run gives one final loss: its last validation loss, or, unless every run that reached the
    end has one, the mean over the last tenth of its training losses (rounded up). Over the rate
    these make a valley for each optimizer: its line is the mean over seeds, its band reaches from
    the lowest to the highest, its dots are the seeds. Too small a rate crawls, too large a one
    diverges. A rate at which a seed diverged has no mean and no place among the others.

    A run has diverged at the first step at which its loss (or a validation loss) is not finite or
    its gradient norm is infinite; or, since `training.fit` stops there, at the step after its last
    where it ends before the longest run of the grid.

    The traits follow what the reader does, and can be set from Python:

        optimizer: the name of the optimizer whose rate is chosen
        rate: the chosen rate, one of the grid's; a change of optimizer moves it to the nearest
        compare: what is drawn behind the chosen curve, "rates" (the optimizer's other rates) or
            "optimizers" (the others that are not hidden, each at its best rate)
        hidden: names of the optimizers that are not drawn; the chosen one always is
        smoothing: β of the exponential mean of the training curves, as in `TrainingCurves`; 0
            shows them as they are
        log_loss: a logarithmic axis of loss
        bottom: enlarge the lowest quarter of that axis

    Curves are held as float32 (seven digits), final losses as they are; five digits are shown.

    Args:
        grid: name of an optimizer -> rate -> a history, or a list of them, one for each seed. A
            history is what `TrainingCurves` takes: a `training.History`, or a dict of its columns.
        rate: None chooses the best, by mean final loss.

    Raises:
        ValueError: if the grid is empty somewhere, a rate is not positive and finite, columns do
            not fit together, or an option is not among what there is.
        TypeError: if something is no grid, no rate or no history.
    """

    files = "rate_finder"
    before = ("scales", "curves")

    optimizer = Unicode().tag(sync=True)
    rate = Float().tag(sync=True)
    compare = Enum(COMPARISONS, default_value="rates").tag(sync=True)
    hidden = List(Unicode()).tag(sync=True)
    smoothing = Float(SMOOTHING).tag(sync=True)
    log_loss = Bool(False).tag(sync=True)
    bottom = Bool(False).tag(sync=True)
    # name and rates of each optimizer; of each rate the final losses of its seeds (None where one
    # diverged) and the steps at which they diverged (None where not)
    _grid = List(Dict()).tag(sync=True)
    _measure = Enum(("validation", "training"), default_value="training").tag(sync=True)
    _first = Float().tag(sync=True)  # the loss that runs begin with: their median
    _curves = Bytes().tag(sync=True)  # the losses of all seeds, packed (see histories.py)

    def __init__(
        self,
        grid: Any,
        *,
        optimizer: str | None = None,
        rate: float | int | None = None,
        compare: str = "rates",
        hidden: Sequence[str] = (),
        smoothing: float | int = SMOOTHING,
        log_loss: bool = False,
        bottom: bool = False,
    ) -> None:
        runs = read(grid)
        self._rates = {name: list(rates) for name, rates in runs.items()}
        if optimizer is None:
            optimizer = next(iter(runs))
        _check_name("optimizer", optimizer, runs)
        for name in hidden:
            _check_name("hidden", name, runs)
        if compare not in COMPARISONS:
            raise ValueError(f"compare={compare!r}, expected 'rates' or 'optimizers'")
        data = measured(runs)
        self._best = {one["name"]: best(one["rates"]) for one in data["_grid"]}
        if rate is None:
            rate = self._best[optimizer] or self._rates[optimizer][0]
        super().__init__(
            optimizer=optimizer,
            rate=_known(rate, optimizer, self._rates[optimizer]),
            compare=compare,
            hidden=list(hidden),
            smoothing=_check_smoothing(smoothing),
            log_loss=log_loss,
            bottom=bottom,
            **data,
        )

    def best(self, optimizer: str) -> float | None:
        """The rate of the lowest mean final loss, or None if a seed diverged at every rate."""
        _check_name("optimizer", optimizer, self._rates)
        return self._best[optimizer]

    @observe("optimizer")
    def _nearest_rate(self, change: dict) -> None:
        rates = self._rates[change["new"]]
        if self.rate not in rates:
            self.rate = min(rates, key=lambda known: abs(math.log(known / self.rate)))

    @validate("optimizer")
    def _valid_optimizer(self, proposal: dict) -> str:
        return _check_name("optimizer", proposal["value"], self._rates)

    @validate("rate")
    def _valid_rate(self, proposal: dict) -> float:
        return _known(proposal["value"], self.optimizer, self._rates[self.optimizer])

    @validate("hidden")
    def _valid_hidden(self, proposal: dict) -> list[str]:
        return [_check_name("hidden", name, self._rates) for name in proposal["value"]]

    @validate("smoothing")
    def _valid_smoothing(self, proposal: dict) -> float:
        return _check_smoothing(proposal["value"])

    def _summary(self) -> str:
        rates = sum(len(rates) for rates in self._rates.values())
        runs = sum(len(rate["finals"]) for one in self._grid for rate in one["rates"])
        counts = [(len(self._rates), "optimizer"), (rates, "rate"), (runs, "run")]
        return ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts)


def _known(rate: Any, optimizer: str, rates: list[float]) -> float:
    """The rate as the grid has it."""
    for known in rates if isinstance(rate, Real) else ():
        if math.isclose(known, rate, rel_tol=SAME):
            return known
    raise ValueError(f"rate={rate!r}, expected one of {optimizer!r}: {rates}")


def _check_name(argument: str, name: str, known: Mapping[str, Any]) -> str:
    if name not in known:
        raise ValueError(f"{argument} names {name!r}, expected names among {list(known)}")
    return name


def _check_smoothing(smoothing: float | int) -> float:
    if not 0 <= smoothing <= SMOOTHEST:  # false for NaN too
        raise ValueError(f"smoothing={smoothing!r}, expected 0 to {SMOOTHEST}")
    return float(smoothing)

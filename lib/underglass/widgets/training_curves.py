"""The curves of training runs, laid over one another; they grow while a run is under way.

Chapters: chapters/06_losses.ipynb, chapters/07_optimizers.ipynb, chapters/08_pretraining.ipynb
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from traitlets import Bool, Bytes, Dict, Enum, Float, Int, List, Unicode, validate

from underglass.widgets.frame import Widget
from underglass.widgets.histories import LARGEST_STEP, Seed, named

LONGEST_NEW = 256  # rows that are sent again with every change; more of them become "recent"
LONGEST_RECENT = 4096  # rows sent again with every 256 new ones; more of them become "old"
PAUSE = 0.25  # seconds between two changes of a picture that grows: four a second
SMOOTHEST = 0.99


class TrainingCurves(Widget):
    """Loss, validation loss, learning rate and gradient norm of one run or several, over the step.

        TrainingCurves(history)
        TrainingCurves({"AdamW": history, "SGD": other})
        TrainingCurves({"AdamW": [seed_0, seed_1, seed_2]})     their mean, and a band around it

    While a run is under way, `update(history)` or `append(step, loss)` lets the picture grow.

    The traits follow what the reader does, and can be set from Python:

        smoothing: β of the exponential mean m_t = β m_(t-1) + (1-β) x_t, shown as m_t / (1-β^t);
            0 shows the curve as it is
        log_loss, log_step: a logarithmic axis
        band: what the band over seeds spans, "range" (lowest to highest) or "deviation" (mean plus
            and minus one standard deviation, that of a sample)
        hidden: names of the runs that are not drawn
        zoom: the first and last step drawn, or empty for all
        step: the step whose numbers are read, or None for the last

    A loss that is not finite (a run that diverged) is a gap, and the widget says where.

    Args:
        history: a `training.History`, or a dict of its columns (`step` and `loss`, and, where there
            are any, `rate`, `gradient_norm`, `validation_step`, `validation_loss`); a list of
            them; a dict from the name of a run to one, or to a list of them, one for each seed.

    Raises:
        ValueError: if columns do not fit together, steps do not increase, or an option is out of
            its range.
        TypeError: if something is no history, or holds what is no number.
    """

    files = "training_curves"
    before = ("scales", "curves")

    smoothing = Float(0.0).tag(sync=True)
    log_loss = Bool(False).tag(sync=True)
    log_step = Bool(False).tag(sync=True)
    band = Enum(("range", "deviation"), default_value="range").tag(sync=True)
    hidden = List(Unicode()).tag(sync=True)
    zoom = List(Float()).tag(sync=True)
    step = Int(None, allow_none=True).tag(sync=True)
    # All rows, packed (see histories.py). Only `_new` is sent again with every change; together
    # the three are always complete, so that a page can be drawn from the state alone.
    _runs = List(Dict()).tag(sync=True)
    _old = Bytes().tag(sync=True)
    _recent = Bytes().tag(sync=True)
    _new = Bytes().tag(sync=True)

    _waiting = False
    _sent = -PAUSE

    def __init__(
        self,
        history: Any = (),
        *,
        smoothing: float = 0.0,
        log_loss: bool = False,
        log_step: bool = False,
        band: str = "range",
        hidden: Sequence[str] = (),
        zoom: Sequence[float | int] = (),
        step: int | None = None,
    ) -> None:
        _check_band(band)
        _check_zoom(zoom)
        _check_step(step)
        self._seeds: dict[str, list[Seed]] = {}
        self._ends = {"_old": [], "_recent": []}
        self._take(named(history, "history"))
        _check_hidden(hidden, self._seeds)
        super().__init__(
            smoothing=_check_smoothing(smoothing),
            log_loss=log_loss,
            log_step=log_step,
            band=band,
            hidden=list(hidden),
            zoom=[float(x) for x in zoom],
            step=step,
        )
        self.flush()

    def update(self, history: Any) -> None:
        """Take in what a history holds beyond what is shown; anything that the constructor takes.

        A run with a new name is added. A history that does not continue what is shown (one that
        was resumed from an earlier step) is shown anew. Costs little: only new rows are read, and
        the picture changes at most four times a second.
        """
        self._take(named(history, "history"))
        self._send_soon()

    def append(
        self,
        step: int,
        loss: float | None = None,
        *,
        rate: float | None = None,
        gradient_norm: float | None = None,
        validation_loss: float | None = None,
        name: str = "run",
    ) -> None:
        """Add one step to the run called `name`: a loss, a validation loss, or both.

        Raises:
            ValueError: if neither is given, or `step` is not beyond the last.
        """
        if loss is None and validation_loss is None:
            raise ValueError("loss=None and validation_loss=None, expected at least one of them")
        seeds = self._seeds.get(name) or [Seed()]
        if len(seeds) > 1:
            raise ValueError(f"name={name!r} has {len(seeds)} seeds, expected a run of one; update")
        (seed,) = seeds
        row = {"step": step, "loss": loss, "rate": rate, "gradient_norm": gradient_norm}
        check = {"validation_step": step, "validation_loss": validation_loss}
        columns = {k: [v] for k, v in row.items() if loss is not None}
        columns |= {k: [v] for k, v in check.items() if validation_loss is not None}
        seed.append(columns)
        if name not in self._seeds:
            self._seeds[name] = [seed]
            self._anew()
        self._send_soon()

    def flush(self) -> None:
        """Send what waits for its turn now."""
        self._waiting, self._sent = False, time.monotonic()
        seeds = [seed for run in self._seeds.values() for seed in run]
        now = [seed.size() for seed in seeds]
        ends = self._ends
        with self.hold_sync():
            self._runs = [{"name": n, "seeds": len(run)} for n, run in self._seeds.items()]
            if not ends["_old"] or _between(ends["_old"], now) > LONGEST_RECENT:
                self._old, self._recent, self._new = _packed(seeds, [(0, 0)] * len(now)), b"", b""
                ends["_old"] = ends["_recent"] = now
            elif _between(ends["_recent"], now) > LONGEST_NEW:
                self._recent, self._new = _packed(seeds, ends["_old"]), b""
                ends["_recent"] = now
            else:
                self._new = _packed(seeds, ends["_recent"])

    def _take(self, runs: Mapping[str, list]) -> None:
        """Read all of `runs`, then keep it: what is refused leaves nothing behind."""
        read = {}
        for name, histories in runs.items():
            known = self._seeds.get(name, [])
            olds = known if len(known) == len(histories) else [Seed() for _ in histories]
            read[name] = [old.read(*found) for old, found in zip(olds, histories, strict=True)]
        for name, pieces in read.items():
            if [seed for seed, _ in pieces] != self._seeds.get(name):
                self._seeds[name] = [seed for seed, _ in pieces]
                self._anew()
            for seed, columns in pieces:
                seed.append(columns)

    def _anew(self) -> None:
        self._ends = {"_old": [], "_recent": []}

    def _send_soon(self) -> None:
        wait = self._sent + PAUSE - time.monotonic()
        if wait <= 0:
            self.flush()
        elif not self._waiting:
            self._waiting = True  # and whoever asks for the state meanwhile gets all of it
            try:
                asyncio.get_running_loop().call_later(wait, self._send_waiting)
            except RuntimeError:  # no notebook: nobody watches
                return

    def _send_waiting(self) -> None:
        if self._waiting:
            self.flush()

    def get_state(self, key=None, drop_defaults=False) -> dict:
        if self._waiting and key is None:
            self.flush()
        return super().get_state(key, drop_defaults)

    def _summary(self) -> str:
        steps = max((seed.size()[0] for run in self._seeds.values() for seed in run), default=0)
        runs = len(self._seeds)
        return f"{runs} run{'s' * (runs != 1)}, {steps} step{'s' * (steps != 1)}"

    @validate("smoothing")
    def _valid_smoothing(self, proposal: dict) -> float:
        return _check_smoothing(proposal["value"])

    @validate("zoom")
    def _valid_zoom(self, proposal: dict) -> list:
        return list(_check_zoom(proposal["value"]))

    @validate("step")
    def _valid_step(self, proposal: dict) -> int | None:
        return _check_step(proposal["value"])


def _between(start: list, end: list) -> int:
    return int(np.subtract(end, start).sum()) if end else 0


def _packed(seeds: list[Seed], since: list[tuple[int, int]]) -> bytes:
    return b"".join(seed.packed(i, since[i]) for i, seed in enumerate(seeds))


def _check_smoothing(smoothing: float | int) -> float:
    if not 0 <= smoothing <= SMOOTHEST:  # false for NaN too
        raise ValueError(f"smoothing={smoothing!r}, expected 0 to {SMOOTHEST}")
    return float(smoothing)


def _check_zoom(zoom: Sequence[float | int]) -> Sequence:
    if len(zoom) and not (len(zoom) == 2 and 0 <= zoom[0] < zoom[1] < np.inf):
        raise ValueError(f"zoom={list(zoom)}, expected [] or [first, last] with 0 <= first < last")
    return zoom


def _check_band(band: str) -> None:
    if band not in ("range", "deviation"):
        raise ValueError(f"band={band!r}, expected 'range' or 'deviation'")


def _check_step(step: int | None) -> int | None:
    if step is not None and not 0 <= step <= LARGEST_STEP:
        raise ValueError(f"step={step}, expected None or a whole number from 0 on")
    return step


def _check_hidden(hidden: Sequence[str], names: Mapping[str, list]) -> None:
    for name in hidden:
        if name not in names:
            raise ValueError(f"hidden names {name!r}, expected names among {list(names)}")

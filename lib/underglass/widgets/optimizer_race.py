"""A race of optimizers over a surface: drop a start, and watch where each of them goes.

The steps are those of `underglass.optimizers`, computed in the browser; the surfaces are those of
`underglass.widgets.surfaces`.
Chapter: chapters/07_optimizers.ipynb
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from traitlets import Bool, Bytes, Dict, Float, Int, List, Unicode, validate

from underglass.widgets import surfaces
from underglass.widgets.frame import Widget
from underglass.widgets.surfaces import RUNNERS, SURFACES, unit_draws

MOST_STEPS = 500  # computed and drawn anew in a few milliseconds
LARGEST_BETA = 0.999
LARGEST_RATE = 100.0  # the sliders stop earlier; from Python a reader may go and see
FACTORS = (0.1, 10.0)  # the ends of the slider that multiplies all rates


class OptimizerRace(Widget):
    """Up to seven optimizers on one surface, from one start: paths, heights, and who arrives when.

        OptimizerRace()
        OptimizerRace("saddle", start=(-2.0, 0.05), optimizers=("SGD", "Adam"))
        OptimizerRace("ravine", rates={"SGD": 0.21})     a little too fast: it diverges

    Each runner starts at the same place and sees the same slopes, noise included. Its steps are
    those of the optimizer of that name in `underglass.optimizers` ("momentum" and "Nesterov" are
    `SGD` with these options), in double precision. A runner has diverged when its height is beyond
    10⁸, and has arrived when its height stays below 0.01.

    The traits follow what the reader does, and can be set from Python:

        surface: what they run on, a name that `surface` knows
        start: where they start, [x, y], or [] for the surface's own start
        optimizers: the names of those that run
        selected: the one whose rate the slider sets, or "" for the first that runs
        rates: the rates that differ from the surface's own, by name
        factor: what all rates are multiplied by, 0.1 to 10
        betas: [β₁, β₂]: β₁ is the momentum of momentum and Nesterov, and the first beta of Adam,
            AdamW and Lion; β₂ is their second, and RMSProp's alpha
        weight_decay: the decay of all, as each of them understands it
        steps: how long a race is, 1 to 500
        step: the step that is shown, or None for the last
        playing: whether it moves on its own; it stops at the last step. Where the reader's system
            asks for less motion, it jumps there.
        log_height: a logarithmic axis for the heights

    Args:
        surface: "bowl", "ravine", "turned" (the ravine, no longer along one weight), "saddle",
            "rosenbrock" or "noisy".
        start: a place, x and y.
        optimizers: some of "SGD", "momentum", "Nesterov", "RMSProp", "Adam", "AdamW", "Lion".
        steps: how long the race is.
        rates: a rate for some of the optimizers; the others keep those that suit the surface.
        betas: β₁ and β₂, each from 0 to 0.999.
        weight_decay: at least 0; it pulls every runner toward (0, 0).
        seed: of the noise, which is drawn here, on the CPU, so that Python can draw it again: at
            step t, `surface("noisy").draws(steps, seed)[t - 1]`.
        log_height: a logarithmic axis for the heights.

    Raises:
        ValueError: if an argument is out of its range, or a name is unknown.
        TypeError: if `optimizers` is one name instead of several.
    """

    files = "optimizer_race"
    before = ("scales", "race_steps", "contours")

    surface = Unicode("ravine").tag(sync=True)
    start = List(Float()).tag(sync=True)
    optimizers = List(Unicode()).tag(sync=True)
    selected = Unicode("").tag(sync=True)
    rates = Dict().tag(sync=True)
    factor = Float(1.0).tag(sync=True)
    betas = List(Float()).tag(sync=True)
    weight_decay = Float(0.0).tag(sync=True)
    steps = Int(200).tag(sync=True)
    step = Int(None, allow_none=True).tag(sync=True)
    playing = Bool(False).tag(sync=True)
    log_height = Bool(True).tag(sync=True)
    _surfaces = Dict().tag(sync=True)
    _noise = Bytes().tag(sync=True)

    def __init__(
        self,
        surface: str = "ravine",
        start: Sequence[float | int] | None = None,
        optimizers: Iterable[str] = ("SGD", "momentum", "Adam"),
        *,
        steps: int = 200,
        rates: Mapping[str, float | int] | None = None,
        betas: Sequence[float | int] = (0.9, 0.99),
        weight_decay: float | int = 0.0,
        seed: int = 0,
        log_height: bool = True,
    ) -> None:
        window = surfaces.surface(surface).window
        super().__init__(
            surface=surface,
            start=[] if start is None else _checked_start(start, window),
            optimizers=_checked_names(optimizers),
            steps=_checked_steps(steps),
            rates=_checked_rates({} if rates is None else rates),
            betas=_checked_betas(betas),
            weight_decay=_checked_decay(weight_decay),
            log_height=log_height,
            _surfaces={name: _described(name) for name in SURFACES},
            _noise=unit_draws(seed).numpy().astype("<f4").tobytes(),
        )

    def _summary(self) -> str:
        runners = len(self.optimizers)
        return f"{self.surface}, {runners} optimizer{'s' * (runners != 1)}, {self.steps} steps"

    @validate("surface")
    def _valid_surface(self, proposal: dict) -> str:
        return surfaces.surface(proposal["value"]).name

    @validate("start")
    def _valid_start(self, proposal: dict) -> list:
        return _checked_start(proposal["value"], None) if proposal["value"] else []

    @validate("optimizers")
    def _valid_optimizers(self, proposal: dict) -> list:
        return _checked_names(proposal["value"])

    @validate("selected")
    def _valid_selected(self, proposal: dict) -> str:
        return _check_name("selected", proposal["value"]) if proposal["value"] else ""

    @validate("rates")
    def _valid_rates(self, proposal: dict) -> dict:
        return _checked_rates(proposal["value"])

    @validate("factor")
    def _valid_factor(self, proposal: dict) -> float:
        low, high = FACTORS
        if not low <= proposal["value"] <= high:  # false for NaN too
            raise ValueError(f"factor={proposal['value']}, expected {low} to {high:g}")
        return proposal["value"]

    @validate("betas")
    def _valid_betas(self, proposal: dict) -> list:
        return _checked_betas(proposal["value"])

    @validate("weight_decay")
    def _valid_decay(self, proposal: dict) -> float:
        return _checked_decay(proposal["value"])

    @validate("steps")
    def _valid_steps(self, proposal: dict) -> int:
        return _checked_steps(proposal["value"])

    @validate("step")
    def _valid_step(self, proposal: dict) -> int | None:
        step = proposal["value"]
        if step is not None and not 0 <= step <= MOST_STEPS:
            raise ValueError(f"step={step}, expected None or 0 to {MOST_STEPS}")
        return step


def _described(name: str) -> dict[str, Any]:
    """What the browser is told of a surface; its formula it has."""
    surface = SURFACES[name]
    names = ("title", "formula", "about", "window", "start", "lowest", "rates", "noise")
    return {name: getattr(surface, name) for name in names}


def _checked_start(start: Sequence, window: tuple[float, ...] | None) -> list[float]:
    if len(start) != 2 or not all(math.isfinite(number) for number in start):
        raise ValueError(f"start={list(start)}, expected two finite numbers, x and y")
    x, y = (float(number) for number in start)
    if window and not (window[0] <= x <= window[1] and window[2] <= y <= window[3]):
        left, right, bottom, top = window
        raise ValueError(
            f"start=({x:g}, {y:g}) is outside the picture, "
            f"expected x from {left:g} to {right:g} and y from {bottom:g} to {top:g}"
        )
    return [x, y]


def _check_name(argument: str, name: str) -> str:
    if name not in RUNNERS:
        raise ValueError(f"{argument} names {name!r}, expected names among {list(RUNNERS)}")
    return name


def _checked_names(optimizers: Iterable[str]) -> list[str]:
    """In the order of the table, whatever the order they were named in."""
    if isinstance(optimizers, str):
        raise TypeError(f"optimizers={optimizers!r} is one name, expected a list of names")
    named = [_check_name("optimizers", name) for name in optimizers]
    return [name for name in RUNNERS if name in named]


def _checked_rates(rates: Mapping[str, Any]) -> dict[str, float]:
    for name, rate in rates.items():
        _check_name("rates", name)
        if not 0 <= rate <= LARGEST_RATE:  # false for NaN too
            raise ValueError(f"rates[{name!r}]={rate}, expected 0 to {LARGEST_RATE:g}")
    return {name: float(rate) for name, rate in rates.items()}


def _checked_betas(betas: Sequence) -> list[float]:
    if len(betas) != 2 or not all(0 <= beta <= LARGEST_BETA for beta in betas):
        raise ValueError(f"betas={list(betas)}, expected two numbers, each 0 to {LARGEST_BETA}")
    return [float(beta) for beta in betas]


def _checked_decay(weight_decay: float | int) -> float:
    if not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay={weight_decay}, expected a finite number of at least 0")
    return float(weight_decay)


def _checked_steps(steps: int) -> int:
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps={steps}, expected a whole number from 1 to {MOST_STEPS}")
    return steps

"""Surfaces with two weights, on which optimizers can be watched: `OptimizerRace` draws them.

Each is a loss that a picture can show whole: a height over a plane. All of them are 0 at their
lowest, so that a height says how far there is to go. The browser's copies of the formulas stand in
`race_steps.js`; the tests hold both equal.
Chapter: chapters/07_optimizers.ipynb

Reference for `rosenbrock`: Rosenbrock (1960), "An automatic method for finding the greatest or
least value of a function".
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

RUNNERS = ("SGD", "momentum", "Nesterov", "RMSProp", "Adam", "AdamW", "Lion")
DRAWS = 512  # steps that there is noise for


@dataclass(frozen=True)
class Surface:
    """A loss of two weights, (x, y), and what a race on it begins with.

        ravine = surface("ravine")
        place = torch.tensor(ravine.start, requires_grad=True)
        ravine(place).backward()     and place.grad is the slope there

    Args:
        name: how it is called in Python.
        title: how it is called in the widget.
        formula: its height, to be read.
        about: what is hard about it.
        height: its height at x and y, numbers or tensors.
        window: the part that is drawn: left, right, bottom, top.
        start: where a race begins.
        lowest: the places where the height is 0.
        rates: a rate that suits each optimizer here, found by trying.
        noise: standard deviation of what chance adds to each number of the slope.
    """

    name: str
    title: str
    formula: str
    about: str
    height: Callable
    window: tuple[float, float, float, float]
    start: tuple[float, float]
    lowest: tuple[tuple[float, float], ...]
    rates: dict[str, float]
    noise: float = 0.0

    def __call__(
        self, place: Float[Tensor, "*batch 2"], draw: Float[Tensor, "2"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """The loss at (x, y); with a row of `draws`, the loss of one batch.

        Adding `draw · place` to the height adds `draw` to its slope: that is what a batch does to
        a gradient, seen from close by.
        """
        height = self.height(*place.unbind(-1))
        return height if draw is None else height + place @ draw

    def draws(self, steps: int, seed: int = 0) -> Float[Tensor, "draw 2"]:
        """What chance adds to the slope at each step; the same for all runners of a race.

        Raises:
            ValueError: if there are not so many: `steps` is from 1 to 512.
        """
        if not 1 <= steps <= DRAWS:
            raise ValueError(f"steps={steps}, expected a whole number from 1 to {DRAWS}")
        return self.noise * unit_draws(seed)[:steps]


def unit_draws(seed: int) -> Float[Tensor, "draw 2"]:
    """Normal draws of deviation 1, in float32, which the widget carries, then widened.

    Always all of them: a shorter race sees the beginning of what a longer one does, and torch does
    not draw the beginning of many as it draws few.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(DRAWS, 2, generator=generator, dtype=torch.float32).double()


def _bowl(x, y):
    return 0.5 * (x - 1) ** 2 + 0.5 * (y - 0.5) ** 2


def _ravine(x, y):
    return 0.05 * (x - 1) ** 2 + 5 * (y - 0.5) ** 2


def _turned(x, y):
    along, across = 0.8 * (x - 1) + 0.6 * (y - 0.5), 0.8 * (y - 0.5) - 0.6 * (x - 1)
    return 0.05 * along**2 + 5 * across**2


def _saddle(x, y):
    return 0.5 * x**2 + 0.25 * (y**2 - 1) ** 2


def _rosenbrock(x, y):
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _noisy(x, y):
    return 0.1 * (x - 1) ** 2 + 0.5 * (y - 0.5) ** 2


def _rates(*rates: float) -> dict[str, float]:
    return dict(zip(RUNNERS, rates, strict=True))


_ALL = (-3.0, 3.0, -2.0, 2.0)

SURFACES = {
    surface.name: surface
    for surface in (
        Surface(
            "bowl",
            "Bowl",
            "½(x − 1)² + ½(y − ½)²",
            "The same curve in every direction: downhill is straight to the lowest point.",
            _bowl,
            _ALL,
            (-2.4, -1.5),
            ((1.0, 0.5),),
            _rates(0.1, 0.05, 0.05, 0.05, 0.1, 0.1, 0.03),
        ),
        Surface(
            "ravine",
            "Ravine",
            "0.05 (x − 1)² + 5 (y − ½)²",
            "100 times steeper across than along: a rate that is safe across is slow along.",
            _ravine,
            _ALL,
            (-2.6, 1.7),
            ((1.0, 0.5),),
            _rates(0.19, 0.05, 0.05, 0.05, 0.1, 0.1, 0.02),
        ),
        Surface(
            "turned",
            "Ravine, turned",
            "the ravine, turned by 37°",
            "The same ravine, no longer along one weight: a rate for each weight helps less.",
            _turned,
            _ALL,
            (-1.7, -0.3),
            ((1.0, 0.5),),
            _rates(0.19, 0.05, 0.05, 0.05, 0.1, 0.1, 0.02),
        ),
        Surface(
            "saddle",
            "Saddle",
            "½x² + ¼(y² − 1)²",
            "At (0, 0) it is flat: downhill leads there first, and then slowly away.",
            _saddle,
            _ALL,
            (-2.4, 0.01),
            ((0.0, 1.0), (0.0, -1.0)),
            _rates(0.05, 0.02, 0.02, 0.02, 0.05, 0.05, 0.02),
        ),
        Surface(
            "rosenbrock",
            "Rosenbrock",
            "(1 − x)² + 100 (y − x²)²",
            "A bent valley: its floor is soon found, and the way along it is long.",
            _rosenbrock,
            (-3.0, 3.0, -1.0, 3.0),
            (-1.5, 1.5),
            ((1.0, 1.0),),
            _rates(0.001, 0.001, 0.001, 0.1, 0.3, 0.3, 0.02),
        ),
        Surface(
            "noisy",
            "Noisy",
            "0.1 (x − 1)² + ½(y − ½)², and noise in the slope",
            "Each step sees the slope of another batch: whoever keeps the rate never quite rests.",
            _noisy,
            _ALL,
            (-2.4, -1.5),
            ((1.0, 0.5),),
            _rates(0.1, 0.02, 0.02, 0.03, 0.05, 0.05, 0.02),
            noise=0.6,
        ),
    )
}


def surface(name: str) -> Surface:
    """The surface of that name: "bowl", "ravine", "turned", "saddle", "rosenbrock" or "noisy".

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in SURFACES:
        raise ValueError(f"surface={name!r}, expected one of {list(SURFACES)}")
    return SURFACES[name]

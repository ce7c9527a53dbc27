"""Checks of chapter 07's exercises."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from underglass.checks.comparing import same
from underglass.checks.core import Attempt, compare, exercise, require


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@exercise
def largest_rate(attempt: Attempt) -> str:
    """[w w] -> the rate above which gradient descent diverges: 2 over the largest eigenvalue."""
    turn = torch.tensor([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [-0.8, 0.0, 0.6]])
    curvatures = torch.tensor([1.0, 4.0, 10.0])
    hessian = turn @ torch.diag(curvatures) @ turn.T
    compare(
        attempt(hessian),
        2 / 10,
        mistakes={
            "with 1 over the largest eigenvalue it does not diverge yet, but goes straight down": (
                1 / 10
            ),
            "the flattest direction sets no limit: the steepest one does": 2 / 1,
            "the sum of all eigenvalues is not the largest of them": 2 / 15,
            "the largest entry of the matrix is not its largest eigenvalue": (
                2 / float(hessian.max())
            ),
            "this is the largest eigenvalue; the rate is 2 over it": 10.0,
        },
        what="rate",
        rtol=1e-3,
    )
    return "the steepest direction sets the limit, and the axes may lie any way."


@exercise
def noise_scale(attempt: Attempt) -> str:
    """[window parameter] -> the batch for which the error is as long as the gradient."""
    rows = _random(6, 5) + 0.4
    mean, spread = rows.mean(dim=0), rows.var(dim=0).sum()
    signal = mean.square().sum()
    got, right = _number(attempt(rows)), float(spread / signal)
    biased = float(rows.var(dim=0, correction=0).sum() / signal)
    compare(
        right if same(got, biased) else got,  # one window more or less is no mistake here
        right,
        mistakes={
            "this is the relative error s of one window; the noise scale is its square": (
                float((spread / signal).sqrt())
            ),
            "this is upside down: noise over signal, not signal over noise": float(signal / spread),
            "the variances of all parameters add up: their mean is too small": (
                float(spread / 5 / signal)
            ),
            "divide by the squared length of the mean gradient, not by its length": (
                float(spread / signal.sqrt())
            ),
            "var over dim=0: how a parameter scatters from window to window": (
                float(rows.var(dim=1).sum() / signal)
            ),
        },
        what="noise scale",
    )
    return "below this batch there is more noise than gradient, above it less."


def _number(value: object) -> object:
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


@exercise
def adamw(attempt: Attempt) -> str:
    """(w, g, m, v, t, rate, decay) -> (w, m, v) after AdamW's step number t."""
    w, g, m = _random(4), _random(4, seed=1), _random(4, seed=2) / 9
    v = _random(4, seed=3).square() / 9
    t, rate, decay = 2, 0.1, 0.5
    right = _adamw(w, g, m, v, t, rate, decay)
    l2 = _adamw(w, g + decay * w, m, v, t, rate, 0.0)
    raw = _adamw(w, g, m, v, 10**6, rate, decay)
    none = _adamw(w, g, m, v, t, rate, 0.0)
    early = _adamw(w, g, m, v, t + 1, rate, decay)
    strong = _adamw(w * (1 - decay) / (1 - rate * decay), g, m, v, t, rate, decay)
    up = 2 * (1 - rate * decay) * w - right[0]
    compare(
        attempt(w, g, m, v, t, rate, decay),
        right,
        mistakes={
            "the decay is in the gradient, where it gets divided: that is the L2 penalty": (
                l2[0],
                ...,
                ...,
            ),
            "the means are not corrected for beginning at 0: divide by 1 - beta ** t": (
                raw[0],
                ...,
                ...,
            ),
            "return m and v as they are, not corrected: the next step goes on with them": (
                right[0],
                right[1] / (1 - 0.9**t),
                right[2] / (1 - 0.999**t),
            ),
            "t is counted from 1, so it is the number of this step already": (early[0], ..., ...),
            "nothing decays": (none[0], ..., ...),
            "the share that decays is rate * decay, not decay": (strong[0], ..., ...),
            "you go uphill: subtract the step": (up, ..., ...),
        },
        what=("w", "m", "v"),
    )
    return "decay outside the division, and means that are true from the first step on."


def _adamw(
    w: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, rate: float, decay: float
) -> tuple[Tensor, Tensor, Tensor]:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    step = m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return (1 - rate * decay) * w - rate * step, m, v


@exercise
def linear(attempt: Attempt) -> str:
    """(step, total, warmup) -> factor: up in a straight line, then down to 0 in another."""

    def factors(up: Callable[[int], float], down: Callable[[int], float]) -> Tensor:
        return torch.tensor([up(s) if s < 4 else down(s) for s in range(13)])

    def fall(step: int) -> float:
        return (12 - step) / 8

    found = [float(attempt(step, 12, 4)) for step in range(13)]
    compare(
        torch.tensor(found),
        factors(lambda s: s / 4, fall),
        mistakes={
            "the line down begins at step 0, so there is a jump where the warm-up ends": factors(
                lambda s: s / 4, lambda s: 1 - s / 12
            ),
            "there is no warm-up": factors(lambda s: 1 - s / 12, lambda s: 1 - s / 12),
            "the rate does not fall after the warm-up": factors(lambda s: s / 4, lambda s: 1.0),
            "the last step is not 0: the line has to reach it at `total`": factors(
                lambda s: s / 4, lambda s: 1 - (s - 4) / 12
            ),
            "the factor is above 1 or below 0 somewhere": lambda got: (
                (got > 1).any() or (got < 0).any()
            ),
        },
        what="factor of steps 0 to 12, with total 12 and warmup 4",
    )
    attempt(0, 5, 0)  # no warm-up: nothing is divided by 0
    return "up to 1 at the end of the warm-up, and down to 0 at the end of all."


@exercise
def training_bytes(attempt: Attempt) -> str:
    """(parameters, states, bytes each) -> bytes of parameters, gradients and optimizer states."""
    # Four states: then each of the mistakes gives a number of its own.
    compare(
        attempt(7, 4, 4),
        7 * 6 * 4,
        mistakes={
            "the gradients need room too: one number for each parameter": 7 * 5 * 4,
            "the parameters themselves need room too": 7 * 4 * 4,
            "these are numbers, not yet bytes": 7 * 6,
            "only one of the optimizer's states is counted": 7 * 3 * 4,
        },
        what="bytes",
    )
    require(
        attempt(7, 0, 2) == 7 * 2 * 2,
        "without any state there are still the parameters and their gradients",
    )
    return "a parameter, its gradient, and what the optimizer remembers of it."


@exercise
def own_step(attempt: Attempt) -> str:
    """(w, g, state, rate) -> new w: an optimizer of the reader's own, judged on a narrow valley."""
    curvature = torch.tensor([1.0, 30.0])

    def walk(rate: float) -> list[float]:
        w, state, heights = torch.tensor([1.0, 1.0]), {}, []
        for _ in range(200):
            w = attempt(w, curvature * w, state, rate)
            require(
                isinstance(w, Tensor) and w.shape == (2,),
                "return the new parameters, a tensor of the same shape as w",
            )
            heights.append(float((curvature * w * w).sum() / 2))
        return heights

    slow, again, fast = walk(0.003), walk(0.003), walk(0.01)
    lowest = min((h for h in slow + fast if math.isfinite(h)), default=math.inf)
    require(
        lowest < 15.5, "the loss goes up, not down: look for a wrong sign, or a far too long step"
    )
    require(
        slow == again,
        "a second run from the same start goes another way: keep what you remember in `state`",
    )
    require(slow != fast, "the rate is not used")
    require(lowest < 1.0, "after 200 steps the loss is still above 1, from 15.5: go further")
    return f"from 15.5 down to {lowest:.2g}. Is it better than Adam? That takes more than one seed."

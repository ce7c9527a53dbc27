"""One next token: what a loss sees of it, and where its gradient pushes the logits.

References: Bridle (1990), "Probabilistic Interpretation of Feedforward Classification Network
Outputs" (softmax); Szegedy et al. (2016), "Rethinking the Inception Architecture", section 7 (label
smoothing).
Chapter: chapters/06_losses.ipynb
"""

import math
from collections.abc import Sequence

import numpy as np
import traitlets
from torch import Tensor

from underglass.widgets.frame import Widget

MAX_TOKENS = 8  # what fits a screen as sliders
LARGEST = 99.0  # of a logit; the same in loss_explorer.js
# The ends of the sliders.
RANGES = {"temperature": (0.1, 10.0), "label_smoothing": (0.0, 1.0), "rate": (0.01, 10.0)}

Numbers = Tensor | np.ndarray | Sequence


class LossExplorer(Widget):
    """Cross-entropy -Σ q log p of one next token, recomputed as its logits z are moved.

        LossExplorer([2.0, 0.5, -1.0], target=1, tokens=["mat", "sofa", "moon"])

    p = softmax(z / T) is what the model says, q what the loss asks for: 1 at the true token, or
    (1 - ε) onehot + ε / V with label smoothing ε over V tokens. Shown with it: the gradient
    (p - q) / T of each logit, cross-entropy as entropy H(q) + KL(q ‖ p), the lowest loss that any
    logits could reach (H(q)), perplexity, bits, and the loss over the probability of the true
    token. "Take a step" is gradient descent on the logits themselves: z - rate · (p - q) / T.

    The traits follow what the reader does, and can be set from Python:

        logits: a list of as many numbers as at the start, each from -99 to 99
        target: index of the true token
        temperature: T, 0.1 to 10
        label_smoothing: ε, 0 to 1
        rate: learning rate of a step, 0.01 to 10

    Args:
        logits: of 2 to 8 tokens.
        target: index of the true token among them.
        tokens: their names; without them they are called t1, t2, ...

    Raises:
        ValueError: if there are fewer than 2 or more than 8 logits, one is not finite or beyond
            99, tokens are not as many, or another argument is out of its range.
        TypeError: if the target is not a whole number.
    """

    files = "loss_explorer"

    logits = traitlets.List().tag(sync=True)
    target = traitlets.Int(0).tag(sync=True)
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    label_smoothing = traitlets.Float(0.0).tag(sync=True)
    rate = traitlets.Float(1.0).tag(sync=True)
    _start = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        logits: Numbers,
        target: int | Tensor,
        *,
        tokens: Sequence[str] | None = None,
        temperature: float = 1.0,
        label_smoothing: float = 0.0,
        rate: float = 1.0,
    ) -> None:
        numbers = _logits(logits)
        start = {
            "logits": numbers,
            "target": _index(target, len(numbers)),
            "temperature": _within("temperature", temperature),
            "label_smoothing": _within("label_smoothing", label_smoothing),
            "rate": _within("rate", rate),
        }
        super().__init__(**start, tokens=_names(tokens, len(numbers)), _start=start)

    @traitlets.validate("logits")
    def _as_many_logits(self, proposal: dict) -> list[float]:
        numbers, known = _logits(proposal["value"]), len(self._start.get("logits", ()))
        if known and len(numbers) != known:
            raise ValueError(f"logits has {len(numbers)} numbers, expected {known}")
        return numbers

    @traitlets.validate("target")
    def _one_of_them(self, proposal: dict) -> int:
        known = len(self._start.get("logits", ()))
        return _index(proposal["value"], known or MAX_TOKENS)

    @traitlets.validate("tokens")
    def _as_many_tokens(self, proposal: dict) -> list[str]:
        known = len(self._start.get("logits", ()))
        return _names(proposal["value"], known or len(proposal["value"]))

    @traitlets.validate(*RANGES)
    def _in_range(self, proposal: dict) -> float:
        return _within(proposal["trait"].name, proposal["value"])

    def _summary(self) -> str:
        return f"{len(self.logits)} tokens, target {self.target}"


def _logits(given: Numbers) -> list[float]:
    """`given` as a list of float64, each finite and within what the sliders can reach."""
    if isinstance(given, Tensor):
        given = given.detach().cpu().double().numpy()
    try:
        numbers = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"logits={given!r}, expected a list of numbers") from error
    if numbers.ndim != 1 or not 2 <= len(numbers) <= MAX_TOKENS:
        raise ValueError(
            f"logits has shape {list(numbers.shape)}, expected one number for each of 2 to "
            f"{MAX_TOKENS} tokens; of a large vocabulary, choose a few"
        )
    for i, number in enumerate(numbers):
        if not abs(number) <= LARGEST:  # false for NaN too
            raise ValueError(
                f"logits[{i}]={number:g}, expected -{LARGEST:g} to {LARGEST:g}; adding one number "
                "to all logits changes no probability"
            )
    return numbers.tolist()


def _index(target: int | Tensor, count: int) -> int:
    whole = isinstance(target, int | np.integer) and not isinstance(target, bool)
    if isinstance(target, Tensor):
        whole = not target.ndim and not target.is_floating_point()
    if not whole:
        raise TypeError(f"target={target!r}, expected the index of a token, a whole number")
    if not 0 <= target < count:
        raise ValueError(f"target={int(target)}, expected 0 to {count - 1}, the index of a token")
    return int(target)


def _names(tokens: Sequence[str] | None, count: int) -> list[str]:
    if tokens is None:
        return [f"t{i + 1}" for i in range(count)]
    if isinstance(tokens, str) or len(tokens) != count:
        raise ValueError(f"tokens={tokens!r}, expected {count} names, one for each logit")
    return [str(token) for token in tokens]


def _within(name: str, value: float) -> float:
    low, high = RANGES[name]
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name}={value}, expected {low:g} to {high:g}")
    return float(value)

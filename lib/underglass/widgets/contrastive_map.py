"""A batch of pairs as a contrastive loss sees it: similarities, probabilities, and the pull.

References: van den Oord et al. (2018), "Representation Learning with Contrastive Predictive
Coding", equation 4 (InfoNCE); Radford et al. (2021), "Learning Transferable Visual Models From
Natural Language Supervision" (CLIP), figure 3 (both directions); Wang and Liu (2021),
"Understanding the Behaviour of Contrastive Loss", section 3 (temperature and hard negatives).
Chapter: chapters/06_losses.ipynb
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor

from underglass.widgets.frame import Widget

LARGEST_BATCH = 32  # pairs: larger cells than these can be met with a finger
COOLEST, HOTTEST = 0.01, 2.0  # the ends of the slider of the temperature
VIEWS = ("similarity", "probabilities", "pull")
DIRECTIONS = ("rows", "columns")


class ContrastiveMap(Widget):
    """All similarities of a batch of pairs, and what `losses.info_nce` makes of them.

        ContrastiveMap((a, b), labels=(old_verses, new_verses))
        ContrastiveMap({"before": (a, b), "after": (c, d)}, labels=verses)      with a switch

    s_ij is the cosine of row i of a and row j of b; the pairs that belong together lie on the
    diagonal. The loss is the mean cross-entropy of each row's softmax(s_i / T) with its own partner
    as the target, and of each column's; the pull is the gradient ∂loss/∂s_ij, negative where the
    loss draws two texts together (it falls when they become more alike), positive where it pushes
    them apart. Retrieval counts the rows (or columns) whose own partner is more similar than every
    other.

    The traits follow what the reader does, and can be set from Python:

        temperature: T, 0.01 to 2
        view: what colours the matrix, "similarity", "probabilities" or "pull"
        direction: whose probabilities: "rows" (a text of a looks for its b) or "columns"
        row, column: the cell that is read
        shown: name of the embeddings shown, where there are several
        leave_out: True computes the loss as it is often written by mistake, with the positive
            left out of the denominator: then it has no lower end

    Args:
        embeddings: a and b, two tensors [batch d_model] whose rows belong together, of at most 32
            pairs; or a dict from names to such (a, b), all of the same texts. Any norms.
        labels: the texts of the pairs, or two lists: those of a and those of b. Without them they
            are called a1, b1, a2, ...

    Raises:
        ValueError: if shapes do not fit, the batch is empty or above 32, an embedding or option is
            not finite or out of its range, or labels are not as many as pairs.
        TypeError: if embeddings are not pairs of tensors with floating-point numbers.
    """

    files = "contrastive_map"

    temperature = traitlets.Float(0.07).tag(sync=True)
    view = traitlets.Enum(VIEWS, default_value="similarity").tag(sync=True)
    direction = traitlets.Enum(DIRECTIONS, default_value="rows").tag(sync=True)
    row = traitlets.Int(0).tag(sync=True)
    column = traitlets.Int(0).tag(sync=True)
    shown = traitlets.Unicode().tag(sync=True)
    leave_out = traitlets.Bool(False).tag(sync=True)
    # What the page computes from: float64 [sets, batch, batch], and the names of all three axes.
    _similarities = traitlets.Bytes().tag(sync=True)
    _names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _labels = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    _start = traitlets.Dict().tag(sync=True)

    def __init__(
        self, embeddings: Any, *, labels: Sequence | None = None, temperature: float = 0.07
    ) -> None:
        tables = _similarities(embeddings)
        names, size = list(tables), len(next(iter(tables.values())))
        start = {
            "temperature": _check_temperature(temperature),
            "view": VIEWS[0],
            "direction": DIRECTIONS[0],
            "row": 0,
            "column": 0,
            "shown": names[0],
            "leave_out": False,
        }
        super().__init__(
            **start,
            _names=names,
            _labels=_labels(labels, size),
            _similarities=np.stack(list(tables.values())).astype("<f8").tobytes(),
            _start=start,
        )

    @traitlets.validate("temperature")
    def _valid_temperature(self, proposal: dict) -> float:
        return _check_temperature(proposal["value"])

    @traitlets.validate("row", "column")
    def _valid_place(self, proposal: dict) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        last = len(self._labels[0]) - 1 if self._labels else LARGEST_BATCH - 1
        if not 0 <= value <= last:
            raise ValueError(f"{name}={value}, expected 0 to {last}")
        return value

    @traitlets.validate("shown")
    def _valid_shown(self, proposal: dict) -> str:
        if self._names and proposal["value"] not in self._names:
            raise ValueError(f"shown={proposal['value']!r}, expected one of {self._names}")
        return proposal["value"]

    @traitlets.validate("leave_out")
    def _valid_leave_out(self, proposal: dict) -> bool:
        if proposal["value"] and self._labels and len(self._labels[0]) == 1:
            raise ValueError("leave_out=True, expected False: one pair has nothing else to sum")
        return proposal["value"]

    def _summary(self) -> str:
        pairs = len(self._labels[0])
        sets = f", {' and '.join(self._names)}" if len(self._names) > 1 else ""
        return f"{pairs} pair{'s' * (pairs != 1)}{sets}"


def _similarities(embeddings: Any) -> dict[str, np.ndarray]:
    """Cosines [batch batch] of each set, by its name; one set has the name ''."""
    if not isinstance(embeddings, Mapping):
        return {"": _cosines("embeddings", embeddings)}
    if not embeddings:
        raise ValueError("embeddings is an empty dict, expected names with (a, b)")
    tables = {str(name): _cosines(f"embeddings[{name!r}]", p) for name, p in embeddings.items()}
    sizes = {name: len(table) for name, table in tables.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"embeddings holds batches of {sizes}, expected the same pairs in all")
    return tables


def _cosines(label: str, pair: Any) -> np.ndarray:
    """a b^T of rows of length 1, in float64; a row of zeros is like nothing, as in info_nce."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{label} is a {type(pair).__name__}, expected a pair of tensors (a, b)")
    a, b = (_table(f"{label}[{i}]", table) for i, table in enumerate(pair))
    if a.shape != b.shape:
        raise ValueError(
            f"{label}: a {list(a.shape)}, b {list(b.shape)}, expected the same [batch d_model]"
        )
    a, b = (x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12) for x in (a, b))
    return (a @ b.mT).numpy()


def _table(label: str, given: Any) -> Tensor:
    if not isinstance(given, Tensor | np.ndarray):
        raise TypeError(f"{label} is a {type(given).__name__}, expected a tensor [batch d_model]")
    table = torch.as_tensor(given).detach().cpu()
    if not table.is_floating_point():
        raise TypeError(f"{label} is {table.dtype}, expected floating-point numbers")
    if table.ndim != 2 or not 1 <= len(table) <= LARGEST_BATCH or not table.shape[1]:
        raise ValueError(
            f"{label} has shape {list(table.shape)}, expected [batch d_model] with 1 to "
            f"{LARGEST_BATCH} rows"
        )
    bad = (~table.isfinite()).nonzero()
    if len(bad):
        i, j = bad[0].tolist()
        raise ValueError(f"{label}[{i}, {j}]={table[i, j].item()}, expected finite numbers")
    return table.double()


def _labels(labels: Sequence | None, size: int) -> list[list[str]]:
    """The texts of a, and those of b."""
    if labels is None:
        return [[f"{side}{i + 1}" for i in range(size)] for side in "ab"]
    if isinstance(labels, str):
        raise TypeError(f"labels={labels!r}, expected a list of texts, or two of them")
    if all(isinstance(text, str) for text in labels):
        return [_texts("labels", labels, size)] * 2
    if len(labels) != 2:
        raise ValueError(f"labels has {len(labels)} entries, expected texts, or two lists of them")
    return [_texts(f"labels[{i}]", texts, size) for i, texts in enumerate(labels)]


def _texts(label: str, texts: Any, size: int) -> list[str]:
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{label}={texts!r}, expected a list of texts")
    if len(texts) != size:
        raise ValueError(f"{label} has {len(texts)} texts, expected {size}, one for each pair")
    return list(texts)


def _check_temperature(temperature: float) -> float:
    if not (math.isfinite(temperature) and COOLEST <= temperature <= HOTTEST):
        raise ValueError(f"temperature={temperature}, expected {COOLEST:g} to {HOTTEST:g}")
    return float(temperature)

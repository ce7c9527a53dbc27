"""A weight matrix, how fine-tuning changed it, and the best change of each rank.

References: Eckart and Young (1936), "The Approximation of One Matrix by Another of Lower Rank" (the
best approximation, and the error that remains); Hu et al. (2021), "LoRA: Low-Rank Adaptation of
Large Language Models", sections 4.1 (two factors in place of a matrix) and 7.2 (how much two
updates have in common).
Chapter: chapters/09_fine_tuning.ipynb
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
import traitlets
from torch import Tensor

from underglass.widgets.frame import Widget

Factors: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]  # U, S, V^T of a matrix

SIDE = 48  # rows and columns of a picture: cells of 3 pixels on a phone; 1/8 of MiniLM's 384
TERMS = 256  # that the browser can add up: 50 kB a matrix, and far beyond what LoRA uses
FINEST = 32767  # a picture's numbers in 16 bits: steps of 1/32767 of the largest
NOISE = torch.finfo(torch.float32).eps  # B A multiplied out in float32 is not of rank r to the bit
OF_THEIR_OWN = 0.98  # of a picture's numbers have colours of their own, the others the last one
PARTS = ("before", "after", "lora")
UPDATES = ("full", "lora")
SIGNS = {"full": "ΔW", "lora": "BA"}


class LoRAView(Widget):
    """What an update of rank r can hold, of the update that fine-tuning really made.

        LoRAView({"block 5, query": (before, after)})
        LoRAView({"block 5, query": (before, after, lora)})     with what LoRA learned beside it

    ΔW = after - before = Σ σ_i u_i v_i^T, its singular value decomposition. The first r terms are
    the best matrix of rank r, and the error that remains is what the other singular values add up
    to: ‖ΔW - ΔW_r‖ = sqrt(σ_(r+1)² + σ_(r+2)² + ...), in the Frobenius norm. Two factors of rank r
    hold r (d_out + d_in) numbers, the matrix d_out d_in.

    Errors are computed from all singular values, in float64. The pictures show at most 48 rows and
    48 columns, spread evenly over the matrix, as they are (not averaged), in steps of 1/32767 of
    the largest; the browser adds up the terms, at most 256 of them, then all. A matrix of 384 x 384
    takes 83 kB of a page, and with LoRA's update 104 kB.

    LoRA's update is not ΔW cut off at its rank: it was learned on its own. With it the widget says
    how much both have in common: their cosine (as long lists of numbers), and of the directions
    that they write to and read from the share of section 7.2 of Hu et al. (2021),
    ‖U_LoRA^T U_r‖² / min(rank of LoRA, r): 1 where one holds the other, and by chance the larger
    of both ranks divided by d_out (for V: d_in).

    The traits follow what the reader does, and can be set from Python:

        shown: name of the matrix
        update: whose update, "full" or "lora"
        rank: r, 0 to 256 or the full rank min(d_out, d_in)

    Args:
        matrices: by name, two or three tensors [d_out d_in] each: the weight before fine-tuning,
            the weight after it, and, where there is one, the update that LoRA learned, B A with
            its factor alpha / r, in float32 or better.
        rank: r at the start; in a smaller matrix, its full rank.

    Raises:
        ValueError: if there is no matrix, shapes do not fit or are empty, a number is not finite,
            or a rank, name or update is not there.
        TypeError: if the matrices are not tensors of floating-point numbers, two or three of each.
    """

    files = "lora_view"
    before = ("scales",)

    shown = traitlets.Unicode().tag(sync=True)
    update = traitlets.Enum(UPDATES, default_value="full").tag(sync=True)
    rank = traitlets.Int(8).tag(sync=True)
    _matrices = traitlets.List(traitlets.Dict()).tag(sync=True)
    _numbers = traitlets.Bytes().tag(sync=True)

    def __init__(self, matrices: Mapping[str, Sequence], *, rank: int = 8) -> None:
        read = [_read(name, parts) for name, parts in _named(matrices).items()]
        if rank > 0:
            rank = min(rank, read[0].described()["full"])
        super().__init__(
            _matrices=[matrix.described() for matrix in read],
            _numbers=b"".join(matrix.packed() for matrix in read),
            shown=read[0].name,
            rank=rank,
        )

    @traitlets.validate("shown")
    def _valid_shown(self, proposal: dict) -> str:
        names = [matrix["name"] for matrix in self._matrices]
        if names and proposal["value"] not in names:
            raise ValueError(f"shown={proposal['value']!r}, expected one of {names}")
        return proposal["value"]

    @traitlets.validate("update")
    def _valid_update(self, proposal: dict) -> str:
        if proposal["value"] == "lora" and self._matrices and "cosine" not in self._here():
            raise ValueError(f"update='lora', expected 'full': {self.shown!r} has no LoRA update")
        return proposal["value"]

    @traitlets.validate("rank")
    def _valid_rank(self, proposal: dict) -> int:
        rank = proposal["value"]
        if self._matrices:
            full, reach = self._here()["full"], self._here()["reach"]
            if not (0 <= rank <= reach or rank == full):
                also = f", or {full} (all)" if reach < full else ""
                raise ValueError(f"rank={rank}, expected 0 to {reach}{also}")
        return rank

    @traitlets.observe("shown")
    def _fit(self, _: dict) -> None:
        """Another matrix may have a smaller full rank, and no LoRA."""
        here = self._here()
        if self.rank > here["reach"]:
            self.rank = here["full"]
        if "cosine" not in here:
            self.update = "full"

    def _here(self) -> dict:
        return next(matrix for matrix in self._matrices if matrix["name"] == self.shown)

    def _summary(self) -> str:
        sizes = [f"{m['name']} {m['shape'][0]} x {m['shape'][1]}" for m in self._matrices]
        return ", ".join(sizes)


@dataclass(frozen=True)
class _Matrix:
    name: str
    weight: np.ndarray  # [d_out d_in], before
    updates: dict[str, np.ndarray]  # "full" and perhaps "lora"
    factors: dict[str, Factors]

    def ranks(self) -> dict[str, int]:
        """Singular values above rounding, as `matrix_rank` counts them in float32."""
        most = max(self.weight.shape) * NOISE
        return {
            kind: int((s > s[0] * most).sum()) if s[0] > 0 else 0
            for kind, (_, s, _) in self.factors.items()
        }

    def described(self) -> dict[str, Any]:
        """What is not in the packed numbers; `reach` is how far terms can be added one by one."""
        full, ranks = min(self.weight.shape), self.ranks()
        reach = full if ranks["full"] <= TERMS else TERMS
        return {
            "name": self.name,
            "shape": list(self.weight.shape),
            "rows": _spread(self.weight.shape[0]),
            "columns": _spread(self.weight.shape[1]),
            "norm": float(np.linalg.norm(self.weight)),
            "full": full,
            "reach": reach,
            "stops": _stops(full, reach),
            "sample": self._sample(),
            **_colours(self._shown(self.weight)),
            "updates": [self._update(kind, rank) for kind, rank in ranks.items()],
            **(self._compared() if "lora" in ranks else {}),
        }

    def _update(self, kind: str, rank: int) -> dict[str, Any]:
        sizes = {"kind": kind, "sign": SIGNS[kind], "rank": rank, "terms": min(rank, TERMS)}
        return sizes | _colours(self._shown(self.updates[kind]))

    def _shown(self, table: np.ndarray) -> np.ndarray:
        """What the pictures show of a matrix."""
        return table[np.ix_(*(_spread(size) for size in table.shape))]

    def _sample(self) -> str:
        parts = []
        for size, word in zip(self.weight.shape, ("row", "column"), strict=True):
            many = f"{size:,} {word}{'s' * (size != 1)}"
            parts.append(f"all {many}" if size <= SIDE else f"{SIDE} of {many}, evenly spread")
        colours = "W has colours of its own; the other three share theirs."
        return f"Shown: {parts[0]}; {parts[1]}. {colours}"

    def _compared(self) -> dict[str, Any]:
        """The cosine of both updates, and of the full one and its best of LoRA's rank."""
        values, rank = self.factors["full"][1], self.ranks()["lora"]
        size = np.linalg.norm(values) or 1.0
        ideal = float(np.linalg.norm(values[:rank]) / size)
        verdict = (
            f"BA is not ΔW cut off at rank {rank}: it was learned on its own. Directions in "
            "common: those of BA with the first r of ΔW; 1 where one holds the other."
        )
        return {"cosine": _cosine(*self.updates.values()), "ideal": ideal, "verdict": verdict}

    def in_common(self) -> np.ndarray:
        """[2 rank]: of each direction of the full update, how much lies in LoRA's; those that are
        written to (U), then those that are read from (V)."""
        (u, _, vt), (lora_u, _, lora_vt) = self.factors["full"], self.factors["lora"]
        full, lora = (slice(rank) for rank in self.ranks().values())
        both = lora_u[:, lora].T @ u[:, full], lora_vt[lora] @ vt[full].T
        return np.stack([(cosines**2).sum(axis=0) for cosines in both])

    def packed(self) -> bytes:
        """The weight, then each update: its singular values, itself, and both sides of its terms,
        each with the root of σ; then what the updates have in common."""
        rows, columns = (_spread(size) for size in self.weight.shape)
        parts = [_fixed(self._shown(self.weight))]
        for kind, rank in self.ranks().items():
            u, s, vt = self.factors[kind]
            root, terms = np.sqrt(s[:TERMS, None]), slice(min(rank, TERMS))
            parts += [s.astype("<f8").tobytes(), _fixed(self._shown(self.updates[kind]))]
            parts.append(_fixed((root * u.T[:TERMS])[terms, rows]))
            parts.append(_fixed((root * vt[:TERMS])[terms, columns]))
        if "lora" in self.updates:
            parts.append(self.in_common().astype("<f8").tobytes())
        return b"".join(parts)


def _spread(size: int) -> list[int]:
    """At most SIDE places, evenly over `size`."""
    count = min(size, SIDE)
    return [i * size // count for i in range(count)]


def _stops(full: int, reach: int) -> list[int]:
    """Ranks at which the slider stops: every one up to 16, then ever fewer, and all."""
    stops = [0]
    while (following := stops[-1] + max(1, 2 ** (stops[-1].bit_length() - 4))) <= reach:
        stops.append(following)
    return stops if stops[-1] == full else [*stops, full]


def _colours(shown: np.ndarray) -> dict[str, Any]:
    """Where the colours of a picture end, and the digits after the point of its numbers: three of
    that end."""
    sizes = np.sort(np.abs(shown), axis=None)
    end = float(sizes[math.ceil(OF_THEIR_OWN * sizes.size) - 1] or sizes[-1])
    return {"end": end, "places": max(0, 2 - math.floor(math.log10(end))) if end else 2}


def _fixed(table: np.ndarray) -> bytes:
    """A step as float64, then every number as a multiple of it, in 16 bits."""
    step = float(np.abs(table).max(initial=0.0)) / FINEST
    steps = np.round(table / (step or 1.0))
    return np.array(step, "<f8").tobytes() + steps.astype("<i2").tobytes()


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of two matrices, each as one long list of numbers; with nothing, 0."""
    return float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b) or 1.0))


def _named(matrices: Any) -> Mapping[str, Any]:
    if not isinstance(matrices, Mapping):
        kind = type(matrices).__name__
        raise TypeError(f"matrices is a {kind}, expected a dict from names to (before, after)")
    if not matrices:
        raise ValueError("matrices is empty, expected at least one name with (before, after)")
    for name in matrices:
        if not isinstance(name, str):
            raise TypeError(f"matrices names {name!r}, a {type(name).__name__}, expected a string")
    return matrices


def _read(name: str, parts: Any) -> _Matrix:
    label = f"matrices[{name!r}]"
    if not isinstance(parts, tuple | list) or len(parts) not in (2, 3):
        size = f" of {len(parts)}" if isinstance(parts, tuple | list) else ""
        raise TypeError(
            f"{label} is a {type(parts).__name__}{size}, expected (before, after) or "
            "(before, after, lora)"
        )
    tables = {kind: _table(f"{label}, {kind},", x) for kind, x in zip(PARTS, parts, strict=False)}
    shapes = {kind: list(table.shape) for kind, table in tables.items()}
    if len({tuple(shape) for shape in shapes.values()}) > 1:
        raise ValueError(f"{label} has shapes {shapes}, expected the same [d_out d_in]")
    updates = {"full": tables["after"] - tables["before"]}
    if "lora" in tables:
        updates["lora"] = tables["lora"]
    factors = {kind: _decompose(table) for kind, table in updates.items()}
    return _Matrix(name, tables["before"], updates, factors)


def _decompose(table: np.ndarray) -> Factors:
    u, s, vt = np.linalg.svd(table, full_matrices=False)
    return u, s, vt


def _table(label: str, given: Any) -> np.ndarray:
    """[d_out d_in] in float64, on the CPU."""
    if not isinstance(given, Tensor | np.ndarray):
        raise TypeError(f"{label} is a {type(given).__name__}, expected a tensor [d_out d_in]")
    table = torch.as_tensor(given).detach()
    if not table.is_floating_point():
        raise TypeError(f"{label} is {table.dtype}, expected floating-point numbers")
    if table.ndim != 2 or 0 in table.shape:
        shape = list(table.shape)
        raise ValueError(f"{label} has shape {shape}, expected [d_out d_in], neither of them 0")
    if table.is_meta:
        raise ValueError(f"{label} is on the meta device, expected a tensor with values")
    bad = (~table.isfinite()).nonzero()
    if len(bad):
        i, j = bad[0].tolist()
        raise ValueError(f"{label} is {table[i, j].item()} at [{i}, {j}], expected finite numbers")
    return table.cpu().double().numpy()

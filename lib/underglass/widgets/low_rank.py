"""A weight and its updates as LoRAView's data: checked, decomposed, measured and packed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

Factors: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]  # U, S, V^T of a matrix

SIDE = 48  # rows and columns of a picture: cells of 3 pixels on a phone; 1/8 of MiniLM's 384
TERMS = 256  # that the browser can add up: 50 kB a matrix, and far beyond what LoRA uses
FINEST = 32767  # a picture's numbers in 16 bits: steps of 1/32767 of the largest
NOISE = torch.finfo(torch.float32).eps  # B A multiplied out in float32 is not of rank r to the bit
OF_THEIR_OWN = 0.98  # of a picture's numbers have colours of their own, the others the last one
PARTS = ("before", "after", "lora")
SIGNS = {"full": "ΔW", "lora": "BA"}


@dataclass(frozen=True)
class Matrix:
    """A weight, its updates, and what the page is given of them."""

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


def read(matrices: Any) -> list[Matrix]:
    """Every matrix, checked and decomposed."""
    return [_read(name, parts) for name, parts in _named(matrices).items()]


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


def _read(name: str, parts: Any) -> Matrix:
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
    return Matrix(name, tables["before"], updates, factors)


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

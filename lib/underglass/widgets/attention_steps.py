"""Attention for one query, small enough to edit: every number from q · k to the output.

Reference: Vaswani et al. (2017), "Attention Is All You Need", section 3.2.1.
Chapter: chapters/04_attention.ipynb
"""

from collections.abc import Sequence

import numpy as np
import traitlets
from torch import Tensor

from underglass.widgets.frame import Widget

MAX_WIDTH = 6  # numbers in a vector, and
MAX_KEYS = 8  # keys or queries: what still fits a screen as fields to edit
LARGEST = 99.0  # of a number; the same in attention_steps.js
COOLEST, HOTTEST = 0.1, 10.0  # the ends of the temperature slider

Numbers = Tensor | np.ndarray | Sequence


class AttentionSteps(Widget):
    """softmax(q·k / √d) v, one step a row, one key a column; recomputed as a number is dragged.

    The reader may change every number, untick keys (the mask), stop dividing by √d, and change
    the temperature (1 is the paper's). What is changed comes back as `query`, `key`, `value`,
    `mask` (lists), `temperature` and `scaled`.

    Args:
        query: d numbers, or several queries [q d], of which the reader chooses one.
        keys: [k d].
        values: [k d_v].
        tokens: names of the k keys; without them they are called k1, k2, ...
        mask: [k], or [q k] for several queries; True where the query may look.
        query_tokens: names of several queries; `tokens`, where as many.

    Raises:
        ValueError: if the shapes do not fit, there is more than can be edited by hand (vectors of
            6, 8 keys or queries), or a number is not finite or larger than 99.
    """

    files = "attention_steps"

    query = traitlets.List().tag(sync=True)
    key = traitlets.List().tag(sync=True)  # `keys` is ipywidgets' own name for its traits
    value = traitlets.List().tag(sync=True)
    mask = traitlets.List().tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    scaled = traitlets.Bool(True).tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    query_tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _start = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        query: Numbers,
        keys: Numbers,
        values: Numbers,
        *,
        tokens: Sequence[str] | None = None,
        mask: Numbers | None = None,
        query_tokens: Sequence[str] | None = None,
    ) -> None:
        q, k, v = _numbers("query", query), _numbers("keys", keys), _numbers("values", values)
        _check_sizes(q, k, v)
        looks = _mask(mask, (*q.shape[:-1], len(k)))
        asking = q.shape[0] if q.ndim == 2 else 0
        names = _names("tokens", tokens, [f"k{i + 1}" for i in range(len(k))])
        shared = names if tokens is not None and asking == len(k) else None
        numbered = shared or [f"query {i + 1}" for i in range(asking)]
        start = {
            "query": q.tolist(),
            "key": k.tolist(),
            "value": v.tolist(),
            "mask": looks.tolist(),
            "temperature": 1.0,
            "scaled": True,
            "chosen": 0,
        }
        super().__init__(
            **start,
            tokens=names,
            query_tokens=_names("query_tokens", query_tokens, numbered),
            _start=start,
        )

    @traitlets.validate("query", "key", "value")
    def _same_shape(self, proposal: dict) -> list:
        name = proposal["trait"].name
        given, start = _numbers(name, proposal["value"]), np.shape(self._start.get(name, ()))
        if start and given.shape != start:
            raise ValueError(f"{name} has shape {list(given.shape)}, expected {list(start)}")
        return given.tolist()

    @traitlets.validate("mask")
    def _same_mask(self, proposal: dict) -> list:
        start = np.shape(self._start.get("mask", ()))
        return _mask(proposal["value"], start).tolist() if start else proposal["value"]

    @traitlets.validate("temperature")
    def _in_range(self, proposal: dict) -> float:
        value = proposal["value"]
        if not COOLEST <= value <= HOTTEST:
            raise ValueError(f"temperature={value}, expected {COOLEST:g} to {HOTTEST:g}")
        return value

    @traitlets.validate("chosen")
    def _a_query(self, proposal: dict) -> int:
        count = max(1, len(self._start.get("query", ())) if self._many else 1)
        if not 0 <= proposal["value"] < count:
            raise ValueError(f"chosen={proposal['value']}, expected 0 to {count - 1}")
        return proposal["value"]

    @property
    def _many(self) -> bool:
        return np.ndim(self._start.get("query", ())) == 2

    def _summary(self) -> str:
        queries = len(self.query) if self._many else 1
        return f"{_count(queries, 'query', 'queries')}, {_count(len(self.key), 'key', 'keys')}"


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _numbers(name: str, given: Numbers) -> np.ndarray:
    """`given` as float64, each number finite and small enough for a field."""
    if isinstance(given, Tensor):
        given = given.detach().cpu().double().numpy()
    try:
        numbers = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={given!r}, expected rows of numbers of one length") from error
    for number in numbers.flat:
        if not abs(number) <= LARGEST:  # false for NaN too
            raise ValueError(f"{name} holds {number:g}, expected numbers from -99 to 99")
    return numbers


def _check_sizes(query: np.ndarray, keys: np.ndarray, values: np.ndarray) -> None:
    if query.ndim not in (1, 2):
        raise ValueError(f"query has shape {list(query.shape)}, expected [d] or [q d]")
    for name, table in (("keys", keys), ("values", values)):
        if table.ndim != 2:
            raise ValueError(f"{name} has shape {list(table.shape)}, expected two axes")
    if query.shape[-1] != keys.shape[1]:
        raise ValueError(
            f"query has {query.shape[-1]} numbers and each key {keys.shape[1]}, expected as many"
        )
    if len(keys) != len(values):
        raise ValueError(f"there are {len(keys)} keys and {len(values)} values, expected as many")
    queries = 1 if query.ndim == 1 else len(query)
    for what, size, most in (
        ("keys", len(keys), MAX_KEYS),
        ("queries", queries, MAX_KEYS),
        ("numbers in a key", keys.shape[1], MAX_WIDTH),
        ("numbers in a value", values.shape[1], MAX_WIDTH),
    ):
        if not 1 <= size <= most:
            raise ValueError(f"{size} {what}, expected 1 to {most}: more cannot be edited by hand")


def _mask(given: Numbers | None, shape: tuple[int, ...]) -> np.ndarray:
    """The mask as booleans of `shape`; one for all queries is repeated for each."""
    if given is None:
        return np.ones(shape, dtype=bool)
    mask = np.asarray(given.cpu().numpy() if isinstance(given, Tensor) else given)
    if mask.dtype != bool:
        raise ValueError(f"mask holds {mask.dtype}, expected booleans, True where one may look")
    if mask.shape not in (shape, shape[-1:]):
        raise ValueError(f"mask has shape {list(mask.shape)}, expected {list(shape)}")
    return np.broadcast_to(mask, shape)


def _names(argument: str, given: Sequence[str] | None, default: list[str]) -> list[str]:
    if given is None:
        return default
    if len(given) != len(default):
        raise ValueError(f"{argument} has {len(given)} names, expected {len(default)}")
    return [str(name) for name in given]

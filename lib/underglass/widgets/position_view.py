"""How positions become numbers: the sinusoidal code and the rotary turn, to play with.

References: Vaswani et al. (2017), "Attention Is All You Need", section 3.5;
Su et al. (2021), "RoFormer", section 3.2.
Chapter: chapters/04_attention.ipynb
"""

import traitlets

from underglass.widgets.frame import Widget

LONGEST = 512  # positions, and
WIDEST = 128  # dimensions: a heat map of these is drawn in a few milliseconds
SMALLEST, GREATEST = 10.0, 1e6  # the ends of the slider of the base


class PositionView(Widget):
    """Sinusoidal and rotary positions, and how their dot products depend on distance.

    Sinusoidal: the code as a heat map, some of its dimensions as curves, and the dot product of one
    position's code with every other. Rotary: a query and a key turned pair by pair, and the score
    for every distance. The numbers are those of `underglass.positions`, computed in the page.

    The traits `kind`, `d_model`, `base`, `position`, `dimension`, `query_position` and
    `key_position` follow what the reader does.

    Args:
        max_len: positions shown, 2 to 512.
        d_model: width of the code, or of a rotary query and key; even, 2 to 128.
        base: the slowest wave is about `base` times longer than the fastest; 10 to 1,000,000.
        kind: what is shown first, "sinusoidal" or "rotary".
    """

    files = "position_view"

    kind = traitlets.Unicode("sinusoidal").tag(sync=True)
    max_len = traitlets.Int(64).tag(sync=True)
    d_model = traitlets.Int(32).tag(sync=True)
    base = traitlets.Float(10000.0).tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)
    dimension = traitlets.Int(0).tag(sync=True)
    kept = traitlets.List(traitlets.Int()).tag(sync=True)
    query_position = traitlets.Int(0).tag(sync=True)
    key_position = traitlets.Int(0).tag(sync=True)
    content = traitlets.Unicode("alike").tag(sync=True)
    _start = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        max_len: int = 64,
        d_model: int = 32,
        base: float = 10000.0,
        *,
        kind: str = "sinusoidal",
    ) -> None:
        if not 2 <= max_len <= LONGEST:
            raise ValueError(f"max_len={max_len}, expected 2 to {LONGEST}")
        _check_width(d_model)
        eighth = 2 * (d_model // 16)  # a wave that a few dozen positions show well
        start = {
            "max_len": max_len,
            "kind": kind,
            "d_model": d_model,
            "base": float(base),
            "position": max_len // 3,
            "dimension": eighth,
            "kept": [i for i in (0, 2 * eighth) if i != eighth],
            "query_position": max_len // 4,
            "key_position": min(max_len // 4 + 4, max_len - 1),  # near: some pairs have turned
            "content": "alike",
        }
        super().__init__(**start, _start=start)

    @traitlets.validate("max_len")
    def _as_made(self, proposal: dict) -> int:
        if self._start and proposal["value"] != self._start["max_len"]:
            raise ValueError("max_len is fixed when the widget is made")
        return proposal["value"]

    @traitlets.validate("d_model")
    def _even_and_drawable(self, proposal: dict) -> int:
        return _check_width(proposal["value"])

    @traitlets.validate("base")
    def _in_the_slider(self, proposal: dict) -> float:
        if not SMALLEST <= proposal["value"] <= GREATEST:  # false for NaN too
            raise ValueError(f"base={proposal['value']:g}, expected 10 to 1000000")
        return proposal["value"]

    @traitlets.validate("kind")
    def _known(self, proposal: dict) -> str:
        return _check_choice("kind", proposal["value"], ("sinusoidal", "rotary"))

    @traitlets.validate("content")
    def _known_content(self, proposal: dict) -> str:
        return _check_choice("content", proposal["value"], ("alike", "different"))

    @traitlets.validate("position", "query_position", "key_position", "dimension")
    def _within(self, proposal: dict) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        count = WIDEST if name == "dimension" else self._start.get("max_len", LONGEST)
        if not 0 <= value < count:
            raise ValueError(f"{name}={value}, expected 0 to {count - 1}")
        return value

    def _summary(self) -> str:
        return f"{self.max_len} positions, {self.d_model} dimensions"


def _check_width(d_model: int) -> int:
    if d_model % 2 or not 2 <= d_model <= WIDEST:
        raise ValueError(f"d_model={d_model}, expected an even number, 2 to {WIDEST}")
    return d_model


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{name}={value!r}, expected one of {', '.join(map(repr, choices))}")
    return value

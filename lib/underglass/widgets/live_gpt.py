"""The course's GPT on the reader's own words: probabilities, sampling, attention, logit lens.

The logit lens, which reads the stream after every block as if it were the last: nostalgebraist
(2020), "interpreting GPT: the logit lens". Top-k, top-p and temperature: see
`underglass.generation`.
Chapter: chapters/10_generation.ipynb
"""

import math
from functools import cache

from traitlets import Bytes, Dict, Float, Int, TraitError, Unicode, validate

from underglass import pretrained
from underglass.models.gpt import GPT
from underglass.quantization import quantized
from underglass.tokenizers import BPE
from underglass.widgets import live_packing
from underglass.widgets.live_gpt_example import read_text, work_out
from underglass.widgets.live_model import LiveModel

TEXT = "The state of the Union is"
SEEDS = 2**32


class LiveGPT(LiveModel):
    """A GPT that runs in the reader's browser, on whatever the reader types.

        LiveGPT("We have made great progress", temperature=0.8, top_p=0.95)

    The text shows at once, worked out here with the same 8-bit weights that the page runs; they
    come, a few megabytes, when the reader first types, changes a token or generates. Before that
    the sliders work on what is carried: of each distribution the 200 likeliest tokens, and all
    others in 64 groups without names.

    Every token is shown with the probability that the model gave it from those before it. Bars say
    what could stand at a place: as the model gives it, and after temperature, top-k and top-p, in
    this order, as in `underglass.generation`. The random number of a place follows from the seed
    and the place alone, so that the same text, seed and settings give the same continuation.

    The traits follow what the reader does, and can be set from Python:

        text: what the model reads; setting it brings the model into the page
        place: the token whose alternatives are shown, counted from 1; None is what comes next
        temperature: 0 (the likeliest token) to 2
        top_k: how many of the likeliest tokens may be drawn, or None for all
        top_p: the share of the probability that may be drawn, above 0 and up to 1, or None for all
        seed: 0 to 2**32 - 1

    Args:
        text: the example, at most 24 tokens.

    Raises:
        ValueError: if the text is too long, or a number is out of its range.
        TypeError: if the text is not a string.
    """

    model_name = "speeches_gpt"
    files = "live_gpt"
    before = (
        *LiveModel.before,
        "attention_drawing",
        "live_gpt_texts",
        "live_gpt_parts",
        "live_gpt_picture",
    )

    text = Unicode().tag(sync=True)
    place = Int(None, allow_none=True).tag(sync=True)
    temperature = Float(1.0).tag(sync=True)
    top_k = Int(None, allow_none=True).tag(sync=True)
    top_p = Float(None, allow_none=True).tag(sync=True)
    seed = Int(0).tag(sync=True)
    _example = Dict().tag(sync=True)
    _numbers = Bytes().tag(sync=True)

    def __init__(
        self,
        text: str = TEXT,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        model, tokenizer = _model(), pretrained.tokenizer(self.model_name, BPE)
        known, numbers = work_out(model, tokenizer, read_text(tokenizer, text))
        known |= {"text": text, "room": model.config.max_len, "megabytes": _megabytes()}
        super().__init__(
            text=text,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            _example=known,
            _numbers=numbers,
        )

    def _summary(self) -> str:
        count = len(self._example["ids"]) - 1
        return f"{self.model_name}, {count} token{'s' * (count != 1)}"

    @validate("temperature")
    def _valid_temperature(self, proposal: dict) -> float:
        return _within("temperature", proposal["value"], 0.0, 2.0)

    @validate("top_k")
    def _valid_top_k(self, proposal: dict) -> int | None:
        value = proposal["value"]
        if value is not None and value < 1:
            raise Refused(f"top_k={value}, expected at least 1, or None")
        return value

    @validate("top_p")
    def _valid_top_p(self, proposal: dict) -> float | None:
        value = proposal["value"]
        if value is None:
            return None
        if not 0 < value <= 1:
            raise Refused(f"top_p={value}, expected a share above 0 and up to 1, or None")
        return value

    @validate("seed")
    def _valid_seed(self, proposal: dict) -> int:
        return _within("seed", proposal["value"], 0, SEEDS - 1)

    @validate("place")
    def _valid_place(self, proposal: dict) -> int | None:
        value = proposal["value"]
        return None if value is None else _within("place", value, 1, self._example["room"])


class Refused(TraitError, ValueError):
    """A value that a trait cannot take; traitlets puts the old value back."""


def _within(name: str, value, least, most):
    if not (math.isfinite(value) and least <= value <= most):
        raise Refused(f"{name}={value}, expected {least} to {most}")
    return value


@cache
def _model() -> GPT:
    """The model as the page runs it."""
    return quantized(pretrained.load(LiveGPT.model_name, GPT))


@cache
def _megabytes() -> str:
    """What the page fetches, as it is served: base64 has four letters for three bytes."""
    return f"{len(live_packing.packed(LiveGPT.model_name)) * 4 / 3 / 1e6:.1f}"

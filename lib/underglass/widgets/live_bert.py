"""The course's BERT on the reader's own words: hide some, and see what it would put there.

Reference: Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers", section
3.1 (masked words).
Chapter: chapters/08_pretraining.ipynb
"""

from collections.abc import Iterable
from functools import cache

from traitlets import Dict, Int, List, Unicode, validate

from underglass import pretrained
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.quantization import quantized
from underglass.tokenizers import BPE
from underglass.widgets import live_packing
from underglass.widgets.live_bert_example import MASK, read_hidden, read_words, work_out
from underglass.widgets.live_model import LiveModel

TEXT = "The Congress of the United States has the power to declare war."


class LiveBERT(LiveModel):
    """A BERT that runs in the reader's browser, and guesses the words that the reader hides.

        LiveBERT("We the people of the United States", hidden="people")
        LiveBERT("We the people of the United States", hidden=(2, 5))

    A hidden word has a mask for each of its tokens. For each mask the widget shows the likeliest
    tokens, and the probability and the rank of the one that stood there. Several words may be
    hidden: the model then guesses each without knowing the others, as it was trained.

    The example shows at once, also with any single one of its words hidden, worked out here with
    the same 8-bit weights that the page runs; they come, a few megabytes, when the reader hides
    several words, or types.

    The traits follow what the reader does, and can be set from Python:

        text: what the model reads
        hidden: numbers of the words that are hidden, counted from 0. A word is what the tokenizer
            takes for one: punctuation stands alone. Numbers beyond the last word hide nothing.

    Args:
        text: the example, at most 40 tokens.
        hidden: its words, or their numbers, to be hidden at first; or one of them.

    Raises:
        ValueError: if the text has no token or too many, or a word to be hidden is not there, or
            several times.
        TypeError: if the text is not a string, or hidden holds neither words nor numbers.
    """

    model_name = "speeches_bert"
    files = "live_bert"
    before = (*LiveModel.before, "token_text")

    text = Unicode().tag(sync=True)
    hidden = List(Int()).tag(sync=True)
    _example = Dict().tag(sync=True)

    def __init__(
        self, text: str = TEXT, *, hidden: Iterable[str | int] | str | int = "power"
    ) -> None:
        model, tokenizer = _model(), pretrained.tokenizer(self.model_name, BPE)
        words = read_words(tokenizer, text)
        numbers = read_hidden(words, hidden)
        known = work_out(model, tokenizer, words, numbers)
        sizes = {"vocabulary": model.config.vocab_size, "room": model.config.max_len}
        known |= sizes | {"text": text, "start": numbers, "mask": MASK, "megabytes": _megabytes()}
        super().__init__(text=text, hidden=numbers, _example=known)

    @validate("hidden")
    def _valid_hidden(self, proposal: dict) -> list[int]:
        for number in proposal["value"]:
            if number < 0:
                raise ValueError(f"hidden holds {number}, expected numbers of words, from 0 on")
        return sorted({*proposal["value"]})

    def _summary(self) -> str:
        count = len(self._example["words"])
        return f"{self.model_name}, {count} word{'s' * (count != 1)}"


@cache
def _model() -> BERTForMaskedLM:
    """The model as the page runs it."""
    return quantized(pretrained.load(LiveBERT.model_name, BERTForMaskedLM))


@cache
def _megabytes() -> str:
    """What the page fetches, as it is served: base64 has four letters for three bytes."""
    return f"{len(live_packing.packed(LiveBERT.model_name)) * 4 / 3 / 1e6:.1f}"

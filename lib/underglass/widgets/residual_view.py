"""One token on its way through every layer: its vector, what is added to it, and the logit lens.

References: Elhage et al. (2021), "A Mathematical Framework for Transformer Circuits" (the residual
stream); nostalgebraist (2020), "interpreting GPT: the logit lens".
Chapter: chapters/05_architectures.ipynb
"""

from collections.abc import Sequence

import traitlets

from underglass.models.residual import Trace
from underglass.tokenizers import BPE
from underglass.widgets import residual_view_steps as steps
from underglass.widgets.frame import Widget


class ResidualView(Widget):
    """The residual stream at one token, step after step, and what the model would say there.

        found = residual.trace(gpt, ids)
        ResidualView(found, bpe)

    A step is the embedding, or what one attention or one feed-forward net adds. For each the widget
    shows how long the vector then is; how long the addition was, at what angle to the vector before
    it, and by how much it turned it; the four most probable next tokens by the logit lens, the
    probability and the rank of the token that really comes next, and which three tokens the step
    raised most, and lowered most, in probability. (After the last token of the text nothing is
    known to come.)

    The traits follow what the reader does, and can be set from Python:

        position: which token, counted from 0
        step: 0 is the embedding, 1 and 2 attention and feed-forward net of block 0, and so on
        other: the position of a second token, whose curves are drawn beside, or None

    Args:
        trace: of one text, [1 seq] ids; up to 131 tokens of a model with 5 blocks, 58 with 12.
        tokens: how each token is written: the tokenizer, or a string for each id.
        position: at the start; the last token but one unless given.
        step: at the start; the last unless given.

    Raises:
        ValueError: if the trace is of several texts, too many tokens or numbers that are not
            finite; if there is not one string for each id; if a position or step is not there.
        TypeError: if trace is no trace, or tokens are no tokenizer and no strings.
    """

    files = "residual_view"
    before = ("scales", "token_text")

    position = traitlets.Int(0).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    other = traitlets.Int(None, allow_none=True).tag(sync=True)
    _shape = traitlets.Dict().tag(sync=True)
    _names = traitlets.Dict().tag(sync=True)
    _text = traitlets.List(traitlets.Int()).tag(sync=True)
    _ids = traitlets.Bytes().tag(sync=True)
    _numbers = traitlets.Bytes().tag(sync=True)

    def __init__(
        self,
        trace: Trace,
        tokens: BPE | Sequence[str],
        *,
        position: int | None = None,
        step: int | None = None,
    ) -> None:
        trace = steps.read(trace)
        vocab_size = trace.model.config.vocab_size
        names = steps.names_of(tokens, vocab_size)
        ids, numbers = steps.numbers(trace)
        text = trace.ids[0].tolist()
        candidates, moved = steps.counts(vocab_size)
        super().__init__(
            _shape={
                "steps": len(ids),
                "candidates": candidates,
                "moved": moved,
                "vocabulary": vocab_size,
                "width": trace.stream.shape[-1],
            },
            _names={str(i): names[i] for i in sorted({*text, *ids.flatten().tolist()})},
            _text=text,
            _ids=ids.numpy().astype("<u4").tobytes(),
            _numbers=numbers.numpy().astype("<f4").tobytes(),
            position=max(0, len(text) - 2) if position is None else position,
            step=len(ids) - 1 if step is None else step,
        )

    @traitlets.validate("position", "other", "step")
    def _valid(self, proposal: dict) -> int | None:
        name, value = proposal["trait"].name, proposal["value"]
        size = self._shape.get("steps", 0) if name == "step" else len(self._text)
        if size and value is not None and not 0 <= value < size:
            also = "None or " if name == "other" else ""
            raise ValueError(f"{name}={value}, expected {also}0 to {size - 1}")
        return value

    def _summary(self) -> str:
        count = len(self._text)
        return f"{count} token{'s' * (count != 1)}, {self._shape['steps']} steps"

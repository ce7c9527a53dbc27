"""Predictions of a classifier to read one by one: sorted, filtered, searched, and opened.

The interval of an accuracy: Wilson (1927), "Probable Inference, the Law of Succession, and
Statistical Inference".
Chapter: chapters/09_fine_tuning.ipynb
"""

from collections.abc import Mapping, Sequence
from typing import Any

from traitlets import Bytes, Dict, Enum, Float, Int, List, Unicode, validate

from underglass.widgets.error_table import check_names, read_attention, read_predictions
from underglass.widgets.frame import Widget

OUTCOMES = ("all", "right", "wrong", "attention")
ORDERS = ("loss", "surest", "unsure", "given")
GROUPS = ("slice", "confidence")
REASONS = ("negation", "irony", "praise and blame", "needs knowledge", "label is doubtful", "other")


class ErrorBrowser(Widget):
    """Every prediction of a classifier with two classes, to find its errors and read them.

        ErrorBrowser([{"text": "Not bad at all.", "label": 1, "probability": 0.03,
                       "slices": ["negation"], "note": "rated 1.9 by 15 people"}, ...])

    The predicted class is 1 where the probability is above a half, and the confidence is the
    probability of the predicted class, 0.5 to 1. Of all sentences that match the filters the widget
    tells the accuracy with Wilson's 95 % interval, and the same for every slice or range of
    confidence; `outcome` decides which of them are listed. The reader can give each error a reason.

    The traits follow what the reader does, and can be set from Python:

        outcome: which of those that match are listed: "all", "right", "wrong", or those whose
            "attention" is held
        slice: name of a slice, or "" for every sentence
        label: only sentences labelled so, 0 or 1; None for both
        least, most: the range of confidence, from `least` up to but not `most` (1 is within)
        search: only texts that contain this, in small letters or capitals; " not " with its spaces
            finds no "nothing"
        order: "loss" (from the surest error to the surest hit), "surest", "unsure" or "given"
        group: what the table compares, "slice" or "confidence"
        opened: index of the sentence that is read, or None for the first listed
        given: the reasons the reader gave: index, as a string -> name

    Args:
        predictions: one mapping a sentence: "text"; "label", the true class, 0 or 1; "probability"
            of class 1; if known "slices", the names of the groups it belongs to, and a "note".
        classes: the names of class 0 and of class 1.
        attention: index of a prediction -> (tokens, before, after): the tokens of its text, and the
            attention weights of a model before and after fine-tuning, of any kind that
            `AttentionView` takes. A weight takes a byte, so that means over the heads of six
            layers take 4 kB before and 4 kB after for a sentence of 25 tokens.
        reasons: what a reader may choose from as the reason of an error.

    Raises:
        ValueError: if a field is missing or unknown, a value is outside its range, or attention
            and tokens do not fit together.
        TypeError: if something is not of the kind that is named above.
    """

    files = "error_browser"
    before = ("attention_drawing",)

    outcome = Enum(OUTCOMES, default_value="wrong").tag(sync=True)
    slice = Unicode("").tag(sync=True)
    label = Int(None, allow_none=True).tag(sync=True)
    least = Float(0.5).tag(sync=True)
    most = Float(1.0).tag(sync=True)
    search = Unicode("").tag(sync=True)
    order = Enum(ORDERS, default_value="loss").tag(sync=True)
    group = Enum(GROUPS, default_value="slice").tag(sync=True)
    opened = Int(None, allow_none=True).tag(sync=True)
    given = Dict().tag(sync=True)
    # What the page shows: see error_table.
    _texts = List(Unicode()).tag(sync=True)
    _labels = Bytes().tag(sync=True)
    _probabilities = Bytes().tag(sync=True)
    _slices = List(Dict()).tag(sync=True)
    _notes = Dict().tag(sync=True)
    _attended = List(Dict()).tag(sync=True)
    _attention = Bytes().tag(sync=True)
    _classes = List(Unicode()).tag(sync=True)
    _reasons = List(Unicode()).tag(sync=True)

    def __init__(
        self,
        predictions: Any,
        *,
        classes: Sequence = ("negative", "positive"),
        attention: Mapping | None = None,
        reasons: Sequence = REASONS,
    ) -> None:
        data = read_predictions(predictions)
        names = check_names("classes", classes)
        if len(names) != 2:
            raise ValueError(f"classes={names}, expected two names")
        super().__init__(
            **data,
            **read_attention({} if attention is None else attention, len(data["_texts"])),
            _classes=names,
            _reasons=check_names("reasons", reasons),
            group="slice" if data["_slices"] else "confidence",
        )

    @validate("slice")
    def _valid_slice(self, proposal: dict) -> str:
        names = [one["name"] for one in self._slices]
        if proposal["value"] not in ["", *names]:
            raise ValueError(f"slice={proposal['value']!r}, expected '' or one of {names}")
        return proposal["value"]

    @validate("label")
    def _valid_label(self, proposal: dict) -> int | None:
        if proposal["value"] not in (None, 0, 1):
            raise ValueError(f"label={proposal['value']!r}, expected 0, 1 or None")
        return proposal["value"]

    @validate("least", "most")
    def _valid_confidence(self, proposal: dict) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        if not 0.5 <= value <= 1:
            raise ValueError(f"{name}={value}, expected 0.5 to 1")
        return value

    @validate("opened")
    def _valid_opened(self, proposal: dict) -> int | None:
        value, last = proposal["value"], len(self._texts) - 1
        if value is not None and not 0 <= value <= last:
            raise ValueError(f"opened={value}, expected 0 to {last} or None")
        return value

    @validate("given")
    def _valid_given(self, proposal: dict) -> dict[str, str]:
        known = [str(i) for i in range(len(self._texts))]
        for index, reason in proposal["value"].items():
            if index not in known:
                raise ValueError(f"given names {index!r}, expected '0' to {known[-1]!r}")
            if reason not in self._reasons:
                raise ValueError(f"given[{index!r}]={reason!r}, expected one of {self._reasons}")
        return proposal["value"]

    def _summary(self) -> str:
        count = len(self._texts)
        parts = [f"{count} sentence{'s' * (count != 1)}"]
        if self._slices:
            parts.append(f"{len(self._slices)} slice{'s' * (len(self._slices) != 1)}")
        if self._attended:
            parts.append(f"attention of {len(self._attended)}")
        return ", ".join(parts)

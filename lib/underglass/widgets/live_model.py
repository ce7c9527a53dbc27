"""The base of the widgets that run a model in the reader's browser.

A page that shows one of them is no heavier for it: the weights come when the reader first asks, in
the static page from files beside it, in a live notebook by messages from Python. None of it is in
the widget's state.
"""

from typing import Any, ClassVar

from traitlets import Unicode

from underglass.widgets import live_packing
from underglass.widgets.frame import Widget


class LiveModel(Widget):
    """A widget whose script has the engine before it, and `loadModel` to ask for the weights.

        class LiveGPT(LiveModel):
            model_name = "speeches_gpt"
            files = "live_gpt"
            before = (*LiveModel.before, "attention_drawing")

    What the engine offers stands at the head of each of its files, engine_*.js.
    """

    model_name: ClassVar[str]
    before: ClassVar[tuple[str, ...]] = (
        "engine_simd",
        "engine_numbers",
        "engine_text",
        "engine_models",
        "engine_sampling",
        "engine_loading",
    )

    _live_model = Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(_live_model=self.model_name, **traits)
        self.on_msg(self._answer)

    def _answer(self, _: Any, question: Any, __: Any) -> None:
        """The page asks for one part of the weights, and for the next when it has that."""
        if not isinstance(question, dict) or question.get("ask") != "weights":
            return
        parts, at = live_packing.parts(live_packing.packed(self.model_name)), question.get("part")
        if type(at) is int and 0 <= at < len(parts):
            answer = {"answer": "weights", "part": at, "parts": len(parts)}
            self.send(answer, buffers=[parts[at]])

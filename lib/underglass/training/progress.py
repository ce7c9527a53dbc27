"""Progress: a bar on a terminal, the curves in a notebook, and nothing anywhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from underglass.training.history import History


@runtime_checkable
class Progress(Protocol):
    def update(self, history: History) -> None: ...

    def close(self, history: History) -> None: ...


@contextmanager
def showing(history: History, steps: int, wanted: bool) -> Iterator[Progress]:
    """What fits the place: nothing is written to a notebook's stdout or stderr, or to a file."""
    progress = _progress_of(history, steps) if wanted else Nothing()
    try:
        yield progress
    finally:
        progress.close(history)


def _progress_of(history: History, steps: int) -> Progress:
    if _in_notebook():
        return Curves(history)
    if sys.stderr is not None and sys.stderr.isatty():
        return Bar(history, steps)
    return Nothing()


class Nothing:
    def update(self, history: History) -> None:
        pass

    def close(self, history: History) -> None:
        pass


class Bar:
    """tqdm's bar on stderr: steps, time left, and the loss."""

    def __init__(self, history: History, steps: int) -> None:
        from tqdm import tqdm  # here, so that who sees no bar need not wait for its import

        self._bar = tqdm(total=steps, initial=len(history), unit="step", desc=history.name or None)

    def update(self, history: History) -> None:
        self._bar.set_postfix_str(_last(history), refresh=False)
        self._bar.update(len(history) - self._bar.n)

    def close(self, history: History) -> None:
        self._bar.close()


class Curves:
    """The widget `TrainingCurves`, which grows while the cell runs, a few times a second."""

    def __init__(self, history: History) -> None:
        from IPython.display import display

        from underglass.widgets import TrainingCurves

        self._widget = TrainingCurves(history)
        display(self._widget)

    def update(self, history: History) -> None:
        self._widget.update(history)

    def close(self, history: History) -> None:
        self._widget.update(history)
        self._widget.flush()


def _last(history: History) -> str:
    texts = [f"loss {history.loss[-1]:.4g}"]
    if history.validation_loss:
        texts.append(f"validation {history.validation_loss[-1]:.4g}")
    return ", ".join(texts)


def _in_notebook() -> bool:
    """Whether a kernel runs this: IPython on a terminal has none."""
    module: Any = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and hasattr(shell, "kernel")

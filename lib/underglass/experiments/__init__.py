"""Experiments: the small GPT that chapters train, and runs of it that were recorded beforehand.

    recording = recorded("optimizer_rates")
    recording.where(optimizer="Adam", rate=0.01)       # its runs, one for each seed
    recording.grid("optimizer", "rate")                # {"Adam": {0.01: [history, ...], ...}, ...}

Chapters run for a minute; what takes longer is in such a file, with its command, seeds, hardware
and commit. `python -m underglass.experiments NAME` makes it again.
Chapter: chapters/07_optimizers.ipynb
"""

from underglass.experiments import speeches_gpt
from underglass.experiments.recording import Recording, Run, Spread, recorded

__all__ = ["Recording", "Run", "Spread", "recorded", "speeches_gpt"]

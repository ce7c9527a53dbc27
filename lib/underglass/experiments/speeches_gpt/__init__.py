"""The small GPT that chapter 07 trains, and that the recorded runs repeat: one task, written once.

    model = speeches_gpt.model(seed=0).to(device())
    optimizer = speeches_gpt.optimizer("AdamW", model, 0.004)
    fit(model, speeches_gpt.batches(seed=0), optimizer, loss=speeches_gpt.loss, steps=100)

Two layers, 64 wide, read the State of the Union speeches from 1961 on, in tokens of a vocabulary of
512. A step takes about 15 milliseconds on one CPU core, so that a cell can afford a few hundred.
All chance is in the seeds: the same seed gives the same weights and the same batches anywhere.
Chapter: chapters/07_optimizers.ipynb
"""

from underglass.experiments.speeches_gpt.reading import Batches, batches, texts, validation
from underglass.experiments.speeches_gpt.training import loss, model, optimizer

__all__ = ["Batches", "batches", "loss", "model", "optimizer", "texts", "validation"]

"""Training: the loop that every chapter uses, and the record that it keeps.

    history = fit(model, batches, AdamW(model.parameters()), loss=loss, steps=1000)

The loop is `fit`; each thing that it needs is a file: the batches and their order, the loss and how
it is weighed, the gradients of a step, checkpoints, several processes, progress.
Chapter: chapters/08_pretraining.ipynb
"""

from underglass.training.batches import Batch, Loss
from underglass.training.fit import fit
from underglass.training.gradients import NonFiniteError
from underglass.training.history import History

__all__ = ["Batch", "History", "Loss", "NonFiniteError", "fit"]

"""The training loop.

    for each step:
        take the gradient of the loss on some batches, and clip it
        go a step along it, and note what happened

Everything else that `fit` takes care of lies around these lines: other files have it.
References: Micikevicius et al. (2018), "Mixed Precision Training", section 3.2 (fp16's scaler);
Pascanu et al. (2013), "On the difficulty of training recurrent neural networks", section 3.2
(clipping); Prechelt (1998), "Early Stopping - But When?", section 2 (patience).
Chapter: chapters/08_pretraining.ipynb
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import nn
from torch.optim import Optimizer

from underglass.schedules import Schedule
from underglass.training import checks
from underglass.training.batches import Batch, Loss
from underglass.training.history import History
from underglass.training.progress import showing
from underglass.training.settings import Callback, Settings
from underglass.training.start import start


def fit(
    model: nn.Module,
    batches: Iterable[Batch],
    optimizer: Optimizer | Sequence[Optimizer],
    *,
    loss: Loss,
    steps: int,
    schedule: Schedule | None = None,
    validation: Iterable[Batch] | None = None,
    validate_every: int = 100,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 1000,
    accumulate: int = 1,
    max_norm: float | None = None,
    precision: str | None = None,
    sharded: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    name: str = "",
) -> History:
    """w = w - rate(step) · direction(∇ loss(w, batch)), `steps` times: train the model in place.

    Under `torchrun` the processes share the rows of every batch, and take the steps that one
    process would take. Whatever else is random is torch's own (dropout), from the generators as
    they stand: seed them before (and each process differently).

    Args:
        batches: tensors, or tuples, lists or dicts of them, epoch after epoch; each tensor's first
            axis is the batch. They must come in the same order whenever they are asked for; for
            another order in each epoch, give them a method `set_epoch(epoch)`. `fit` moves them to
            the model's device.
        optimizer: one, or several that train different parameters (Muon and AdamW).
        loss: (model, batch) -> the mean over the batch's rows, or (sum, count) where rows count
            unequally, as with padding. It must call `model(...)`: under torchrun that is a wrapper
            without the model's other methods.
        steps: how many in all, those before a checkpoint included.
        schedule: the factor of the optimizer's rate at each step (`underglass.schedules`).
        validation: batches whose loss is taken after every `validate_every` steps and at the end.
        patience: stop after so many validations in a row without a new lowest loss.
        checkpoint: a file to continue from, if it is there, and to write every `checkpoint_every`
            steps and at the end. After SIGKILL the same call goes on, to the same bits.
        accumulate: so many batches make one step, as one large batch would.
        max_norm: shorten the gradient to this length where it is longer.
        precision: None for the model's own, or "bf16" or "fp16" for the products of matrices.
        sharded: under torchrun, each process holds a share of every parameter and of the
            optimizer's state, not all of it. The model stays so; the checkpoint is whole.
        callbacks: called with (model, history) after each step; True ends the run.
        progress: whether to show a bar on a terminal, or curves in a notebook.
        name: what pictures call the run.

    Returns:
        What happened at each step, those before a checkpoint included.

    Raises:
        TypeError, ValueError: if an argument is not what was expected, or the checkpoint is of
            another configuration (the message names what differs) or beyond `steps`.
        NonFiniteError: if the loss or a gradient is not finite; that step is not taken, nor saved.
        OSError: if a checkpoint cannot be written; the last one is intact.
    """
    checks.check_model(model)
    checks.check_name(name)
    optimizers = checks.as_optimizers(optimizer, model)
    settings = Settings(
        loss=loss,
        steps=steps,
        schedule=schedule,
        validation=validation,
        validate_every=validate_every,
        patience=patience,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        accumulate=accumulate,
        max_norm=max_norm,
        precision=precision,
        sharded=sharded,
        callbacks=callbacks,
    )
    run = start(model, batches, optimizers, settings)
    run.history.name = name
    with run.training(), showing(run.history, steps, progress and run.world.is_first) as show:
        while not run.is_over:
            run.take_step()
            run.validate()
            show.update(run.history)
            run.ask_callbacks()
            run.save()
    return run.history

"""What a reader is told who calls `fit` with something that it cannot work with."""

import functools
import warnings

import pytest
import torch
from refusals import refused
from torch import nn
from training_cases import Shuffled, mean_loss, tiny_gpt
from underglass import schedules
from underglass.optimizers import SGD
from underglass.training import fit

MODEL = tiny_gpt()
OTHER = nn.Linear(2, 3)


def call(**changes):
    arguments = dict(
        model=MODEL,
        batches=Shuffled(),
        optimizer=SGD(MODEL.parameters(), 0.1),
        loss=mean_loss,
        steps=3,
    )
    return fit(**{**arguments, **changes})


class Forgetful:
    """Batches in another order at every call."""

    def __iter__(self):
        return iter([torch.randint(0, 31, (2, 5))])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (dict(model=mean_loss), TypeError, r"model is a function: expected a torch\.nn\.Module"),
        (
            dict(model=nn.Linear(2, 3, device="meta")),
            ValueError,
            "model has no numbers in weight: expected a device other than meta",
        ),
        (dict(model=nn.ReLU()), ValueError, "model has no parameters: expected some to train"),
        (dict(batches=3), TypeError, "batches is a int: expected batches to iterate over"),
        (dict(batches=iter([])), TypeError, "batches is a list_iterator, which can be read once"),
        (dict(batches=[]), ValueError, "batches is empty: expected at least one batch"),
        (dict(batches=["text"]), TypeError, "batches holds a str without tensors: expected tenso"),
        (dict(batches=Forgetful()), ValueError, "batches began with another batch when it was as"),
        (dict(optimizer=None), TypeError, r"optimizer is a NoneType: expected a torch\.optim\.Op"),
        (dict(optimizer=[]), TypeError, r"optimizer is a list: expected a torch\.optim\.Optimize"),
        (
            dict(optimizer=SGD(OTHER.parameters())),
            ValueError,
            r"optimizer trains params\[0\] \(3, 2\), which model does not have",
        ),
        (
            dict(optimizer=[SGD(MODEL.parameters()), SGD([MODEL.tokens.weight])]),
            ValueError,
            r"optimizer trains params\[0\] \(31, 12\), which another one trains too",
        ),
        (
            dict(optimizer=torch.optim.AdamW(MODEL.parameters(), torch.tensor(0.1))),
            TypeError,
            "optimizer has a tensor as lr: expected a number",
        ),
        (dict(loss=3), TypeError, "loss is a int: expected a function"),
        (dict(loss=lambda m, x: 3.0), TypeError, "loss returned a float: expected a tensor with o"),
        (dict(loss=lambda m, x: m(x)), ValueError, r"loss returned torch\.float64 of shape \(5, 1"),
        (
            dict(loss=lambda m, x: torch.zeros(())),
            ValueError,
            "loss depends on no parameter that can be trained",
        ),
        (
            dict(loss=lambda m, x: (mean_loss(m, x), "many")),
            TypeError,
            "loss returned the count 'many': expected one number",
        ),
        (dict(steps=0), ValueError, "steps=0: expected at least 1"),
        (dict(steps=1.5), TypeError, r"steps=1\.5: expected a whole number"),
        (dict(schedule=0.1), TypeError, "schedule is a float: expected a function"),
        (
            dict(schedule=lambda step: 1.0 - step),
            ValueError,
            r"schedule\(2\) is -1\.0: expected a finite number, at least 0",
        ),
        (dict(validation=[]), ValueError, "validation is empty: expected at least one batch"),
        (dict(validate_every=0), ValueError, "validate_every=0: expected at least 1"),
        (dict(patience=0, validation=Shuffled()), ValueError, "patience=0: expected at least 1"),
        (dict(patience=3), ValueError, "patience=3 without validation: expected batches to watch"),
        (dict(checkpoint=3), TypeError, "checkpoint is a int: expected the name of a file"),
        (dict(checkpoint_every=True), TypeError, "checkpoint_every=True: expected a whole number"),
        (dict(accumulate=-1), ValueError, "accumulate=-1: expected at least 1"),
        (dict(max_norm=0.0), ValueError, r"max_norm=0\.0: expected a length above 0, or None"),
        (dict(max_norm="1"), TypeError, "max_norm='1': expected a length, or None"),
        (dict(precision="fp8"), ValueError, "precision='fp8': expected 'bf16', 'fp16' or None"),
        (dict(sharded=True), ValueError, "sharded=True in one process: expected several"),
        (dict(callbacks=print), TypeError, "callbacks is a builtin_function_or_method: expected"),
        (dict(callbacks=[3]), TypeError, r"callbacks\[0\] is a int: expected a function"),
        (dict(name=3), TypeError, "name=3: expected a string"),
    ],
)
def test_it_is_refused_and_nothing_has_changed(changes, error, message):
    before = [param.detach().clone() for param in MODEL.parameters()]
    with refused(error, message):
        call(**changes)
    assert all(map(torch.equal, before, MODEL.parameters()))
    assert all(param.grad is None for param in MODEL.parameters())


@pytest.mark.parametrize("many", [3, 4000])
def test_a_cosine_that_rises_again_is_reported(many):
    schedule = schedules.cosine(many, warmup_steps=1)
    with pytest.warns(UserWarning, match=rf"schedule falls, and rises again .*steps={2 * many}"):
        call(schedule=schedule, steps=2 * many, callbacks=[lambda model, history: True])


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.cosine(9, warmup_steps=2),
        schedules.linear(5, warmup_steps=2, floor=0.1),
        schedules.constant(warmup_steps=3),
        schedules.inverse_square_root(warmup_steps=3),
        schedules.noam(12, warmup_steps=3),
    ],
)
def test_the_schedules_of_the_library_are_not_reported(schedule):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(schedule=schedule, steps=9)


def test_a_partial_function_may_be_the_loss():
    def scaled(model, ids, *, scale: float):
        return scale * mean_loss(model, ids)

    assert len(call(loss=functools.partial(scaled, scale=2.0))) == 3

"""How many were right, and of what kind the mistakes are.

Everything is read off one table, the confusion matrix. Where a share has nothing to be a share of
(no prediction of a class, so no precision), it is 0: scikit-learn's `zero_division=0`.

References: van Rijsbergen (1979), "Information Retrieval", chapter 7 (precision, recall and F);
Sokolova and Lapalme (2009), "A systematic analysis of performance measures for classification
tasks", table 3 (micro and macro averages). Chapter: chapters/09_fine_tuning.ipynb
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from underglass.metrics.labels import Labels, paired

AVERAGES = ("binary", "micro", "macro", "weighted")


class ClassScores(NamedTuple):
    """Precision, recall and F1 of each class, and how many targets it has (`support`)."""

    precision: Float[Tensor, " num_labels"]
    recall: Float[Tensor, " num_labels"]
    f1: Float[Tensor, " num_labels"]
    support: Integer[Tensor, " num_labels"]


def accuracy(predictions: Labels, targets: Labels, *, ignore_index: int | None = None) -> float:
    """(right predictions) / (all predictions), from 0 to 1.

    Args:
        predictions: the class chosen for each example, or each token.
        targets: the true ones, in the same shape.
        ignore_index: a target that does not count, such as -100 at padding.

    Raises:
        TypeError: if one of them does not hold whole numbers.
        ValueError: if their shapes differ, a class is negative, or there is nothing to count.
    """
    chosen, true = paired(predictions, targets, ignore_index)
    return (chosen == true).sum().item() / len(true)


def confusion_matrix(
    predictions: Labels,
    targets: Labels,
    *,
    num_labels: int | None = None,
    ignore_index: int | None = None,
) -> Integer[Tensor, "num_labels num_labels"]:
    """C[i, j]: how many examples of class i were taken for class j. The diagonal was right.

    Args:
        num_labels: how many classes there are; up to the largest that occurs, unless given.
        predictions, targets, ignore_index: as in `accuracy`, whose errors are raised too.

    Raises:
        ValueError: if a class is not below `num_labels`.
    """
    chosen, true = paired(predictions, targets, ignore_index)
    largest = int(torch.maximum(chosen.max(), true.max()))
    size = largest + 1 if num_labels is None else num_labels
    if largest >= size:
        raise ValueError(
            f"num_labels={num_labels}: expected at least {largest + 1}, for class {largest} occurs"
        )
    return torch.bincount(true * size + chosen, minlength=size * size).view(size, size)


def class_scores(
    predictions: Labels,
    targets: Labels,
    *,
    num_labels: int | None = None,
    ignore_index: int | None = None,
) -> ClassScores:
    """Of each class by itself: precision TP / (TP + FP), recall TP / (TP + FN), and their F1.

    TP: its examples that were recognised; FP: those of others that were taken for it; FN: its own
    that were missed. A class that does not occur has zeros. Arguments are `confusion_matrix`'s.
    """
    table = confusion_matrix(predictions, targets, num_labels=num_labels, ignore_index=ignore_index)
    return _scores(table.diagonal(), table.sum(dim=0), table.sum(dim=1))


def precision(
    predictions: Labels,
    targets: Labels,
    *,
    average: str = "binary",
    positive: int = 1,
    ignore_index: int | None = None,
) -> float:
    """TP / (TP + FP): of what was taken for the class, the share that is of the class.

    Args:
        average: over which classes. "binary": none, only class `positive` counts. "macro": the mean
            over the classes that occur, among targets or predictions. "weighted": the same, each
            class as often as it occurs among the targets. "micro": all decisions are counted
            together; with one prediction for each target this is the accuracy.
        predictions, targets, ignore_index: as in `accuracy`, whose errors are raised too.

    Raises:
        ValueError: if `average` is unknown, or is "binary" where there are more than two classes.
    """
    return _averaged("precision", predictions, targets, average, positive, ignore_index)


def recall(
    predictions: Labels,
    targets: Labels,
    *,
    average: str = "binary",
    positive: int = 1,
    ignore_index: int | None = None,
) -> float:
    """TP / (TP + FN): of what is of the class, the share that was found.

    Arguments and errors are those of `precision`.
    """
    return _averaged("recall", predictions, targets, average, positive, ignore_index)


def f1(
    predictions: Labels,
    targets: Labels,
    *,
    average: str = "binary",
    positive: int = 1,
    ignore_index: int | None = None,
) -> float:
    """2 / (1/precision + 1/recall) = 2 TP / (2 TP + FP + FN): low as soon as one of them is.

    Arguments and errors are those of `precision`. The macro F1 is the mean of the classes' F1, not
    the F1 of the mean precision and the mean recall.
    """
    return _averaged("f1", predictions, targets, average, positive, ignore_index)


def _averaged(
    name: str,
    predictions: Labels,
    targets: Labels,
    average: str,
    positive: int,
    ignore_index: int | None,
) -> float:
    if average not in AVERAGES:
        raise ValueError(
            f"average={average!r}: expected one of {', '.join(AVERAGES)}; "
            "class_scores has each class by itself"
        )
    if positive < 0:
        raise ValueError(f"positive={positive}: expected a class, numbered from 0")
    table = confusion_matrix(predictions, targets, ignore_index=ignore_index)
    right, chosen, true = table.diagonal(), table.sum(dim=0), table.sum(dim=1)
    if average == "micro":
        right, chosen, true = right.sum(0, True), chosen.sum(0, True), true.sum(0, True)
    values = getattr(_scores(right, chosen, true), name)
    if average == "binary":
        _check_two_classes((chosen + true).nonzero().flatten().tolist(), positive)
        return values[positive].item() if positive < len(values) else 0.0
    shares = true if average == "weighted" else (chosen + true) > 0
    return (values * shares).sum().item() / shares.sum().item()


def _scores(right: Tensor, chosen: Tensor, true: Tensor) -> ClassScores:
    """From counts: `chosen` is TP + FP, `true` is TP + FN."""
    return ClassScores(
        _share(right, chosen), _share(right, true), _share(2 * right, chosen + true), true
    )


def _share(part: Tensor, whole: Tensor) -> Float[Tensor, " num_labels"]:
    return part.double() / whole.clamp(min=1)  # where the whole is 0, so is the part


def _check_two_classes(classes: list[int], positive: int) -> None:
    if len({*classes, positive}) > 2:
        raise ValueError(
            f"average='binary' with positive={positive}, but classes {classes} occur: expected "
            "that class and one other; for more, choose another average"
        )

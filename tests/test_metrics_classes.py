from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused
from sklearn import metrics as sklearn
from sklearn.calibration import calibration_curve
from torch.testing import assert_close
from torchmetrics.functional.classification import binary_calibration_error
from underglass import metrics

ZERO: Any = 0  # scikit-learn takes it, its annotations do not
AVERAGES = ["micro", "macro", "weighted"]
SCORES = {
    "precision": (metrics.precision, sklearn.precision_score),
    "recall": (metrics.recall, sklearn.recall_score),
    "f1": (metrics.f1, sklearn.f1_score),
}
EDGE_CASES = {
    "all right": ([0, 1, 2], [0, 1, 2]),
    "all wrong": ([1, 2, 0], [0, 1, 2]),
    "one example": ([0], [0]),
    "a class never chosen": ([0, 0, 1, 1], [0, 2, 1, 2]),
    "a class without targets": ([0, 2, 1, 2], [0, 0, 1, 1]),
    "a class in between that does not occur": ([0, 3, 3], [3, 3, 0]),
    "no positives": ([0, 0], [0, 0]),
    "no positive chosen": ([0, 0], [0, 1]),
    "no positive target": ([0, 1], [0, 0]),
}
pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=23)
binary = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=13)


def check_averages(chosen: list[int], true: list[int]) -> None:
    for ours, theirs in SCORES.values():
        for average in AVERAGES:
            expected = theirs(true, chosen, average=average, zero_division=ZERO)
            assert ours(chosen, true, average=average) == pytest.approx(expected, abs=1e-15)


def check_binary(chosen: list[int], true: list[int], positive: int) -> None:
    for ours, theirs in SCORES.values():
        expected = theirs(
            true, chosen, labels=[positive], average="macro", zero_division=ZERO
        )  # with average="binary" it refuses a positive class that does not occur
        got = ours(chosen, true, positive=positive)
        assert got == pytest.approx(expected, abs=1e-15)


# ----------------------------------------------------------------------- against scikit-learn


@pytest.mark.parametrize(("chosen", "true"), EDGE_CASES.values(), ids=EDGE_CASES)
def test_averages_equal_sklearn_at_the_edges(chosen, true):
    check_averages(chosen, true)


@given(pairs)
@settings(max_examples=40, deadline=None)
def test_averages_equal_sklearn(drawn):
    chosen, true = map(list, zip(*drawn, strict=True))
    check_averages(chosen, true)


@given(binary, st.integers(0, 1))
@settings(max_examples=40, deadline=None)
def test_binary_equals_sklearn(drawn, positive):
    chosen, true = map(list, zip(*drawn, strict=True))
    check_binary(chosen, true, positive)
    if 1 in true:
        expected = sklearn.f1_score(true, chosen, zero_division=ZERO)  # its own average="binary"
        assert metrics.f1(chosen, true) == pytest.approx(expected, abs=1e-15)


@given(pairs)
@settings(max_examples=40, deadline=None)
def test_table_accuracy_and_classes_equal_sklearn(drawn):
    chosen, true = map(list, zip(*drawn, strict=True))
    classes = range(5)
    table = metrics.confusion_matrix(chosen, true, num_labels=5)
    assert table.tolist() == sklearn.confusion_matrix(true, chosen, labels=classes).tolist()
    assert metrics.accuracy(chosen, true) == sklearn.accuracy_score(true, chosen)
    ours = metrics.class_scores(chosen, true, num_labels=5)
    theirs = sklearn.precision_recall_fscore_support(
        true, chosen, labels=classes, zero_division=ZERO
    )
    for column, expected in zip(ours, theirs, strict=True):
        assert_close(column, torch.from_numpy(expected), check_dtype=False)  # it counts in float64


def test_rows_are_the_truth_and_columns_the_choice():
    table = metrics.confusion_matrix([1, 1, 0], [0, 0, 2])
    assert table.tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]
    assert metrics.confusion_matrix([0], [0], num_labels=3).shape == (3, 3)


# ----------------------------------------------------------------------- what may be given


def test_ignored_targets_do_not_count():
    chosen = torch.tensor([[1, 0, 1], [2, 0, 1]])
    true = torch.tensor([[1, 0, -100], [0, -100, -100]])
    for ours, _ in SCORES.values():
        for average in AVERAGES:
            assert ours(chosen, true, average=average, ignore_index=-100) == ours(
                [1, 0, 2], [1, 0, 0], average=average
            )
    assert metrics.accuracy(chosen, true, ignore_index=-100) == 2 / 3
    assert metrics.confusion_matrix(chosen, true, ignore_index=-100).sum() == 3
    assert metrics.class_scores(chosen, true, ignore_index=-100).support.tolist() == [2, 1, 0]
    assert metrics.f1([1, 5], [1, 0], ignore_index=0) == 1  # what is chosen there is not looked at


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64])
def test_every_kind_of_whole_number(dtype):
    chosen, true = torch.tensor([1, 0, 1, 1]), torch.tensor([1, 1, 0, 1])
    assert metrics.f1(chosen.to(dtype), true.to(dtype)) == metrics.f1([1, 0, 1, 1], [1, 1, 0, 1])


def test_wrong_labels_are_refused():
    with refused(TypeError, r"predictions holds torch.float32: expected classes, .*argmax"):
        metrics.accuracy(torch.randn(3, 2), [0, 1, 1])
    with refused(TypeError, "targets holds torch.float32: expected classes"):
        metrics.accuracy([1], [0.5])
    with refused(ValueError, r"predictions has shape \(2,\), targets \(3,\): expected one"):
        metrics.accuracy([0, 1], [0, 1, 1])
    with refused(ValueError, "targets holds -100: expected classes.*ignore_index"):
        metrics.accuracy([0, 1], [0, -100])
    with refused(ValueError, "predictions holds -1: expected classes"):
        metrics.confusion_matrix([-1, 1], [0, 1])
    with refused(ValueError, r"targets has 2 places, and none that counts \(ignore_index=-100\)"):
        metrics.f1([0, 1], [-100, -100], ignore_index=-100)
    with refused(ValueError, r"targets has 0 places, and none that counts"):
        metrics.accuracy([], [])


def test_wrong_options_are_refused():
    with refused(ValueError, "average='none': expected one of binary, .*class_scores has each"):
        metrics.f1([1], [1], average="none")
    with refused(ValueError, r"average='binary' with positive=1, but classes \[0, 2, 3\] occur"):
        metrics.recall([0, 2], [2, 3])
    with refused(ValueError, r"positive=1, but classes \[0, 2\] occur: expected that class and"):
        metrics.precision([0, 2], [2, 0])
    with refused(ValueError, "positive=-1: expected a class"):
        metrics.precision([0, 1], [1, 0], positive=-1)
    with refused(ValueError, "num_labels=2: expected at least 4, for class 3 occurs"):
        metrics.confusion_matrix([0, 3], [1, 1], num_labels=2)


# ----------------------------------------------------------------------- calibration


@pytest.mark.parametrize("num_bins", [1, 5, 15])
def test_reliability_equals_sklearn(num_bins):
    sure = torch.rand(211, dtype=torch.float64)
    sure[:4] = torch.tensor([0.0, 1.0, 0.2, 0.8])  # ends, and edges between bins
    right = torch.rand(211) < sure
    bins = metrics.reliability(sure, right, num_bins=num_bins)
    accuracy, confidence = calibration_curve(right, sure, n_bins=num_bins)
    filled = bins.num_examples > 0
    assert_close(bins.accuracy[filled], torch.from_numpy(accuracy))
    assert_close(bins.confidence[filled], torch.from_numpy(confidence))
    assert bins.num_examples.sum() == 211


@pytest.mark.parametrize("num_bins", [1, 7, 15])
def test_calibration_error_equals_torchmetrics(num_bins):
    sure = torch.rand(211, dtype=torch.float64)
    right = torch.rand(211) < sure**2
    # theirs goes down to float32
    expected = binary_calibration_error(sure.float(), right.long(), n_bins=num_bins, norm="l1")
    ours = metrics.calibration_error(sure, right, num_bins=num_bins)
    assert ours == pytest.approx(expected.item(), abs=1e-6)


def test_calibration_by_hand():
    """Four times 80 % sure and right three times, twice 30 % sure and right once: (0.2+0.4)/6."""
    sure, right = [0.8] * 4 + [0.3] * 2, [1, 1, 1, 0, 1, 0]
    assert metrics.calibration_error(sure, right, num_bins=10) == pytest.approx(0.6 / 6)
    assert metrics.calibration_error([1.0, 0.0], [True, False]) == 0
    assert metrics.calibration_error([1.0, 0.0], [False, True]) == 1
    bins = metrics.reliability([0.5, 0.51, 1.0], [1, 0, 1], num_bins=2)
    assert bins.num_examples.tolist() == [1, 2]  # an edge belongs below
    assert metrics.reliability([0.3, 0.7], [1, 0], num_bins=10).num_examples[[2, 6]].tolist() == [
        1,
        1,
    ]
    assert metrics.reliability([0.9], [1], num_bins=3).accuracy.tolist() == [0, 0, 1]


def test_wrong_confidences_are_refused():
    with refused(ValueError, r"confidences has shape \(2,\), correct \(1,\): expected two rows"):
        metrics.calibration_error([0.5, 0.5], [1])
    with refused(ValueError, r"confidences has shape \(0,\)"):
        metrics.calibration_error([], [])
    with refused(ValueError, "confidences holds 1.5: expected numbers from 0 to 1"):
        metrics.calibration_error([0.5, 1.5], [1, 0])
    with refused(ValueError, "confidences holds nan: expected numbers from 0 to 1"):
        metrics.calibration_error([0.5, float("nan")], [1, 0])
    with refused(ValueError, "correct holds 2: expected True or False"):
        metrics.calibration_error([0.5, 0.5], [1, 2])
    with refused(ValueError, "confidences holds 1.0000001: expected"):
        metrics.calibration_error([1.0000001], [1])
    with refused(ValueError, "num_bins=0: expected at least 1"):
        metrics.calibration_error([0.5], [1], num_bins=0)

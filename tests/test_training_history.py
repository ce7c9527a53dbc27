"""The record of a run, and the JSON that it is stored as."""

import json
import math
from unittest.mock import Mock

import pytest
from refusals import refused
from underglass.training import History

FULL = History(
    step=[1, 2, 3],
    loss=[2.5, 1 / 3, 1e-300],
    rate=[0.1, 0.2, 0.3],
    gradient_norm=[1.0, 2.0, 5e-324],
    tokens_per_second=[10.0, 20.0, 30.0],
    validation_step=[2],
    validation_loss=[0.7],
    name="first",
)


def test_what_is_saved_is_loaded_to_the_last_bit(tmp_path):
    path = tmp_path / "history.json"
    FULL.save(path)
    assert History.load(path) == FULL
    assert [file.name for file in tmp_path.iterdir()] == ["history.json"]


def test_what_is_no_number_is_null_in_json(tmp_path):
    history = History([1], [2.0], [0.1], [math.nan], [math.inf])
    assert history.to_dict()["gradient_norm"] == [None]
    assert history.to_dict()["tokens_per_second"] == [None]
    history.save(tmp_path / "history.json")
    json.loads((tmp_path / "history.json").read_text(), parse_constant=pytest.fail)
    assert math.isnan(History.load(tmp_path / "history.json").gradient_norm[0])


def test_an_empty_one_can_be_saved_too(tmp_path):
    History().save(tmp_path / "h")
    assert History.load(tmp_path / "h") == History()


def test_its_text_says_how_long_it_is_and_how_well_it_went():
    assert repr(FULL) == "History(first: 3 steps, loss 2.5 to 1e-300)"
    assert repr(History()) == "History(0 steps, empty)"
    assert len(FULL) == 3


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "history.json"
    FULL.save(path)
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError(28, "No space left on device")))
    with refused(OSError, r"cannot write .*history\.json \(No space left on device\)"):
        History().save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["history.json"]
    assert History.load(path) == FULL


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (dict(loss=None), TypeError, "loss is a NoneType: expected a list of numbers"),
        (dict(loss=[1.0]), ValueError, "loss has 1 entries: expected 3, as many as step"),
        (dict(validation_loss=[]), ValueError, "validation_loss has 0 entries: expected 1"),
        (dict(rate=["a", 1.0, 2.0]), TypeError, "rate holds 'a': expected numbers"),
        (dict(step=[1, 2, 2.5]), TypeError, r"step holds 2\.5: expected numbers"),
        (dict(name=3), TypeError, "name=3: expected a string"),
        (dict(more=[]), ValueError, "columns has more: expected those of a History only"),
    ],
)
def test_other_columns_are_refused(changes, error, message):
    with refused(error, message):
        History.from_dict({**FULL.to_dict(), **changes})


def test_a_missing_column_is_refused():
    columns = FULL.to_dict()
    del columns["rate"]
    with refused(ValueError, "columns lacks rate: expected all of a History"):
        History.from_dict(columns)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "history.json"
    path.write_text("{")
    with refused(ValueError, r"history\.json is not JSON"):
        History.load(path)
    path.write_text("[]")
    with refused(ValueError, r"history\.json holds a list: expected a JSON object"):
        History.load(path)
    with refused(FileNotFoundError, "missing"):
        History.load(tmp_path / "missing")

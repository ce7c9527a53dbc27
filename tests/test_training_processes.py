"""Two real processes under torchrun against one, each holding all of the model, or a share."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parent
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
CASES = [
    "SGD",
    "SGD-means",
    "SGD-row",  # fewer rows than processes
    "SGD-sharded",
    "SGD-row-sharded",
    "AdamW",
    "AdamW-sharded",
    "torch-means-sharded",
    "Muon",
    "Muon-sharded",
]
WITH_CHANCE = ["AdamW-dropout", "AdamW-dropout-sharded"]


def start(folder: Path, *cases: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    launcher = TORCHRUN if processes == 2 else []
    return subprocess.run(
        [sys.executable, *launcher, str(TESTS / "training_processes.py"), str(folder), *cases],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """What one process found, and what two did, in all cases."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    alone = start(one, *{case.replace("-sharded", "") for case in CASES}, processes=1)
    together = start(two, *CASES, *WITH_CHANCE)
    for done in (alone, together):
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
    return one, two


def found(folder: Path, rank: int = 0):
    """The columns of the history, timings aside, and the weights that a process ended with."""
    assert not (folder / f"{rank}.error").exists(), (folder / f"{rank}.error").read_text()
    content = json.loads((folder / f"{rank}.json").read_text())
    history = content["history"]
    del history["name"], history["tokens_per_second"]
    numbers = [*history.values(), *content["weights"]]
    return [torch.tensor(column, dtype=torch.float64) for column in numbers]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_two_processes_take_the_steps_of_one(folders, case, rank):
    one, two = found(folders[0] / case.replace("-sharded", "")), found(folders[1] / case, rank)
    assert len(one[0]) == 9
    for ours, theirs in zip(two, one, strict=True):
        assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_what_is_sharded_is_saved_whole(folders):
    shares, whole = (
        load_file(folders[1] / name / "run.safetensors") for name in ("AdamW-sharded", "AdamW")
    )
    assert shares.keys() == whole.keys()
    for name, tensor in whole.items():
        assert shares[name].shape == tensor.shape, name
    content = json.loads((folders[1] / "AdamW-sharded" / "0.json").read_text())
    assert content["class"] == "FSDPGPT"  # as torch calls what it has cut up


def test_killed_and_started_again_they_end_in_the_same_bits(folders, tmp_path):
    for case in WITH_CHANCE:
        assert start(tmp_path, f"{case}-crash").returncode != 0
        assert [file.name for file in (tmp_path / case).iterdir()] == ["run.safetensors"]
    # and one more, which another number of processes began
    shutil.copytree(folders[0] / "SGD", tmp_path / "SGD", ignore=shutil.ignore_patterns("*.json"))
    done = start(tmp_path, *WITH_CHANCE, "SGD")
    assert done.returncode == 0, done.stderr
    for case in WITH_CHANCE:
        for rank in (0, 1):
            ours, theirs = found(tmp_path / case, rank), found(folders[1] / case, rank)
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)), case
    assert "processes: saved 1, present 2" in (tmp_path / "SGD" / "1.error").read_text()

"""The script that trains the GPT on the speeches: alone, killed and started again, and in two."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from underglass.training import History

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "train_speeches.py"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
TINY = ["--d-model", "32", "--num-layers", "1", "--rows", "5", "--vocab-size", "300"]


def command(folder: Path, *options: str, launcher: list[str] | None = None) -> list[str]:
    script = [str(SCRIPT), "--folder", str(folder), *TINY, *options]
    return [sys.executable, *(launcher or []), *script]


def ended(folder: Path, *options: str, launcher: list[str] | None = None) -> History:
    done = subprocess.run(
        command(folder, *options, launcher=launcher),
        env=os.environ | {"OMP_NUM_THREADS": "1", "UNDERGLASS_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    history = History.load(folder / "history.json")
    assert done.stdout.startswith(f"History(speeches: {len(history)} steps, loss ")
    return history


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the tokenizer and the ids are kept: learning and encoding take seconds."""
    return tmp_path_factory.mktemp("speeches")


@pytest.fixture(scope="module")
def alone(folder) -> History:
    return ended(folder, "--steps", "20", "--save-every", "4")


@pytest.fixture(autouse=True)
def _without_checkpoint(alone, folder):
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)


def test_it_learns(alone):
    assert len(alone) == 20
    assert alone.validation_step == [4, 8, 12, 16, 20]
    assert alone.validation_loss[-1] < alone.validation_loss[0] < 5.71  # ln 300: knowing nothing


@pytest.mark.parametrize("options", [(), ("--sharded",)], ids=["whole", "sharded"])
def test_two_processes_learn_the_same(folder, alone, options):
    two = ended(folder, "--steps", "20", "--save-every", "4", *options, launcher=TORCHRUN)
    assert two.loss == pytest.approx(alone.loss, abs=1e-4)  # float32, added up in another order
    assert two.validation_loss == pytest.approx(alone.validation_loss, abs=1e-4)


def test_killed_and_started_again_it_ends_the_same(folder, alone):
    checkpoint = folder / "checkpoint.safetensors"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "UNDERGLASS_DEVICE": "cpu"}
    options = ("--steps", "20", "--save-every", "4")
    process = subprocess.Popen(command(folder, *options), env=environment)
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # it was not yet done
    again = ended(folder, *options)
    assert (again.loss, again.validation_loss) == (alone.loss, alone.validation_loss)

"""Kill a training run again and again, and see whether it ends as if nothing had happened.

    python tests/training_kills.py FOLDER NUM_KILLS SEED

A process that has imported torch, and computed nothing yet, forks the runs: so imports are paid
once. Half of the kills come at random moments, half while a checkpoint is being written.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from training_cases import Shuffled, mean_loss, tiny_gpt
from underglass import schedules
from underglass.optimizers import AdamW
from underglass.training import fit
from underglass.training.checkpoint import read_checkpoint
from underglass.training.files import temporary_of

STEPS = 100


def train(path: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = tiny_gpt(dropout=0.2, d_model=36)
    fit(
        model,
        Shuffled(7),
        AdamW(model.parameters(), 0.01),
        loss=mean_loss,
        steps=STEPS,
        schedule=schedules.cosine(STEPS, warmup_steps=20),
        validation=Shuffled(2, seed=1),
        validate_every=10,
        checkpoint=path,
        checkpoint_every=7,
        accumulate=2,
        max_norm=1.0,
    )


def started(path: Path) -> int:
    process = os.fork()
    if process == 0:
        try:
            train(path)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return process


def has_ended(process: int) -> bool:
    """Whether the run came to its end by itself, and well."""
    found, status = os.waitpid(process, os.WNOHANG)
    if found and status:
        raise RuntimeError(f"a run ended with status {status}")
    return bool(found)


def killed(process: int, is_time) -> bool:
    """Kill the run when it is time; False if it ended before."""
    while not is_time():
        if has_ended(process):
            return False
        time.sleep(0.0002)  # less than a save takes
    if has_ended(process):
        return False
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return True


def is_saving(temporary: Path) -> bool:
    """Whether a checkpoint is half written, or written and not renamed."""
    try:
        return temporary.stat().st_size > 0
    except FileNotFoundError:
        return False


def same(path: Path, other: Path) -> bool:
    """Whether every bit agrees, timings aside."""
    one, two = read_checkpoint(path), read_checkpoint(other)
    one.history.tokens_per_second = two.history.tokens_per_second = []
    return (
        one.history == two.history
        and (one.place, one.configuration) == (two.place, two.configuration)
        and one.tensors.keys() == two.tensors.keys()
        and all(torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    )


def waited_for(process: int) -> None:
    while not has_ended(process):
        time.sleep(0.001)


def main(folder: Path, num_kills: int, seed: int) -> None:
    chance = random.Random(seed)
    reference, path = folder / "reference.safetensors", folder / "run.safetensors"
    temporary = temporary_of(path)
    began = time.monotonic()
    waited_for(started(reference))
    one_run = time.monotonic() - began
    counts = dict(kills=0, while_saving=0, ends=0, differing=0)
    while counts["kills"] < num_kills or not counts["ends"]:
        temporary.unlink(missing_ok=True)  # of the run before, to see this one's own
        process = started(path)
        moment = time.monotonic() + chance.uniform(0, 3 * one_run / num_kills)
        is_at_a_save = counts["kills"] % 2 == 1

        def is_time(moment=moment, is_at_a_save=is_at_a_save) -> bool:
            return time.monotonic() >= moment and (not is_at_a_save or is_saving(temporary))

        if counts["kills"] == num_kills:
            waited_for(process)
        elif killed(process, is_time):
            counts["kills"] += 1
            counts["while_saving"] += is_saving(temporary)
            continue
        counts["ends"] += 1
        counts["differing"] += not same(path, reference)
        path.unlink()
    files = sorted(file.name for file in folder.iterdir())
    print(json.dumps(counts | {"files": files, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

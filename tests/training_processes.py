"""Runs under torchrun, or in one process alone: what each found goes into files.

    torchrun --nproc-per-node 2 tests/training_processes.py FOLDER SGD-means AdamW-sharded ...

A run is named by words, which say what is special about it. Several in one call, because torch
takes seconds to import.
"""

import json
import os
import sys
from pathlib import Path

import torch
from torch import nn
from training_cases import Shuffled, mean_loss, padded, summed_loss, tiny_gpt
from underglass import optimizers, schedules
from underglass.training import History, fit
from underglass.training.distributed import whole

MATRIX = "blocks.0.feed_forward.in_proj.weight"


def crash(model: nn.Module, history: History) -> None:
    if len(history) == 5:
        os._exit(9)


def make_optimizers(model: nn.Module, words: set[str]):
    if "SGD" in words:
        return optimizers.SGD(model.parameters(), 0.1, momentum=0.9)
    if "torch" in words:
        return torch.optim.AdamW(model.parameters(), 0.01)
    if "Muon" in words:
        rest = [param for name, param in model.named_parameters() if name != MATRIX]
        muon = optimizers.Muon([model.get_parameter(MATRIX)], 0.02, ns_dtype="float64")
        return [muon, optimizers.SGD(rest, 0.1)]
    return optimizers.AdamW(model.parameters(), 0.01)


def data(words: set[str]):
    if "row" in words:
        return Shuffled(5, rows=1), mean_loss
    return (Shuffled(5), mean_loss) if "means" in words else (padded(), summed_loss)


def run(folder: Path, words: set[str], rank: int) -> None:
    torch.manual_seed(rank)  # dropout, where there is any, must not be the same in all processes
    model = tiny_gpt(seed=rank, dropout=0.2 if "dropout" in words else 0.0)
    batches, loss = data(words)
    history = fit(
        model,
        batches,
        make_optimizers(model, words),
        loss=loss,
        steps=9,
        schedule=schedules.linear(20, warmup_steps=2),
        validation=batches,
        validate_every=4,
        checkpoint=folder / "run.safetensors",
        checkpoint_every=3,
        accumulate=2,
        max_norm=1.0,
        callbacks=[crash] if "crash" in words else [],
        sharded="sharded" in words,
    )
    weights = [whole(param.detach()).flatten().tolist() for param in model.parameters()]
    found = {"history": history.to_dict(), "weights": weights, "class": type(model).__name__}
    (folder / f"{rank}.json").write_text(json.dumps(found))


def main(folder: Path, cases: list[str]) -> None:
    rank = int(os.environ.get("RANK", "0"))
    for case in cases:
        place = folder / case.removesuffix("-crash")
        place.mkdir(parents=True, exist_ok=True)
        try:
            run(place, {*case.split("-")}, rank)
        except ValueError as error:
            (place / f"{rank}.error").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

"""`python -m underglass.experiments NAME`: make a recording again; stop and go on as you like."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from underglass.data import DataError
from underglass.experiments.plans import PLANS
from underglass.experiments.record import record
from underglass.experiments.recording import FOLDER


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m underglass.experiments", description=__doc__)
    parser.add_argument("name", choices=PLANS, help="the recording")
    parser.add_argument("--seeds", type=int, help="only the first so many, for a coarse recording")
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder that NAME.json goes to")
    parser.add_argument(
        "--kept",
        type=Path,
        default=Path("runs/experiments"),
        help="folder that keeps finished runs, until it is removed: the same command goes on there",
    )
    parser.add_argument("--workers", type=int, default=1, help="so many runs at a time")
    options = parser.parse_args(arguments)
    # One thread adds up in one order, and matrices of this size are no faster with more.
    torch.set_num_threads(1)
    plan = PLANS[options.name]
    if options.seeds is not None:
        if not 1 <= options.seeds <= len(plan.seeds):
            parser.error(f"--seeds {options.seeds}: expected 1 to {len(plan.seeds)}")
        about = f"{plan.about} Coarse: {options.seeds} of {len(plan.seeds)} seeds."
        plan = replace(plan, seeds=plan.seeds[: options.seeds], about=about)
    if options.workers < 1:
        parser.error(f"--workers {options.workers}: expected at least 1")
    output, kept = options.to / f"{options.name}.json", options.kept / f"{options.name}.jsonl"
    try:
        record(
            plan,
            output,
            kept,
            lambda line: print(line, flush=True),
            workers=options.workers,
        )
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

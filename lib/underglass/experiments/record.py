"""Making a recording: one run after the other, kept as they end, so that none is lost to a kill."""

import gc
import json
import multiprocessing
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from underglass import data
from underglass.experiments.plans import Plan
from underglass.experiments.recipe import hash_of
from underglass.experiments.recording import FORMAT, Run, columns_of
from underglass.training.files import replace_file

Report = Callable[[str], None]


def record(
    plan: Plan, output: Path, kept: Path, report: Report = print, *, workers: int = 1
) -> None:
    """Make all runs of the plan that file `kept` does not have yet, and write the recording.

    Args:
        output: the recording; written whole at the end, or not at all.
        kept: finished runs, a line each, after a line with the hash of what they depend on. Runs
            of another configuration are thrown away; more seeds may come later. Weights that a run
            keeps go to a folder of the same name, and at the end beside the recording.
        report: is told of each run.
        workers: so many runs at a time, each in a process of its own.
    """
    configuration = plan.configuration()
    expected = hash_of(configuration | {"seeds": []})
    found = _read_kept(kept, expected)[: len(plan.runs())]
    if not found:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(_line(expected), "utf-8")
    own = machine()  # now, for the code that runs is the code as it is now
    report(f"{plan.name}: {plan.most} runs, {len(found)} of them are there")
    folder = kept.with_suffix("")
    while due := plan.due(found):
        jobs = [(settings, recipe, plan.keeps, folder) for settings, recipe in due]
        for columns, seconds in _made(jobs, workers):
            found.append(columns | {"machine": own})
            with kept.open("a", encoding="utf-8") as file:
                file.write(_line(found[-1]))
            report(f"{len(found)}/{plan.most} {_outcome(columns)}, {seconds:.1f} s")
    if folder.exists():
        shutil.copytree(folder, output.with_suffix(""), dirs_exist_ok=True)
    replace_file(output, _file(plan, configuration, found).encode())
    report(f"{output.name} is written")


Job = tuple[dict[str, Any], Any, tuple[str, ...], Path]


def _made(jobs: list[Job], workers: int) -> Iterator[tuple[dict[str, Any], float]]:
    """The jobs' runs in their order, and the seconds that each took."""
    if workers == 1:
        yield from map(_make, jobs)
        return
    # Not forked: a process that is forked while torch computes may hang.
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, torch.set_num_threads, (torch.get_num_threads(),)) as pool:
        yield from pool.imap(_make, jobs)


def _make(job: Job) -> tuple[dict[str, Any], float]:
    settings, recipe, keeps, folder = job
    started = time.perf_counter()
    run = Run(settings, *recipe.run(settings["seed"], folder=folder))
    gc.collect()  # models and optimizers refer to each other: hundreds of megabytes a run
    return columns_of(run, keeps), time.perf_counter() - started


def _read_kept(kept: Path, expected: str) -> list[dict[str, Any]]:
    """The finished runs. A last line without an end was being written when the process ended."""
    lines = kept.read_text("utf-8").splitlines(keepends=True) if kept.exists() else []
    whole = [line for line in lines if line.endswith("\n")]
    if not whole or json.loads(whole[0]) != expected:
        return []
    if len(whole) < len(lines):
        replace_file(kept, "".join(whole).encode())
    return [json.loads(line) for line in whole[1:]]


def _line(content: Any) -> str:
    return json.dumps(content, allow_nan=False) + "\n"


def _outcome(columns: dict[str, Any]) -> str:
    settings = " ".join(f"{name}={value}" for name, value in columns["settings"].items())
    if columns["diverged"] is not None:
        return f"{settings}: diverged at step {columns['diverged']}"
    told = f"{settings}: validation loss {columns['validation_loss'][-1]}"
    accuracy = columns.get("outcome", {}).get("accuracy")
    return told if accuracy is None else f"{told}, accuracy {accuracy:.3f}"


def _file(plan: Plan, configuration: dict[str, Any], found: list[dict[str, Any]]) -> str:
    """The JSON, with a line for each run."""
    machines = [columns.pop("machine") for columns in found]
    head = {
        "format": FORMAT,
        "name": plan.name,
        "about": plan.about,
        "command": f"python -m underglass.experiments {plan.name}",
        # If it went on elsewhere, or after a change of the code, all are named.
        **{key: "; ".join(dict.fromkeys(own[key] for own in machines)) for key in machines[0]},
        "data": {name: data.entry_named(name).content for name in plan.data},
        "configuration_sha256": hash_of(configuration),
        "configuration": configuration,
    }
    lines = ",\n".join(json.dumps(columns, allow_nan=False) for columns in found)
    return f'{json.dumps(head, indent=1)[:-2]},\n "runs": [\n{lines}\n]}}\n'


def machine() -> dict[str, str]:
    """What runs this: the processor, torch's version, and the commit of the library."""
    cores = f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    graphics = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    hardware = ", ".join([_processor(), cores, *graphics])
    return {"hardware": hardware, "torch": torch.__version__, "commit": commit()}


def _processor() -> str:
    """Its model where the system says it, else its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str:
    """The library's commit, and whether one of the files that run has changed since."""
    files = [
        module.__file__
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "underglass" and module.__file__
    ]
    try:
        found = _git("rev-parse", "HEAD")
        return f"{found}, and changes" if _git("status", "--porcelain", "--", *files) else found
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

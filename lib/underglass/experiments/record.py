"""Making a recording: one run after the other, kept as they end, so that none is lost to a kill."""

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from underglass import data
from underglass.experiments.plans import Plan
from underglass.experiments.recipe import hash_of
from underglass.experiments.recording import FORMAT, columns_of
from underglass.training.files import replace_file

Report = Callable[[str], None]


def record(plan: Plan, output: Path, kept: Path, report: Report = print) -> None:
    """Make all runs of the plan that file `kept` does not have yet, and write the recording.

    Args:
        output: the recording; written whole at the end, or not at all.
        kept: finished runs, a line each, after a line with the hash of what they depend on. Runs
            of another configuration are thrown away; more seeds may come later.
        report: is told of each run.
    """
    configuration = plan.configuration()
    expected = hash_of(configuration | {"seeds": []})
    found = _read_kept(kept, expected)[: len(plan.runs())]
    if not found:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(_line(expected), "utf-8")
    own = machine()  # now, for the code that runs is the code as it is now
    report(f"{plan.name}: {len(plan.runs())} runs, {len(found)} of them are there")
    for number, (settings, recipe) in enumerate(plan.runs(), 1):
        if number <= len(found):
            continue
        started = time.perf_counter()
        history, diverged = recipe.run(settings["seed"])
        columns = columns_of(settings, history, diverged, plan.keeps)
        found.append(columns | {"machine": own})
        with kept.open("a", encoding="utf-8") as file:
            file.write(_line(found[-1]))
        seconds = time.perf_counter() - started
        report(f"{number}/{len(plan.runs())} {_outcome(columns)}, {seconds:.1f} s")
    replace_file(output, _file(plan, configuration, found).encode())
    report(f"{output.name} is written")


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
    return f"{settings}: validation loss {columns['validation_loss'][-1]}"


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
        "data": {"speeches": data.entry_named("speeches").content},
        "configuration_sha256": hash_of(configuration),
        "configuration": configuration,
    }
    lines = ",\n".join(json.dumps(columns, allow_nan=False) for columns in found)
    return f'{json.dumps(head, indent=1)[:-2]},\n "runs": [\n{lines}\n]}}\n'


def machine() -> dict[str, str]:
    """What runs this: the processor, torch's version, and the commit of the library."""
    cores = f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    return {"hardware": f"{_processor()}, {cores}", "torch": torch.__version__, "commit": commit()}


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

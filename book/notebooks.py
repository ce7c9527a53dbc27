"""Keeps the chapters in shape: their first cell, their stored outputs, what must not be in them.

    python book/notebooks.py setup    [FILE ...]   write each first cell from the template below
    python book/notebooks.py execute  [FILE ...]   run the chapters, store what nbval compares
    python book/notebooks.py check    [FILE ...]   say what is wrong, and fail if anything is

Without a FILE, every chapter is meant. `UNDERGLASS_DEVICE` chooses the device, as everywhere.
"""

import argparse
import ast
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import kernels
import nbformat
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
TIMEOUT = 120  # seconds a cell, as in pyproject.toml and _config.yml

# What one may see of a cell in the file: the text of its outputs, and what the book reads.
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
METADATA = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
CELL_METADATA = ("tags", "mystnb", "reason")
# nbval does not compare these, so nothing is lost when the build makes them anew.
MADE_BY_THE_BUILD = {"image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json"}

NOT_COMPARED = {"nbval-skip", "nbval-ignore-output", "nbval-raises-exception", "raises-exception"}
NOT_COMPARED |= {"skip-execution", "pytest-validate-ignore-output"}
INSTALL = re.compile(r"(?m)^\s*[%!]\s*(pip|conda|mamba|uv)\b|\bpip\W+install\b")
LINKS = {"jslink", "jsdlink", "link", "dlink"}  # of ipywidgets, these show nothing of their own

SETUP = """\
# In Colab, adds what the host lacks and leaves its torch and numpy alone;
# elsewhere, does nothing.
import importlib.util
import sys

if "google.colab" in sys.modules:
    wanted = {{
        "underglass": "git+{url}@{branch}",
        "anywidget": "anywidget",
        "psygnal": "psygnal",
        "jaxtyping": "jaxtyping",
        "wadler_lindig": "wadler-lindig",
    }}
    missing = " ".join(
        wanted[name] for name in wanted if not importlib.util.find_spec(name)
    )
    if missing:
        %pip install --quiet --no-deps {{missing}}"""
SETUP_TAG = "remove-cell"  # a reader of the page has nothing to install


def chapters(root: Path = ROOT) -> list[Path]:
    """The chapters in reading order."""
    return sorted((root / "chapters").glob("[0-9][0-9]_*.ipynb"))


def setup_source(config: Path = ROOT / "_config.yml") -> str:
    """The first cell of every chapter, with the repository's address out of `_config.yml`."""
    repository = yaml.safe_load(config.read_text("utf-8"))["repository"]
    return SETUP.format(url=repository["url"].rstrip("/"), branch=repository["branch"])


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def save(notebook: NotebookNode, path: Path) -> None:
    """Writes the notebook whole or not at all."""
    nbformat.validate(notebook)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(nbformat.writes(notebook, indent=1).rstrip("\n") + "\n")
        os.chmod(name, path.stat().st_mode if path.exists() else 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


# Setup ------------------------------------------------------------------------------------------


def write_setup(path: Path, config: Path = ROOT / "_config.yml") -> bool:
    """Makes the template the chapter's first code cell; True if that changed the file."""
    notebook = read(path)
    cells = code_cells(notebook)
    source = setup_source(config)
    if cells and "google.colab" in cells[0].source:
        cell = cells[0]
    else:
        cell = nbformat.v4.new_code_cell(id="setup")
        # After the title, which has to stay the first thing in a chapter.
        notebook.cells.insert(1, cell)
    tags = cell.metadata.get("tags", [])
    if cell.source == source and SETUP_TAG in tags:
        return False
    cell.source = source
    cell.metadata["tags"] = [*(tag for tag in tags if tag != SETUP_TAG), SETUP_TAG]
    save(notebook, path)
    return True


# Execute ----------------------------------------------------------------------------------------


def stored(output: NotebookNode, where: str) -> NotebookNode:
    """What the file keeps of one output: a stream, an error's message, or its plain text.

    Raises:
        ValueError: if nbval would compare a part of the output that is not kept.
    """
    if output.output_type == "stream":
        return output
    if output.output_type == "error":
        return NotebookNode({**output, "traceback": []})
    if "text/plain" not in output.data:
        raise ValueError(f"{where}: an output has no text/plain, which nbval compares")
    if other := sorted(set(output.data) - MADE_BY_THE_BUILD - {"text/plain"}):
        raise ValueError(
            f"{where}: the output is also {', '.join(other)}, which nbval compares and the file "
            "does not keep; show text, a figure or an underglass widget"
        )
    plain = NotebookNode({"text/plain": output.data["text/plain"]})
    return NotebookNode({**output, "data": plain, "metadata": NotebookNode()})


def normalise(notebook: NotebookNode, name: str) -> None:
    """Leaves in an executed notebook only what is the same on every machine."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat_minor = max(5, notebook.nbformat_minor)
    for index, cell in enumerate(notebook.cells):
        kept = {key: cell.metadata[key] for key in CELL_METADATA if key in cell.metadata}
        cell.metadata = nbformat.from_dict(kept)
        cell.setdefault("id", f"cell-{index}")
        if cell.cell_type == "code":
            where = f"{name}, cell {cell.id}"
            cell.outputs = [stored(output, where) for output in cell.outputs]


def execute(path: Path, *, timeout: int = TIMEOUT) -> None:
    """Runs a chapter and stores its outputs in it; a failure leaves the file as it was."""
    kernels.encrypt()
    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        coalesce_streams=True,  # how a stream was cut into pieces differs from run to run
        record_timing=False,
        store_widget_state=False,
    )
    client.execute()
    normalise(notebook, path.name)
    save(notebook, path)


# Check ------------------------------------------------------------------------------------------


def python(source: str) -> ast.Module:
    """The cell as Python, its magics turned into calls."""
    return ast.parse(TransformerManager().transform_cell(source))


def bare_controls(cells: list[NotebookNode]) -> Iterator[tuple[str, str]]:
    """(cell id, name) of what is used of ipywidgets itself: it would be dead in the page."""
    modules: set[str] = set()
    for cell in cells:
        for node in ast.walk(python(cell.source)):
            if isinstance(node, ast.Import):
                found = [n for n in node.names if n.name.partition(".")[0] == "ipywidgets"]
                modules |= {n.asname or "ipywidgets" for n in found}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ipywidgets"):
                yield from ((cell.id, n.name) for n in node.names if n.name not in LINKS)
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in modules
                and node.attr not in LINKS
            ):
                yield cell.id, node.attr


def ends_in_semicolon(source: str) -> bool:
    """Whether the cell hides its value with a `;`, which nbval's kernel shows all the same."""
    lines = [line for line in source.splitlines() if line.split("#")[0].strip()]
    return bool(lines) and lines[-1].split("#")[0].rstrip().endswith(";")


def not_compared(cell: NotebookNode) -> set[str]:
    """The tags and comments by which nbval skips a cell, or does not compare it."""
    comments = {
        line.strip().lstrip("#").strip().lower().replace("_", "-")
        for line in cell.source.splitlines()
        if line.strip().startswith("#")
    }
    return NOT_COMPARED & (comments | set(cell.metadata.get("tags", [])))


def check_outputs(cell: NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        kinds = set(output.get("data", {}))
        if extra := sorted(kinds - {"text/plain"}):
            yield f"stores {', '.join(extra)}; only text/plain is kept"
        if output.output_type == "error" and not not_compared(cell):
            yield f"stores an error: {output.ename}: {output.evalue}"
        if str(ROOT) in str(output) or str(Path.home()) + os.sep in str(output):
            yield "stores a path of the machine that ran it"


def check_comparison(cells: list[NotebookNode]) -> Iterator[str]:
    """At most one cell in ten may escape the comparison, and each has to say why."""
    escaped = [cell for cell in cells if not_compared(cell)]
    for cell in escaped:
        if not str(cell.metadata.get("reason", "")).strip():
            tags = ", ".join(sorted(not_compared(cell)))
            yield f'cell {cell.id}: {tags} without a reason in its metadata: {{"reason": "..."}}'
    if 10 * len(escaped) > len(cells):
        yield f"{len(escaped)} of {len(cells)} code cells are not compared: at most one in ten"


def check(path: Path, config: Path = ROOT / "_config.yml") -> list[str]:
    """Everything that is wrong with a chapter, in words; empty if nothing is."""
    notebook = read(path)
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [f"not a valid notebook: {error}"]
    cells, problems = code_cells(notebook), list[str]()
    if (
        not cells
        or cells[0].source != setup_source(config)
        or SETUP_TAG not in cells[0].metadata.get("tags", [])
    ):
        problems.append("the first code cell is not the template's: python book/notebooks.py setup")
    if notebook.metadata != METADATA:
        extra = sorted(set(notebook.metadata) - set(METADATA)) or "kernelspec, language_info"
        problems.append(f"metadata is not normalised ({extra}): python book/notebooks.py execute")
    counts = [cell.execution_count for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        problems.append(
            f"execution counts are {counts}, not 1 to {len(cells)} (nbval compares no cell "
            "without one): python book/notebooks.py execute"
        )
    for cell in cells:
        problems += [f"cell {cell.id}: {problem}" for problem in check_outputs(cell)]
        if cell is not cells[0] and INSTALL.search(cell.source):
            problems.append(f"cell {cell.id}: installs a package; only the first cell may")
        if ends_in_semicolon(cell.source):
            problems.append(f"cell {cell.id}: ends in ; (nbval sees the value): assign it instead")
    for cell in notebook.cells:
        if extra := sorted(set(cell.metadata) - set(CELL_METADATA)):
            problems.append(f"cell {cell.id}: metadata {', '.join(extra)} is not kept")
    for cell_id, name in bare_controls(cells):
        problems.append(f"cell {cell_id}: {name} of ipywidgets would be dead in the page")
    return problems + list(check_comparison(cells))


# Command line -----------------------------------------------------------------------------------


def run(action: str, path: Path, timeout: int) -> bool:
    """Does one thing to one chapter, says so, and returns whether all is well."""
    if action == "check":
        problems = check(path)
        print("\n".join(f"{path.name}: {line}" for line in problems or ["in order"]))
        return not problems
    if action == "setup":
        print(f"{path.name}: first cell {'written' if write_setup(path) else 'was up to date'}")
        return True
    print(f"{path.name}: running ...", flush=True)
    try:
        execute(path, timeout=timeout)
    except (CellExecutionError, CellTimeoutError, DeadKernelError, ValueError) as error:
        print(f"{path.name}: not stored.\n{error}", file=sys.stderr)
        return False
    print(f"{path.name}: outputs stored")
    return True


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="notebooks.py", description=str(__doc__).partition("\n")[0]
    )
    parser.add_argument("action", choices=["setup", "execute", "check"])
    parser.add_argument("files", nargs="*", type=Path, help="chapters (default: all)")
    parser.add_argument("--timeout", type=int, default=TIMEOUT, help="seconds a cell")
    options = parser.parse_args(arguments)
    paths: list[Path] = options.files or chapters()
    return 0 if all([run(options.action, path, options.timeout) for path in paths]) else 1


if __name__ == "__main__":
    sys.exit(main())

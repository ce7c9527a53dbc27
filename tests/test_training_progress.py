"""A bar on a terminal, the curves in a notebook, and nothing anywhere else."""

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from training_cases import Shuffled, mean_loss, tiny_gpt
from underglass.optimizers import SGD
from underglass.training import fit

TESTS = Path(__file__).parent
SCRIPT = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from training_cases import Shuffled, mean_loss, tiny_gpt
from underglass.optimizers import SGD
from underglass.training import fit
model = tiny_gpt()
history = fit(model, Shuffled(), SGD(model.parameters(), 0.1), loss=mean_loss, steps=5,
              validation=Shuffled(2), validate_every=2, name="a run")
"""


def test_where_nobody_looks_nothing_is_written(capfd):
    model = tiny_gpt()
    fit(model, Shuffled(), SGD(model.parameters(), 0.1), loss=mean_loss, steps=2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("progress", [True, False])
def test_a_terminal_gets_a_bar_on_stderr(progress):
    script = SCRIPT.replace("validate_every", f"progress={progress}, validate_every")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=theirs, timeout=120
    )
    os.write(theirs, b"end")
    shown = ""
    while not shown.endswith("end"):
        shown += os.read(ours, 100_000).decode()
    for descriptor in (ours, theirs):
        os.close(descriptor)
    assert done.returncode == 0, shown
    assert done.stdout == b""
    if progress:
        assert "a run: 100%" in shown
        assert "5/5" in shown
        assert "validation 3." in shown
    else:
        assert shown == "end"


@pytest.mark.slow
def test_a_notebook_gets_the_curves_and_nothing_on_its_streams():
    look = "[len(history), history.name]"
    cells = [nbformat.v4.new_code_cell(source) for source in (SCRIPT, look)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (shown,) = notebook.cells[0].outputs
    assert shown.output_type == "display_data"
    assert shown.data["text/plain"].startswith("TrainingCurves(")
    assert notebook.cells[1].outputs[0].data["text/plain"] == "[5, 'a run']"
    (curves,) = [
        model["state"]
        for model in notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"][
            "state"
        ].values()
        if model["state"].get("_anywidget_id", "").endswith("TrainingCurves")
    ]
    assert "a run" in str(curves)

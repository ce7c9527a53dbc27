"""The chapters are in shape, and the comparison of their stored outputs bites."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import nbformat
import notebooks
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

CHAPTERS = notebooks.chapters()
ROOT = notebooks.ROOT
WIDGET = """\
import anywidget


class Tiny(anywidget.AnyWidget):
    _esm = "export default {}"

    def __repr__(self):
        return "Tiny()"


Tiny()"""


def write(path: Path, *sources: str, title: str = "# A chapter") -> Path:
    """A chapter of these code cells, with the first cell that every chapter has."""
    cells = [new_code_cell(source, id=f"c{n}") for n, source in enumerate(sources)]
    notebook = new_notebook(cells=[new_markdown_cell(title, id="title"), *cells])
    nbformat.write(notebook, path)
    notebooks.write_setup(path)
    return path


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> Path:
    """A chapter that is in order: text, a result, a figure and a widget, executed and stored."""
    path = write(
        tmp_path_factory.mktemp("chapters") / "01_good.ipynb",
        'print("one")\nprint("two")',
        "6 * 7",
        "import matplotlib.pyplot as plt\n\nlines = plt.plot([1, 2])",
        WIDGET,
        "import ipywidgets\n\nlink = ipywidgets.jslink",
    )
    notebooks.execute(path)
    return path


@pytest.fixture
def chapter(executed, tmp_path) -> Path:
    """A copy that a test may spoil."""
    copy = tmp_path / executed.name
    copy.write_bytes(executed.read_bytes())
    return copy


def spoil(path: Path, change) -> list[str]:
    notebook = notebooks.read(path)
    change(notebook, notebooks.code_cells(notebook))
    nbformat.write(notebook, path)
    return notebooks.check(path)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_is_in_order(path):
    assert notebooks.check(path) == []


# The first cell ---------------------------------------------------------------------------------


def test_first_cell_names_the_one_address(tmp_path):
    config = tmp_path / "_config.yml"
    config.write_text("repository: {url: https://example.org/a/b/, branch: dev}")
    assert '"git+https://example.org/a/b@dev"' in notebooks.setup_source(config)


def test_first_cell_is_formatted_as_ruff_would(chapter):
    command = [sys.executable, "-m", "ruff", "format", "--check", "--isolated"]
    options = ["--line-length=80", str(chapter)]
    assert subprocess.run([*command, *options], capture_output=True).returncode == 0


def run_first_cell(monkeypatch, *, colab: bool, present: set[str]) -> list[str]:
    """The lines that the first cell hands to `%pip`."""
    asked: list[str] = []
    shell = InteractiveShell()
    shell.magics_manager.register_function(asked.append, "line", "pip")
    if colab:
        monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in present else None)
    shell.run_cell(notebooks.setup_source()).raise_error()
    monkeypatch.undo()
    return asked


def test_first_cell_does_nothing_elsewhere(monkeypatch):
    assert run_first_cell(monkeypatch, colab=False, present=set()) == []


def test_first_cell_adds_what_colab_lacks_and_nothing_else(monkeypatch):
    (line,) = run_first_cell(monkeypatch, colab=True, present={"anywidget", "psygnal"})
    options, packages = line.split()[:3], line.split()[3:]
    assert options == ["install", "--quiet", "--no-deps"]  # --no-deps: torch and numpy stay
    assert [p for p in packages if not p.startswith("git+https://")] == [
        "jaxtyping",
        "wadler-lindig",
    ]


def test_first_cell_asks_for_nothing_when_all_is_there(monkeypatch):
    present = {"underglass", "anywidget", "psygnal", "jaxtyping", "wadler_lindig"}
    assert run_first_cell(monkeypatch, colab=True, present=present) == []


def test_setup_mends_an_edited_cell_and_then_rests(chapter):
    def edit(notebook, cells):
        cells[0].source += "\n%pip install torch"

    assert any("not the template's" in line for line in spoil(chapter, edit))
    assert notebooks.write_setup(chapter)
    assert not notebooks.write_setup(chapter)
    assert notebooks.read(chapter).cells[1].source == notebooks.setup_source()


# What is stored ---------------------------------------------------------------------------------


def test_stored_outputs_are_text_alone(executed):
    notebook = notebooks.read(executed)
    cells = notebooks.code_cells(notebook)
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5, 6]
    assert cells[1].outputs[0].text == "one\ntwo\n"
    assert cells[2].outputs[0].data == {"text/plain": "42"}
    assert cells[3].outputs[0].data == {"text/plain": "<Figure size 640x480 with 1 Axes>"}
    assert list(cells[4].outputs[0].data) == ["text/plain"]
    assert notebook.metadata == notebooks.METADATA
    assert all("execution" not in cell.metadata for cell in cells)
    assert notebooks.check(executed) == []


def test_executing_again_changes_nothing(chapter):
    before = chapter.read_bytes()
    notebooks.execute(chapter)
    assert chapter.read_bytes() == before


def test_device_of_the_reader_reaches_the_chapter(tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERGLASS_DEVICE", "meta")
    path = write(tmp_path / "01_d.ipynb", "import os\n\nprint(os.environ['UNDERGLASS_DEVICE'])")
    notebooks.execute(path)
    assert notebooks.code_cells(notebooks.read(path))[1].outputs[0].text == "meta\n"


def test_failing_chapter_is_left_as_it_was(tmp_path):
    path = write(tmp_path / "01_bad.ipynb", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.execute(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_output_that_nbval_would_miss_is_refused(tmp_path):
    path = write(tmp_path / "01_html.ipynb", "from IPython.display import HTML\n\nHTML('<b>x</b>')")
    with pytest.raises(ValueError, match=r"01_html.ipynb, cell c0: the output is also text/html"):
        notebooks.execute(path)


# What must not be in a chapter ------------------------------------------------------------------


def null_count(notebook, cells):
    cells[2].execution_count = None


def picture(notebook, cells):
    cells[3].outputs[0].data["image/png"] = "iVBORw0KGgo="


def widget_state(notebook, cells):
    notebook.metadata["widgets"] = {}


def timings(notebook, cells):
    cells[1].metadata["execution"] = {"iopub.execute_input": "2026-01-01"}


def install(notebook, cells):
    cells[1].source = "!pip install torch"


def slider(notebook, cells):
    cells[1].source = "import ipywidgets as w\nw.IntSlider()"


def interact(notebook, cells):
    cells[1].source = "from ipywidgets import interact\ninteract(print, x=3)"


def semicolon(notebook, cells):
    cells[2].source = "6 * 7;  # hidden"


def error(notebook, cells):
    cells[1].outputs = [nbformat.v4.new_output("error", ename="KeyError", evalue="'x'")]


def machine(notebook, cells):
    cells[1].outputs[0].text = f"{ROOT}/lib"


def unreasoned(notebook, cells):
    cells[1].metadata["tags"] = ["nbval-ignore-output"]


def too_many(notebook, cells):
    cells[1].source = "# NBVAL_SKIP\n1"
    cells[1].metadata["reason"] = "it takes an hour"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (null_count, "execution counts are [1, 2, None, 4, 5, 6], not 1 to 6"),
        (picture, "cell c2: stores image/png; only text/plain is kept"),
        (widget_state, "metadata is not normalised (['widgets'])"),
        (timings, "cell c0: metadata execution is not kept"),
        (install, "cell c0: installs a package; only the first cell may"),
        (slider, "cell c0: IntSlider of ipywidgets would be dead in the page"),
        (interact, "cell c0: interact of ipywidgets would be dead in the page"),
        (semicolon, "cell c1: ends in ; (nbval sees the value): assign it instead"),
        (error, "cell c0: stores an error: KeyError: 'x'"),
        (machine, "cell c0: stores a path of the machine that ran it"),
        (unreasoned, "cell c0: nbval-ignore-output without a reason in its metadata"),
        (too_many, "1 of 6 code cells are not compared: at most one in ten"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_check_names_what_is_wrong(chapter, change, said):
    assert any(line.startswith(said) for line in spoil(chapter, change))


def test_one_cell_in_ten_may_escape_with_a_reason(chapter):
    def escape(notebook, cells):
        cells[1].metadata.update(tags=["nbval-ignore-output"], reason="the clock")
        for n in range(4):
            more = new_code_cell("1", id=f"more{n}", execution_count=7 + n)
            notebook.cells.append(more)

    assert spoil(chapter, escape) == []


def test_command_line_fails_on_what_check_finds(chapter, capsys):
    assert notebooks.main(["check", str(chapter)]) == 0
    spoil(chapter, null_count)
    assert notebooks.main(["check", str(chapter)]) == 1
    assert "01_good.ipynb: execution counts" in capsys.readouterr().out


# nbval bites ------------------------------------------------------------------------------------

LIMIT = 3  # seconds a cell


def wrong_number(notebook, cells):
    cells[1].outputs[0].data["text/plain"] = "43"


def raises(notebook, cells):
    cells[1].source = "raise RuntimeError('spoilt')"


def dies(notebook, cells):
    cells[1].source = "import os\nos._exit(1)"


def hangs(notebook, cells):
    cells[1].source = "import time\ntime.sleep(600)"


SPOILERS = {
    wrong_number: "mismatch 'text/plain'",
    raises: "RuntimeError: spoilt",
    dies: f"Timeout of {LIMIT} seconds exceeded",
    hangs: f"Timeout of {LIMIT} seconds exceeded",
}


@pytest.fixture(scope="module")
def verdicts(executed, tmp_path_factory) -> dict[str, tuple[str, float]]:
    """What nbval says of a good notebook and of each spoilt one, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("nbval")
    (folder / "none.ini").write_text("[pytest]\n")
    (folder / executed.name).write_bytes(executed.read_bytes())
    tiny = write(folder / "01_tiny.ipynb", "6 * 7", "print('end')")
    notebooks.execute(tiny)
    for change in SPOILERS:
        copy = folder / f"{change.__name__}.ipynb"
        copy.write_bytes(tiny.read_bytes())
        spoil(copy, change)
    command = [sys.executable, "-m", "pytest", "-p", "nbval.plugin", "--nbval", str(folder)]
    options = [f"--nbval-cell-timeout={LIMIT}", f"--rootdir={folder}", "-c", "none.ini"]
    report = ["-p", "no:cacheprovider", "--junitxml=report.xml"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # nothing slow to import
    subprocess.run([*command, *options, *report], cwd=folder, env=environment, check=False)
    found: dict[str, tuple[str, float]] = {}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        name = case.attrib["classname"].rsplit(".", 1)[0]
        said, seconds = found.get(name, ("", 0.0))
        said += "".join(failure.text or "" for failure in case.iter("failure"))
        found[name] = (said, seconds + float(case.attrib["time"]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["01_good", "01_tiny"])
def test_nbval_passes_what_is_stored(verdicts, name):
    assert verdicts[name][0] == ""


@pytest.mark.slow
@pytest.mark.parametrize("change", SPOILERS, ids=lambda change: change.__name__)
def test_nbval_bites(verdicts, change):
    said, seconds = verdicts[change.__name__]
    assert SPOILERS[change] in re.sub(r"#x1B\[[0-9;]*m", "", said)
    assert seconds < 60  # it ends: start, the cell's limit, the same again to interrupt it

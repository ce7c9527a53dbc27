"""The widgets in a live JupyterLab: what a reader does in the page, Python sees, and back."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import torch
from pages import opened
from playwright.sync_api import Page
from torch.testing import assert_close

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOKENS = ["the", "dog", "saw", "it", "."]
NOTEBOOK = f"""
import ipywidgets, time, torch
from underglass.widgets import AttentionView, TrainingCurves

weights = torch.randn(2, 3, 5, 5, generator=torch.manual_seed(7)).softmax(-1)
first, second = (AttentionView(weights, {TOKENS}) for _ in range(2))
link = ipywidgets.jslink((first, "token"), (second, "token"))

heard = ipywidgets.Label("nothing yet")

def tell(change):
    heard.value = f"{{heard.value}} {{change['name']}}={{change['new']}}"

first.observe(tell, ["layer", "head", "mode", "token"])
button = ipywidgets.Button(description="from Python")

def set_from_python(_):
    first.layer, first.mode = 0, "layer"
    try:
        first.layer = 2
    except Exception as error:
        heard.value = str(error)

button.on_click(set_from_python)
curves = TrainingCurves({{"step": [1], "loss": [1.0]}})

def train(_):
    for step in range(2, 301):
        curves.append(step, 1 / step)
        time.sleep(0.003)

go = ipywidgets.Button(description="train")
go.on_click(train)
ipywidgets.VBox([first, second, heard, button, curves, go])
"""
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, TimeoutError):
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a notebook in a JupyterLab of its own: own settings, own port, own secret."""
    work, settings, log = tmp_path / "work", tmp_path / "settings", tmp_path / "log"
    quiet = settings / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    for folder in (work, quiet.parent):
        folder.mkdir(parents=True)
    quiet.write_text(json.dumps(QUIET))
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel}
    notebook["cells"] = [cell | {"source": NOTEBOOK.strip()}]
    (work / "live.ipynb").write_text(json.dumps(notebook))
    port, token = free_port(), secrets.token_hex(16)
    own = {"JUPYTER_CONFIG_DIR": tmp_path / "config", "JUPYTER_DATA_DIR": tmp_path / "data"}
    own |= {"JUPYTER_RUNTIME_DIR": tmp_path / "run", "JUPYTERLAB_SETTINGS_DIR": settings}
    own |= {"IPYTHONDIR": tmp_path / "ipython", "OMP_NUM_THREADS": 1}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={work}"]
    with log.open("w") as out:
        server = subprocess.Popen(
            command,
            env=os.environ | {name: str(value) for name, value in own.items()},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        here = f"http://127.0.0.1:{port}"
        wait_until_up(f"{here}/api/status?token={token}", server, log)
        yield f"{here}/lab/tree/live.ipynb?token={token}&reset"
    finally:
        server.terminate()  # the server then ends its kernels
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def numbers(page: Page, view: int) -> torch.Tensor:
    shown = page.locator(".ug.av").nth(view).locator(".av-to .av-number")
    return torch.tensor([float(text or "nan") for text in shown.all_inner_texts()])


def test_a_click_reaches_python_and_python_reaches_the_drawing(lab, browser):
    weights = torch.randn(2, 3, 5, 5, generator=torch.manual_seed(7)).softmax(-1)
    with opened(browser, lab, width=1200, height=1600) as (page, heard):
        page.set_default_timeout(60_000)
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_selector(".ug.av >> nth=1")
        first = page.locator(".ug.av").first
        first.get_by_role("gridcell", name="layer 1, head 2", exact=True).click()
        first.locator(".av-from li", has_text="it").click()
        # the page alone: the drawing, and the second view that a link joins to it
        assert_close(numbers(page, 0), weights[1, 2, 3], atol=0.00501, rtol=0)
        assert_close(numbers(page, 1), weights[0, 0, 3], atol=0.00501, rtol=0)
        # Python heard of it, in order, and only of what changed
        page.get_by_text("nothing yet layer=1 head=2 token=3", exact=True).wait_for()
        page.get_by_role("button", name="from Python").click()
        first.get_by_role("heading", name="layer 0 · mean over heads").wait_for()
        assert_close(numbers(page, 0), weights[0].mean(0)[3], atol=0.00501, rtol=0)
        page.get_by_text("layer=2 is out of range; expected 0 to 1", exact=True).wait_for()
        assert page.locator("h4").first.inner_text() == "layer 0 · mean over heads"
        # curves grow while Python is at work, and end with its last step
        page.get_by_role("button", name="train").click()
        curves = page.locator(".ug-curves")
        curves.get_by_text("Step 300, the last", exact=True).wait_for()
        assert curves.locator(".values td").first.inner_text() == "0.0033333"
        assert len(curves.locator("[data-curve=line]").first.get_attribute("d") or "") > 1000
        assert heard.foreign() == []

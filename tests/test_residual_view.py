"""One token through every layer: the page after real clicks and keys, against PyTorch."""

import re

import pytest
import torch
from driving import number
from playwright.sync_api import Locator, Page
from residual_cases import IDS, LAYERS, WORDS, Step, traced, walk
from underglass.models.residual import Trace
from underglass.widgets import ResidualView

pytestmark = pytest.mark.browser

STEPS = 2 * LAYERS + 1


def percent(text: str) -> tuple[float, float]:
    """A share as it is shown, as a probability, and half of its last digit."""
    found = re.search(r"[\d.]+", text)
    assert found, text
    digits = len(found[0].partition(".")[2])
    return float(found[0]) / 100, 0.501 * 10 ** -(digits + 2)


def check_percent(text: str, p: float) -> None:
    if "<" in text:
        assert p < 1e-5
    else:
        shown, half = percent(text)
        assert shown == pytest.approx(p, abs=half)


def seen(i: int) -> str:
    return WORDS[i].replace(" ", "␣")


def check_table(page: Page | Locator, found: Trace, position: int) -> None:
    """Every row of the lens: the next token's probability and rank, and the candidates."""
    rows = page.locator(".lens tbody tr").all()
    path = walk(found, position)
    assert len(rows) == len(path)
    ids = found.ids[0].tolist()
    for row, step in zip(rows, path, strict=True):
        cells = row.locator("td").all()
        first = [cell.inner_text() for cell in cells[:2]]
        if position + 1 < len(ids):
            p = step.p[ids[position + 1]]
            check_percent(first[0], p.item())
            assert first[1] == str(1 + int((step.p > p).sum()))
        else:
            assert first == ["–", "–"]
        top = step.p.topk(5)
        for cell, i, p in zip(cells[2:], top.indices.tolist(), top.values.tolist(), strict=True):
            assert cell.locator("bdi").inner_text() == seen(i)
            assert ("✓" in cell.inner_text()) == (ids[position + 1 : position + 2] == [i])
            check_percent(cell.locator("small").inner_text(), p)


def angle(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.rad2deg(torch.nn.functional.cosine_similarity(a, b, dim=0).acos()))


def check_step(page: Page | Locator, step: Step) -> None:
    """The numbers of one step after the embedding, and which tokens it moved."""
    said = {
        node.get_attribute("data-number"): number(node.inner_text().rstrip("°"))
        for node in page.locator(".detail dd").all()
    }
    wanted = {"added": step.added, "before": step.before, "size": step.x}
    for kind, vector in wanted.items():
        assert said[kind] == pytest.approx(vector.norm().item(), rel=6e-5), kind
    assert said["angle"] == pytest.approx(angle(step.added, step.before), abs=0.51)
    assert said["turn"] == pytest.approx(angle(step.x, step.before), abs=0.51)
    for kind, sign in (("raised", 1), ("lowered", -1)):
        order = (sign * (step.p - step.p_before)).topk(3).indices.tolist()
        lines = page.locator(f".{kind} li").all_text_contents()
        assert len(lines) == 3
        for line, i in zip(lines, order, strict=True):
            assert line.startswith(f"{seen(i)} ")
            before, after = line.removeprefix(seen(i)).split("→")
            check_percent(before, step.p_before[i].item())
            check_percent(after, step.p[i].item())


def test_tokens_by_click_and_keys(show):
    found = traced()
    page = show(ResidualView(found, WORDS))
    chips = page.get_by_role("option")
    last = IDS.shape[1] - 1
    check_table(page, found, last - 1)
    chips.nth(2).click()
    check_table(page, found, 2)
    for key, position in [("ArrowRight", 3), ("ArrowLeft", 2), ("Home", 0), ("End", last)]:
        chips.and_(page.locator("[aria-selected=true]")).press(key)
        check_table(page, found, position)
        assert page.evaluate("document.activeElement.dataset.at") == str(position)
    sentence = page.locator(".sentence")
    assert "Nothing is known to come next." in sentence.inner_text()
    chips.nth(last).press("ArrowLeft")
    p = walk(found, last - 1)[-1].p[IDS[0, last]]
    check_percent(page.locator("[data-number=next]").inner_text(), p.item())


def test_steps_by_click_and_keys(show):
    found = traced()
    page = show(ResidualView(found, WORDS, position=3, step=1))
    path = walk(found, 3)
    pressed = page.locator(".lens [aria-pressed=true]")
    check_step(page, path[1])
    for step in range(2, STEPS):
        pressed.press("ArrowDown")
        check_step(page, path[step])
    page.get_by_role("button", name="block 1 attention").click()
    check_step(page, path[3])
    pressed.press("Home")
    assert page.locator(".detail dd").inner_text() == f"{path[0].x.norm().item():.4f}"[:6]

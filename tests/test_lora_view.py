"""A matrix and its update: the page after real clicks and keys, against numpy."""

import numpy as np
import pytest
import torch
from driving import number
from playwright.sync_api import Page
from torch import Tensor
from underglass.widgets import LoRAView

D_OUT, D_IN = 11, 17


def pair(d_out: int = D_OUT, d_in: int = D_IN, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A weight before and after, and another update of rank 3."""
    draw = torch.Generator().manual_seed(seed)
    before, change = torch.randn(2, d_out, d_in, generator=draw)
    b, a = torch.randn(d_out, 3, generator=draw), torch.randn(3, d_in, generator=draw)
    return before, before + 0.05 * change, 0.02 * b @ a


def read(page: Page, kind: str) -> float:
    return float(page.locator(f"[data-number='{kind}']").get_attribute("data-value") or "")


def errors(update: np.ndarray) -> np.ndarray:
    """Relative error of the best approximation of each rank from 0, by building it."""
    u, s, vt = np.linalg.svd(update, full_matrices=False)
    rest = [np.linalg.norm(update - (u[:, :r] * s[:r]) @ vt[:r]) for r in range(len(s) + 1)]
    return np.array(rest) / np.linalg.norm(update)


@pytest.mark.browser
def test_the_error_that_remains_at_every_rank(show):
    before, after, _ = pair()
    page = show(LoRAView({"query": (before, after)}, rank=0))
    slider = page.get_by_role("slider", name="rank")
    for rank, error in enumerate(errors((after.double() - before.double()).numpy())):
        assert slider.get_attribute("aria-valuetext") == str(rank)
        assert read(page, "error") == pytest.approx(error, abs=1e-9)
        shown = page.locator("[data-number='error']").inner_text()
        assert number(shown) == pytest.approx(error, abs=5.001e-5)
        slider.press("ArrowRight")


def test_repr():
    assert repr(LoRAView({"query": pair()})) == "LoRAView(query 11 x 17)"

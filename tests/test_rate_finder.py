"""The rate finder: the page after real clicks, drags and keys, against numpy."""

import numpy as np
import pytest
from driving import number
from playwright.sync_api import Page
from rate_cases import RATES, finals, grid
from underglass.widgets import RateFinder

pytestmark = pytest.mark.browser


def rate_slider(page: Page):
    return page.get_by_role("slider", name="learning rate")


def words(page: Page) -> str:
    return page.locator(".now").inner_text()


def test_arrow_keys_step_along_the_grid(show):
    data = grid()
    page = show(RateFinder(data, optimizer="AdamW", rate=0.001))
    slider = rate_slider(page)
    here = 1
    for key, by in (("ArrowRight", 1), ("ArrowRight", 1), ("ArrowLeft", -1), ("Home", -9)):
        slider.press(key)
        here = max(0, here + by)
        rate = RATES["AdamW"][here]
        assert slider.get_attribute("aria-valuetext") == f"{rate} ({here + 1} of 6)"
        losses = finals(data["AdamW"][rate])
        said = words(page).split("final validation loss ")[1]
        assert number(said.split(",")[0]) == pytest.approx(np.mean(losses), rel=6e-5)

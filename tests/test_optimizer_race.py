"""The race of optimizers: the page after real clicks, drags and keys, against the library."""

import pytest
from race_cases import furthest, grip, pixel_of
from underglass.widgets import OptimizerRace
from underglass.widgets.surfaces import RUNNERS, SURFACES

pytestmark = pytest.mark.browser

STEPS = 120
SAME = 1e-9  # of the number itself, where it is larger than 1; most agree to the last digit


# The steps


@pytest.mark.parametrize("name", SURFACES)
def test_steps_are_those_of_the_library(show, name):
    page = show(OptimizerRace(optimizers=RUNNERS, steps=STEPS), height=1200)
    page.get_by_label("surface").select_option(name)
    worst = furthest(page, name, STEPS, (0.9, 0.99), 0.0)
    print(f"{name}: largest difference {worst:.1e}")
    assert worst <= SAME
    page.mouse.click(*pixel_of(page, -0.7, 1.3))
    grip(page).press("ArrowLeft")
    for slider, keys in {
        "weight decay": ["PageUp", "ArrowRight", "ArrowRight"],
        "β₁": ["PageDown", "ArrowLeft"],
        "β₂": ["PageDown", "ArrowRight"],
        "all rates": ["ArrowLeft"] * 3,
    }.items():
        for key in keys:
            page.get_by_role("slider", name=slider).press(key)
    decay, beta1, beta2 = (
        float(page.get_by_role("slider", name=slider).input_value())
        for slider in ("weight decay", "β₁", "β₂")
    )
    assert decay > 0.05
    assert beta1 < 0.85
    assert beta2 < 0.95
    worst = furthest(page, name, STEPS, (beta1, beta2), decay)
    print(f"{name}, with decay from another start: largest difference {worst:.1e}")
    assert worst <= SAME

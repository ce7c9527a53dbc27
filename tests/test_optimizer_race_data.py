"""The race in Python: surfaces, noise, traits, and what is refused."""

import numpy as np
import pytest
import torch
from refusals import refused
from torch.testing import assert_close
from underglass.optimizers import SGD
from underglass.widgets import OptimizerRace, surface
from underglass.widgets.surfaces import RUNNERS, SURFACES

# Surfaces


@pytest.mark.parametrize("name", SURFACES)
def test_surfaces_are_0_and_flat_at_their_lowest(name):
    ground = surface(name)
    left, right, bottom, top = ground.window
    for x, y in (ground.start, *ground.lowest):
        assert left <= x <= right
        assert bottom <= y <= top
    place = torch.tensor(ground.lowest, dtype=torch.float64, requires_grad=True)
    heights = ground(place)
    heights.sum().backward()
    assert_close(heights.detach(), torch.zeros(len(ground.lowest), dtype=torch.float64))
    assert_close(place.grad, torch.zeros_like(place))
    grid = torch.rand(1000, 2, dtype=torch.float64) * 6 - 3
    assert (ground(grid) >= 0).all()
    assert list(ground.rates) == list(RUNNERS)


def test_the_turned_ravine_is_the_ravine_turned():
    ravine, turned = surface("ravine"), surface("turned")
    offset, turn = (
        torch.tensor([1.0, 0.5]).double(),
        torch.tensor([[0.8, -0.6], [0.6, 0.8]]).double(),
    )
    place = torch.randn(100, 2, dtype=torch.float64)
    assert_close(turned(offset + place @ turn.mT), ravine(offset + place))


@pytest.mark.browser
def test_the_browser_has_the_same_surfaces(show):
    """Heights and slopes of the script's own formulas, at places drawn by chance."""
    page = show(OptimizerRace())
    place = torch.rand(200, 2, dtype=torch.float64) * 6 - 3
    source = OptimizerRace._esm.replace("export default", "const widget =")
    found = page.evaluate(
        """([source, places]) => {
          const grounds = new Function(source + "; return GROUNDS")();
          return Object.fromEntries(Object.entries(grounds).map(([name, { height, slope }]) =>
            [name, places.map(([x, y]) => [height(x, y), ...slope(x, y)])]));
        }""",
        [source, place.tolist()],
    )
    assert list(found) == list(SURFACES)
    for name, ground in SURFACES.items():
        here = place.clone().requires_grad_()
        heights = ground(here)
        (slopes,) = torch.autograd.grad(heights.sum(), here)
        wanted = torch.cat([heights.detach()[:, None], slopes], dim=1)
        assert_close(torch.tensor(found[name], dtype=torch.float64), wanted, rtol=1e-12, atol=1e-12)


def test_a_batch_adds_its_draw_to_the_slope():
    noisy = surface("noisy")
    draws = noisy.draws(400, seed=3)
    assert draws.shape == (400, 2)
    assert draws.std().item() == pytest.approx(noisy.noise, rel=0.1)
    assert_close(noisy.draws(7, seed=3), draws[:7])  # a longer race begins as a shorter one does
    assert not torch.equal(noisy.draws(400, seed=4), draws)
    assert surface("bowl").draws(5).abs().max() == 0
    place = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    (plain,) = torch.autograd.grad(noisy(place), place)
    (batch,) = torch.autograd.grad(noisy(place, draws[0]), place)
    assert_close(batch - plain, draws[0])


def test_a_chapter_can_run_an_optimizer_on_a_surface():
    ravine = surface("ravine")
    place = torch.tensor(ravine.start, requires_grad=True)
    optimizer = SGD([place], lr=ravine.rates["SGD"])
    for _ in range(200):
        optimizer.zero_grad()
        ravine(place).backward()
        optimizer.step()
    assert ravine(place).item() < 0.01


def test_the_state_carries_the_noise():
    race = OptimizerRace("noisy", seed=7)
    carried = np.frombuffer(race._noise, "<f4").reshape(-1, 2).astype(float)
    assert len(race._noise) <= 4096
    wanted = surface("noisy").draws(len(carried), 7).numpy()
    np.testing.assert_array_equal(surface("noisy").noise * carried, wanted)


# Traits


def test_traits_hold_what_was_given():
    race = OptimizerRace(
        "bowl", (1, 2), ("Lion", "SGD"), steps=50, rates={"Lion": 1}, betas=(0, 0.5)
    )
    assert race.surface == "bowl"
    assert race.start == [1.0, 2.0]
    assert race.optimizers == ["SGD", "Lion"]
    assert race.rates == {"Lion": 1.0}
    assert race.betas == [0.0, 0.5]
    assert (race.steps, race.step, race.playing, race.weight_decay) == (50, None, False, 0.0)
    assert OptimizerRace().start == []
    assert repr(race) == "OptimizerRace(bowl, 2 optimizers, 50 steps)"
    race.surface, race.start, race.step, race.factor = "saddle", [0.5, 0.5], 7, 2.0
    race.optimizers = ["Adam"]
    assert repr(race) == "OptimizerRace(saddle, 1 optimizer, 50 steps)"


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"surface": "hill"}, ValueError, r"surface='hill', expected one of \['bowl', 'ravine'"),
        ({"start": (1.0,)}, ValueError, r"start=\[1.0\], expected two finite numbers, x and y"),
        ({"start": (1.0, float("nan"))}, ValueError, r"start=\[1.0, nan\], expected two finite"),
        (
            {"surface": "rosenbrock", "start": (0, -2)},
            ValueError,
            r"start=\(0, -2\) is outside the picture, expected x from -3 to 3 and y from -1 to 3",
        ),
        ({"optimizers": ("SGD", "Adagrad")}, ValueError, r"optimizers names 'Adagrad', expected"),
        ({"optimizers": "SGD"}, TypeError, r"optimizers='SGD' is one name, expected a list"),
        ({"steps": 0}, ValueError, r"steps=0, expected a whole number from 1 to 500"),
        ({"steps": 501}, ValueError, r"steps=501, expected a whole number from 1 to 500"),
        ({"rates": {"adam": 0.1}}, ValueError, r"rates names 'adam', expected names among"),
        ({"rates": {"Adam": -0.1}}, ValueError, r"rates\['Adam'\]=-0.1, expected 0 to 100"),
        ({"rates": {"Adam": float("nan")}}, ValueError, r"rates\['Adam'\]=nan, expected 0 to 100"),
        ({"betas": (0.9,)}, ValueError, r"betas=\[0.9\], expected two numbers, each 0 to 0.999"),
        ({"betas": (0.9, 1)}, ValueError, r"betas=\[0.9, 1\], expected two numbers"),
        ({"weight_decay": -1}, ValueError, r"weight_decay=-1, expected a finite number"),
        ({"weight_decay": float("inf")}, ValueError, r"weight_decay=inf, expected a finite number"),
    ],
)
def test_refusals(arguments, error, match):
    with refused(error, match):
        OptimizerRace(**arguments)


@pytest.mark.parametrize(
    ("trait", "value", "match"),
    [
        ("surface", "hill", "surface='hill', expected one of"),
        ("start", [1.0], r"start=\[1.0\], expected two finite numbers"),
        ("optimizers", ["Adagrad"], "optimizers names 'Adagrad'"),
        ("selected", "Adagrad", "selected names 'Adagrad'"),
        ("rates", {"SGD": -1.0}, r"rates\['SGD'\]=-1.0, expected 0 to 100"),
        ("factor", 11.0, "factor=11.0, expected 0.1 to 10"),
        ("betas", [0.5, 1.0], r"betas=\[0.5, 1.0\], expected two numbers"),
        ("weight_decay", -0.1, "weight_decay=-0.1, expected a finite number"),
        ("steps", 501, "steps=501, expected a whole number from 1 to 500"),
        ("step", -1, "step=-1, expected None or 0 to 500"),
    ],
)
def test_traits_refuse_what_the_constructor_refuses(trait, value, match):
    race = OptimizerRace()
    before = getattr(race, trait)
    with refused(ValueError, match):
        setattr(race, trait, value)
    assert getattr(race, trait) == before


def test_draws_are_not_endless():
    with refused(ValueError, "steps=513, expected a whole number from 1 to 512"):
        surface("noisy").draws(513)


def test_an_unknown_surface():
    with refused(ValueError, r"surface='hill', expected one of \['bowl'"):
        surface("hill")

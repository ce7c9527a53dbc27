"""Recorded runs: what happened in them, and all that is needed to make them again.

A recording is a JSON file beside this module, so that a chapter, a widget or a reader without time
for hundreds of runs can look at every one of them.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from underglass.experiments.kinds import KINDS, AnyRecipe
from underglass.experiments.recipe import hash_of, rounded
from underglass.training import History

FOLDER = Path(__file__).parent / "recordings"
FORMAT = "underglass.experiments 1"
DIGITS = {"loss": 5, "gradient_norm": 3, "validation_loss": 5}  # significant ones in the file


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        settings: in what it differs from the others, such as {"optimizer": "Adam", "seed": 0}.
        history: what happened at each step. Tokens per second are not numbers, for they are the
            machine's; nor is the gradient's norm where the recording keeps none.
        diverged: the step at which the loss or the gradient was no finite number any more, and the
            run ended; or None.
        outcome: what else came of it, such as {"accuracy": 0.86}.
    """

    settings: dict[str, Any]
    history: History
    diverged: int | None
    outcome: dict[str, Any] = field(default_factory=dict)

    @property
    def final(self) -> float:
        """The validation loss at the end: infinite, if the run diverged before."""
        losses = self.history.validation_loss
        if self.diverged is not None or not losses or not math.isfinite(losses[-1]):
            return math.inf
        return losses[-1]

    def steps_to(self, loss: float, *, over: int = 20) -> int | None:
        """The first step at which the mean of the last `over` losses is at most `loss`, or None."""
        losses = self.history.loss
        for end in range(over, len(losses) + 1):
            if math.fsum(losses[end - over : end]) / over <= loss:
                return end
        return None


@dataclass(frozen=True)
class Spread:
    """What several seeds make of one number.

    Attributes:
        mean: infinite, if one of the runs diverged.
        diverged: how many of the runs did.
    """

    mean: float
    lowest: float
    highest: float
    diverged: int

    @classmethod
    def of(cls, runs: list[Run]) -> "Spread":
        """The spread of the runs' final validation losses."""
        finals = [run.final for run in runs]
        diverged = sum(math.isinf(final) for final in finals)
        return cls(sum(finals) / len(finals), min(finals), max(finals), diverged)

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.lowest:.3f} to {self.highest:.3f})"


@dataclass(frozen=True, repr=False)
class Recording:
    """Many runs of one experiment.

    Attributes:
        about: what was done, in words.
        command: what makes the file again.
        hardware, torch, commit: what ran it: the processor, torch's version, the library's commit.
        data: data set -> the sha256 of its content.
        configuration: all that the runs depend on; the file has its sha256 too.
    """

    name: str
    about: str
    command: str
    hardware: str
    torch: str
    commit: str
    data: dict[str, str]
    configuration: dict[str, Any]
    runs: list[Run]

    def __repr__(self) -> str:
        return f"Recording({self.name}: {len(self.runs)} runs by {', '.join(self._settings())})"

    def where(self, **settings: Any) -> list[Run]:
        """The runs with these settings: `where(optimizer="Adam", rate=0.01)` has one for each seed.

        Raises:
            ValueError: if there is no such setting, or no run with this value.
        """
        found, chosen = self.runs, ""
        for name, value in settings.items():
            self._check_setting(name)
            known = list(dict.fromkeys(run.settings[name] for run in found))
            if value not in known:
                raise ValueError(
                    f"{name}={value!r}: expected one of {', '.join(map(repr, known))}{chosen}"
                )
            found = [run for run in found if run.settings[name] == value]
            chosen += f"{', and' if chosen else ', where'} {name}={value!r}"
        return found

    def grid(self, *names: str, **settings: Any) -> dict[Any, Any]:
        """`grid("optimizer", "rate")["Adam"][0.01]`: the histories of the seeds, as a list.

        Args:
            names: settings that become the keys, one level of the dict for each.
            settings: take only the runs `where` these are so.

        Raises:
            ValueError: if there is no such setting, or another one but the seed is left open.
        """
        return self._nested(names, settings, lambda runs: [run.history for run in runs])

    def final(self, *names: str, **settings: Any) -> dict[Any, Any]:
        """As `grid`, with the `Spread` of the final validation losses in place of the histories."""
        return self._nested(names, settings, Spread.of)

    def outcomes(self, outcome: str, *names: str, **settings: Any) -> dict[Any, Any]:
        """`outcomes("accuracy", "method")["lora"]`: that of each seed, as a list.

        Raises:
            ValueError: as `grid`; or if a run has no such outcome.
        """
        known = [*self.runs[0].outcome]
        if outcome not in known:
            raise ValueError(
                f"outcome={outcome!r}: expected one of {', '.join(known) or 'none, for none is'}"
            )
        return self._nested(names, settings, lambda runs: [run.outcome[outcome] for run in runs])

    def best(self, group: str, choice: str, **settings: Any) -> dict[Any, Any]:
        """`best("optimizer", "rate")["Adam"]`: the rate with the lowest mean final loss.

        Raises:
            ValueError: as `grid`.
        """
        finals = self.final(group, choice, **settings)
        return {key: min(own, key=lambda c: own[c].mean) for key, own in finals.items()}

    def _nested(
        self, names: tuple[str, ...], settings: dict[str, Any], leaf: Callable[[list[Run]], Any]
    ) -> dict[Any, Any]:
        first, *others = names or (None,)
        if first is None:
            raise ValueError(f"names=(): expected one or more of {', '.join(self._settings())}")
        for name in names:
            self._check_setting(name)
        runs = self.where(**settings)
        if others:
            keys = dict.fromkeys(run.settings[first] for run in runs)
            return {key: self._nested((*others,), settings | {first: key}, leaf) for key in keys}
        cells: dict[Any, list[Run]] = {}
        for run in runs:
            cells.setdefault(run.settings[first], []).append(run)
        for cell in cells.values():
            self._check_seeds_only(cell)
        return {key: leaf(cell) for key, cell in cells.items()}

    def _settings(self) -> list[str]:
        return list(self.runs[0].settings)

    def _check_setting(self, name: str) -> None:
        if name not in self._settings():
            raise ValueError(
                f"{name!r} is no setting of {self.name}: expected one of "
                f"{', '.join(self._settings())}"
            )

    def _check_seeds_only(self, cell: list[Run]) -> None:
        for name in self._settings():
            values = dict.fromkeys(run.settings[name] for run in cell)
            if name != "seed" and len(values) > 1:
                raise ValueError(
                    f"{name} is left open, with {', '.join(map(repr, values))}: expected its name "
                    f"too, or one value, such as {name}={next(iter(values))!r}"
                )


def recorded(name: str) -> Recording:
    """The recording of this name, which comes with the library.

    Raises:
        ValueError: if there is no such recording.
    """
    known = sorted(path.stem for path in FOLDER.glob("*.json"))
    if name not in known:
        raise ValueError(f"name={name!r}: expected one of {', '.join(known)}")
    return read(FOLDER / f"{name}.json")


def read(path: Path) -> Recording:
    """The recording in a file.

    Raises:
        ValueError: if the file is of another format, or its configuration is not the one that its
            hash belongs to.
    """
    content = json.loads(path.read_text("utf-8"))
    if content.pop("format", None) != FORMAT:
        raise ValueError(f"{path.name} is no recording: expected the format {FORMAT!r}")
    configuration = content["configuration"]
    if (found := hash_of(configuration)) != (noted := content.pop("configuration_sha256")):
        raise ValueError(
            f"{path.name}: its configuration has the sha256 {found}: expected {noted}, as noted"
        )
    kind = KINDS[configuration["task"].get("kind", "speeches_gpt")]
    recipes = {_key(own["settings"]): kind(**own["recipe"]) for own in configuration["recipes"]}
    runs = [run_of(columns, recipes[_key(columns["settings"])]) for columns in content.pop("runs")]
    return Recording(runs=runs, **content)


def columns_of(run: Run, keeps: tuple[str, ...]) -> dict[str, Any]:
    """A run as its line in the file. What follows from the recipe is left out: steps and rates."""
    columns = {"settings": run.settings, "diverged": run.diverged}
    columns |= {"validation_step": run.history.validation_step}
    columns |= {name: rounded(getattr(run.history, name), DIGITS[name]) for name in keeps}
    return columns | ({"outcome": run.outcome} if run.outcome else {})


def run_of(columns: dict[str, Any], recipe: AnyRecipe) -> Run:
    """The run that `columns_of` wrote."""
    num_steps, factor = len(columns["loss"]), recipe.factors()
    unknown = [None] * num_steps
    history = History.from_dict(
        {
            "step": list(range(1, num_steps + 1)),
            "loss": columns["loss"],
            "rate": [recipe.first_rate * factor(step) for step in range(num_steps)],
            "gradient_norm": columns.get("gradient_norm", unknown),
            "tokens_per_second": unknown,
            "validation_step": columns["validation_step"],
            "validation_loss": columns["validation_loss"],
            "name": _name(columns["settings"]),
        }
    )
    return Run(columns["settings"], history, columns["diverged"], columns.get("outcome", {}))


def _key(settings: dict[str, Any]) -> str:
    """What tells recipes apart: all settings but the seed."""
    return json.dumps({name: own for name, own in settings.items() if name != "seed"})


def _name(settings: dict[str, Any]) -> str:
    """What a picture calls the run: "Adam, rate 0.01, seed 0"."""
    first, *others = (
        value if isinstance(value, str) else f"{name} {value}" for name, value in settings.items()
    )
    return ", ".join([first, *others])

"""The library is a stack of layers: a module imports only from modules below its own."""

import ast
from pathlib import Path

import pytest

LIB = Path(__file__).parents[1] / "lib" / "underglass"
LAYERS = [  # from the bottom up; a package counts as one
    {"data", "tokenizers"},
    {"cache", "positions"},
    {"attention"},
    {"layers"},
    {"models", "quantization"},
    {"pretrained"},
    {"losses", "optimizers", "schedules"},
    {"plots", "widgets"},  # below what runs: `fit` shows its curves, and a widget takes plain data
    {"training", "finetuning", "generation", "metrics"},
    {"experiments"},
    {"checks", "quiz"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in LIB.rglob("*.py") if path != LIB / "__init__.py")


def top(path: Path) -> str:
    """The module, or the package directly in the library, that a file belongs to."""
    return path.relative_to(LIB).with_suffix("").parts[0]


def imported(source: str, path: Path) -> set[str]:
    """The modules and packages of the library that the source imports, relative imports too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = ("underglass", *path.relative_to(LIB).parent.parts)
            base = parents[: len(parents) + 1 - node.level] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            # `from underglass import data` names the module last
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("underglass.")}


def wrong(source: str, path: Path) -> set[str]:
    """What the source imports from its own level or above (a package may import from itself)."""
    mine = top(path)
    ours = imported(source, path) & LEVEL.keys() - {mine}
    return {name for name in ours if LEVEL[name] >= LEVEL[mine]}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(LIB)))
def test_imports_point_down(path):
    assert top(path) in LEVEL, f"say in LAYERS where {top(path)} belongs"
    assert not wrong(path.read_text(encoding="utf-8"), path)


@pytest.mark.parametrize(
    ("source", "file", "found"),
    [
        ("from underglass.models.bert import BERT", "attention.py", {"models"}),
        ("from underglass import pretrained", "models/bert.py", {"pretrained"}),
        ("import underglass.layers", "positions.py", {"layers"}),
        ("from ..layers import FeedForward", "tokenizers/wordpiece.py", {"layers"}),
        ("from .. import widgets", "models/bert.py", {"widgets"}),
        ("from underglass.tokenizers import WordPiece", "data/__init__.py", {"tokenizers"}),
        ("from .files import read_json", "pretrained/bert.py", set()),
        ("from underglass.models.gpt import GPT", "models/bert.py", set()),
        ("from underglass import data, device", "pretrained/__init__.py", set()),
    ],
)
def test_the_check_bites(source, file, found):
    assert wrong(source, LIB / file) == found

"""notation.md explains every axis and every size that the library uses, and no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIB = ROOT / "lib" / "underglass"
SOURCES = {path: path.read_text("utf-8") for path in sorted(LIB.rglob("*.py"))}
# Where the components of a Transformer are; data, checks and widgets have arguments of their own.
COMPONENTS = ("attention.py", "cache.py", "layers.py", "positions.py", "models")
DTYPES = {"Float", "Integer", "Bool"}
SIZES = ("int", "int | None")


def table(heading: str) -> list[list[str]]:
    """The rows of the table under this heading of notation.md, without the head."""
    text = (ROOT / "notation.md").read_text("utf-8").split(f"\n## {heading}\n")[1]
    rows = re.findall(r"^\|(.*)\|$", text.partition("\n## ")[0], re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows[2:]]


def code_words(cells: list[str]) -> set[str]:
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


AXES = code_words([row[0] for row in table("Axes")])
SIZE_NAMES = code_words([row[1] for row in table("Sizes")])


def shapes(source: str) -> Iterator[str]:
    """The shape strings of all annotations such as `Float[Tensor, "batch seq"]`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            match node.slice:
                case ast.Tuple(elts=[_, ast.Constant(value=str() as shape)]):
                    if node.value.id in DTYPES:
                        yield shape


def axis_words(shape: str) -> set[str]:
    """The names in a shape: `*#batch 1 {past+size} _` has batch, past and size."""
    return set(re.findall(r"[a-z]\w*", shape))


def size_arguments(source: str) -> Iterator[str]:
    """The whole-number arguments of public functions and classes, and fields of public configs."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name, args=args) if name == "__init__" or name[0] != "_":
                arguments = [*args.posonlyargs, *args.args, *args.kwonlyargs]
                annotated = [(a.arg, a.annotation) for a in arguments if a.annotation]
            case ast.ClassDef(decorator_list=[_, *_], body=body):
                fields = [n for n in body if isinstance(n, ast.AnnAssign)]
                annotated = [(ast.unparse(n.target), n.annotation) for n in fields]
            case _:
                continue
        yield from (name for name, note in annotated if ast.unparse(note) in SIZES)


def used_axes() -> set[str]:
    return {w for source in SOURCES.values() for shape in shapes(source) for w in axis_words(shape)}


def used_sizes() -> set[str]:
    inside = [s for p, s in SOURCES.items() if p.relative_to(LIB).parts[0] in COMPONENTS]
    assert len(inside) >= len(COMPONENTS)
    return {name for source in inside for name in size_arguments(source)} - {"pad_id"}  # an id


def test_every_axis_is_explained():
    assert used_axes() - AXES - SIZE_NAMES == set()


def test_every_size_is_explained():
    assert used_sizes() - SIZE_NAMES == set()


def test_nothing_is_explained_that_the_library_does_not_have():
    text = "\n".join(SOURCES.values())
    assert [name for name in AXES | SIZE_NAMES if not re.search(rf"\b{name}\b", text)] == []


def test_reads_shapes_and_sizes_as_they_are_written():
    source = """
@dataclass(frozen=True)
class Config:
    d_ff: int = 3
    name: str = ""

class Layer:
    def __init__(self, d_model: int, *, num_heads: int | None = None, bias=True) -> None: ...
    def _hidden(self, secret: int): ...

def f(x: Float[Tensor, "*batch #q {past+size} 1 _ ..."]) -> dict[str, "no shape"]: ...
"""
    (shape,) = shapes(source)
    assert axis_words(shape) == {"batch", "q", "past", "size"}
    assert set(size_arguments(source)) == {"d_ff", "d_model", "num_heads"}


def test_the_signature_shown_is_the_library_s():
    shown = re.search(r"```python\n(.*?)```", (ROOT / "notation.md").read_text("utf-8"), re.DOTALL)
    assert shown
    source = SOURCES[LIB / "attention.py"]
    assert shown[1].strip().removesuffix(" ...") in source

"""Every public name has a docstring that keeps its word, and stands on a page about the library.

What a docstring says is compared with the code as Python sees it, not as the book's reader does.
"""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from docstrings import Library, Name, split_docstring
from signatures import class_signature, signature
from test_book import STRICT, Book

ROOT = Path(__file__).parents[1]
LIBRARY = Library(ROOT / "lib" / "underglass")
# No reader imports these. (In a package that says in __all__ what it offers, nothing else is meant
# for readers; these packages do not.)
SHARED = {
    "models.parts": "tables, initial weights and refusals of all models",
    "checks.comparing": "how checks.core tells what is off",
}
PAGES = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "reference").glob("*.md"))}
DIRECTIVE = re.compile(r"^```\{(library|library-overview)\} (.+)\n(?::parts: (.+)\n)?```$", re.M)
# Where the components are; the others show, fetch or check.
COMPONENTS = ("attention", "cache", "positions", "layers", "losses", "optimizers", "schedules")
COMPONENTS += ("models", "tokenizers", "pretrained")
# These have no paper of their own: they put together, or read and write, what others have.
NO_SOURCE = {"pretrained"}


def directives(kind: str) -> list[str]:
    """The modules that the pages describe by directives of this kind."""
    found = []
    for page in PAGES.values():
        for name, module, _ in DIRECTIVE.findall(page):
            if name == kind:
                module = module.removeprefix("underglass")
                found += [module, *LIBRARY.parts(module)]
    return found


def of_components(module: str) -> bool:
    return module.partition(".")[0] in COMPONENTS


def for_readers() -> list[str]:
    return [name for name in LIBRARY.modules if LIBRARY.shown(name) and name not in SHARED]


COMPONENT_MODULES = [name for name in for_readers() if of_components(name)]


def everything() -> list[Name]:
    """All that the pages describe."""
    tops = [name for module in for_readers() for name in LIBRARY.shown(module)]
    return [name for top in tops for name in (top, *top.members)]


def callables() -> list[Name]:
    return [name for name in everything() if name.kind not in ("property", "data")]


def actual(name: Name) -> Any:
    """The object itself."""
    found = importlib.import_module(f"underglass.{name.module}".rstrip("."))
    for part in name.name.split("."):
        found = (
            inspect.getattr_static(found, part) if inspect.isclass(found) else getattr(found, part)
        )
    return found.__func__ if isinstance(found, classmethod | staticmethod) else found


def parameters(name: Name) -> list[str]:
    function = actual(name)
    if inspect.isclass(function) and not {"__init__", "__new__"} & function.__dict__.keys():
        return []
    return [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]


# Docstrings ---------------------------------------------------------------------------------------


def documented(module: str) -> list[Name]:
    """A type's name says what it is; all others need a docstring."""
    return [name for name in LIBRARY.shown(module) if name.kind != "data"]


@pytest.mark.parametrize("module", for_readers(), ids=lambda name: name or "underglass")
def test_every_public_name_has_a_docstring(module):
    assert LIBRARY.modules[module].doc.blocks, "the module itself"
    assert [name.name for name in documented(module) if not name.doc.blocks] == []


def test_first_sentences_end():
    """The overview shows them alone."""
    ends = {name.name: name.doc.summary[-1:] for name in everything() if name.doc.blocks}
    assert len(ends) > 50
    assert [name for name, end in ends.items() if end not in ".:)"] == []


@pytest.mark.parametrize("name", callables(), ids=lambda n: f"{n.module}.{n.name}")
def test_arguments_that_are_explained_exist(name):
    arguments, attributes = (explained(name, section) for section in ("Args", "Attributes"))
    assert [argument for argument in arguments if argument not in parameters(name)] == []
    if attributes:
        have = {*parameters(name), *re.findall(r"self\.(\w+)", inspect.getsource(actual(name)))}
        assert [attribute for attribute in attributes if attribute not in have] == []


def explained(name: Name, section: str) -> list[str]:
    return [n for names, _ in name.doc.sections.get(section, ()) for n in names.split(", ")]


@pytest.mark.parametrize("name", callables(), ids=lambda n: f"{n.module}.{n.name}")
def test_the_signature_shown_has_every_argument_in_order(name):
    code = re.sub(r"  # .*", "", name.signature)
    words = re.findall(r"(?:\(|, |\n {4})\**(\w+)(?=[:=,)])", code)
    for parameter in parameters(name):
        assert parameter in words, parameter
        words = words[words.index(parameter) + 1 :]


def check_names(node: ast.AST) -> bool:
    """Whether it raises, or calls one of our functions that refuse."""
    match node:
        case ast.Raise(exc=ast.Call(func=ast.Name(id="NotImplementedError"))):
            return False
        case ast.Raise():
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return re.match(r"_?(check|refuse)", name) is not None
    return False


def silent(source: str) -> list[str]:
    """Public functions and methods of a module that refuse something and do not say so.

    What `__init__` refuses, or a method without a docstring, the class must say.
    """
    found = []
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        about = ast.get_docstring(node) or ""
        methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
        for function in methods if isinstance(node, ast.ClassDef) else [node]:
            if function.name.startswith("_") and function.name not in ("__init__", "__post_init__"):
                continue
            said = about + (ast.get_docstring(function) or "")
            if any(map(check_names, ast.walk(function))) and not SAYS.search(said):
                found.append(function.name if function is node else f"{node.name}.{function.name}")
    return found


SAYS = re.compile(r"\bRaises\b|\b[Rr]efuses?\b|errors are those of")


@pytest.mark.parametrize("module", COMPONENT_MODULES)
def test_what_refuses_says_so(module):
    shown = {name.name for name in LIBRARY.shown(module)}
    found = silent(LIBRARY.modules[module].path.read_text("utf-8"))
    assert [name for name in found if name.partition(".")[0] in shown] == []


def test_the_search_for_silent_refusals_bites():
    source = '''
def quiet(x):
    """x."""
    _check_shape(x)

def loud(x):
    """x.

    Raises:
        ValueError: always.
    """
    raise ValueError

class Layer:
    """A layer."""

    def __init__(self):
        parts.check_heads(3)

    def forward(self):
        if True:
            raise ValueError

    def abstract(self):
        raise NotImplementedError()

class Told:
    """Raises ValueError."""

    def __init__(self):
        raise ValueError
'''
    assert silent(source) == ["quiet", "Layer.__init__", "Layer.forward"]


@pytest.mark.parametrize("module", COMPONENT_MODULES)
def test_components_name_their_source(module):
    text = " ".join(LIBRARY.modules[module].doc.blocks)
    has_source = re.search(r"References?: .*\(\d{4}\)", text, re.S)
    assert has_source or module in NO_SOURCE


# The pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["library", "library-overview"])
def test_every_module_for_readers_is_described_once(kind):
    """A new module is entered by hand, in a page of reference/ and in the overview, library.md."""
    described = directives(kind)
    assert [name for name in for_readers() if described.count(name) != 1] == []
    assert SHARED.keys() <= LIBRARY.modules.keys() - set(described)


def test_all_that_packages_offer_is_found():
    for module in LIBRARY.modules.values():
        inside = [n for n in LIBRARY.modules if n == module.name or n.startswith(f"{module.name}.")]
        shown = {name.name for inner in inside for name in LIBRARY.shown(inner)}
        shown |= {inner.rpartition(".")[2] for inner in inside}  # a module may be offered whole
        assert set(module.exported or ()) - shown == set(), module.name


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Book:
    """The real pages, in a book without chapters."""
    book = Book(tmp_path_factory.mktemp("library"))
    texts = {f"reference/{name}": text for name, text in PAGES.items()}
    notation = (ROOT / "notation.md").read_text("utf-8")
    book.write({"notation": notation, **texts}, library_folder=str(LIBRARY.root))
    code, said = book.build(*STRICT)
    assert code == 0, said
    return book


@pytest.mark.slow
def test_every_name_stands_on_a_page_with_its_signature(pages):
    text = "".join(pages.page(f"reference/{name}") for name in PAGES)
    plain = re.sub(r"<[^>]+>", "", text)
    for name in everything():
        anchor = f'id="{".".join(filter(None, ["underglass", name.module, name.name]))}"'
        assert text.count(anchor) == 1, anchor
        first = name.signature.split("\n")[0]
        assert html(first) in plain, first


def html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@pytest.mark.slow
def test_shapes_can_be_read(pages):
    plain = re.sub(r"<[^>]+>", "", pages.page("reference/primitives"))
    shape = 'query: Float[Tensor, "*batch q d_head"],'
    assert shape in plain
    assert ') -&gt; Bool[Tensor, "{size} {past+size}"]' in plain


SMALL = '''"""What |x| < 3 *means*, and `Thing`.

Reference: Someone (1999), "A *star* _in_ a title", section 1.
Chapter: chapters/77_unwritten.ipynb
"""

class Thing:
    """A [CLS]_ **thing**: f_ of `x`, see `Thing.turn`, and no link from `nowhere`.

        code = Thing(3)  # stays

    Args:
        size, width: how <large>;
            two lines.

    Raises:
        ValueError, TypeError: if *batch is |wrong|.
    """

    def __init__(self, size: int = 3, *, width: "int | None" = None):  # no comment of a default
        pass

    def turn(self):
        """FIRST."""
'''


@pytest.fixture
def small(tmp_path) -> Book:
    book = Book(tmp_path)
    book.put("code/__init__.py", '"""All."""\n')
    book.put("code/thing.py", SMALL)
    page = "# A\n\n```{library} thing\n```\n\nHere {py:obj}`underglass.thing.Thing`.\n"
    book.write(
        {"intro": "# One\n\n```{library-overview} thing\n```", "a": page}, library_folder="code"
    )
    return book


@pytest.mark.slow
def test_text_of_docstrings_is_not_interpreted_and_names_are_linked(small):
    code, said = small.build(*STRICT)
    assert code == 0, said
    page = small.page("a")
    assert "<p>What |x| &lt; 3 *means*, and <a" in page
    assert "“A *star* _in_ a title”" in page
    assert "To be derived in chapter 77, unwritten." in page
    assert "A [CLS]_ **thing**: f_ of" in page
    assert "how &lt;large&gt;; two lines." in page
    assert "if *batch is |wrong|." in page
    links = re.findall(r'<a class="reference internal" href="(#[^"]+)"[^>]*><code', page)
    assert links == [
        "#underglass.thing.Thing",
        "#underglass.thing.Thing.turn",
        "#underglass.thing.Thing",
    ]
    assert 'href="a.html#underglass.thing.Thing"' in small.page("intro")


@pytest.mark.slow
def test_page_follows_the_docstring(small):
    small.build(*STRICT)
    assert "<p>FIRST.</p>" in small.page("a")
    small.put("code/thing.py", SMALL.replace("FIRST", "SECOND"))
    code, said = small.build(*STRICT)
    assert code == 0, said
    assert "<p>SECOND.</p>" in small.page("a")


@pytest.mark.slow
def test_module_that_is_not_there_fails_the_build(small):
    small.put("a.md", "# A\n\n```{library} nothing\n```\n")
    code, said = small.build(*STRICT)
    assert code == 1
    assert "underglass has no module nothing" in said


# How source is read -------------------------------------------------------------------------------


def test_docstring_is_taken_apart():
    doc = split_docstring(
        """First line
        runs on.

            code

            more code

        Args:
            a, b: text
                runs on.
            c: 2: 1.

        Returns:
            One, and
            two.
        """
    )
    assert doc.summary == "First line runs on."
    assert doc.blocks == ("First line\nruns on.", "    code\n\n    more code")
    assert doc.sections == {
        "Args": (("a, b", "text runs on."), ("c", "2: 1.")),
        "Returns": (("", "One, and two."),),
    }


def first(source: str) -> Any:
    return ast.parse(source).body[0]


def test_signatures_stand_as_written():
    short = "def f(x, /, y: int = 3, *rest: str, z=None, **more) -> 'Later': ..."
    assert signature(short, first(short)) == "f(x, y: int = 3, *rest: str, z=None, **more) -> Later"
    long = """def g(
    x: Float[Tensor, "*batch seq"],  # rows
    *,
    name: str = "a long default value so that it does not fit",
) -> (
    Float[Tensor, "batch seq"]
    | tuple[Float[Tensor, "batch seq"], tuple[Float[Tensor, "batch head"], ...]]
): ..."""
    assert (
        signature(long, first(long))
        == """g(
    x: Float[Tensor, "*batch seq"],  # rows
    *,
    name: str = "a long default value so that it does not fit",
) -> Float[Tensor, "batch seq"]
   | tuple[Float[Tensor, "batch seq"], tuple[Float[Tensor, "batch head"], ...]]"""
    )


def test_class_is_made_by_its_init_or_its_fields():
    data = "@dataclass(frozen=True)\nclass C:\n    a: int  # π, units\n    b: str = ''\n"
    assert class_signature(data, first(data)) == "C(\n    a: int,  # π, units\n    b: str = '',\n)"
    made = "class D:\n    def __init__(self, a: int) -> None: ...\n"
    assert class_signature(made, first(made)) == "D(a: int)"
    assert class_signature("class E: ...", first("class E: ...")) == "E"

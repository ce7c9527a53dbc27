"""The tools that make pages out of chapters, on a small book that is built with them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import freshness
import mathml
import page_widgets
import pytest
import self_contained
import yaml
from fontTools.ttLib import TTFont
from math_core import LatexError
from nbformat import write as write_notebook
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[1]

INTRO = r"""# A small book

Inline $x_\varphi^2$, and {eq}`eq-look-up` of the chapter; {cite}`someone`; {ref}`ex-one`.
"""
CHAPTER = r"""# Chapter

$$
\operatorname{softmax}\left(\frac{QK^\top}{\sqrt{d}}\right)V
$$ (eq-look-up)

$$
a &= b \\ \overline{c} &= \begin{cases} 1 & x > 0 \\ 0 & \text{otherwise} \end{cases}
$$ (eq-lines)

$$ \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} $$

From {eq}`eq-look-up` follows {eq}`eq-lines`.
"""
WIDGETS = """\
import sys

sys.path.insert(0, "../lib")
import anywidget
import library
import traitlets
from ipywidgets import jslink


SHARED = "const say = (el, text) => { el.innerHTML = text; };\\n\\f\\n"  # a file of both scripts


class Number(anywidget.AnyWidget):
    _esm = SHARED + "export default { render({ el }) { say(el, '<b></b><!--<script></script>'); } }"
    _css = "b { color: red }"
    value = traitlets.Int(3).tag(sync=True)


class Other(Number):
    _esm = SHARED + "export default { render({ el }) { say(el, 'other'); } }"


one, two, unseen, third = Number(), Number(), Number(value=77_177), Other()
link = jslink((one, "value"), (two, "value"))
loose = jslink((one, "value"), (unseen, "value"))
print("the library says", library.WORD)"""
EXERCISE = """\
```{exercise} One
:label: ex-one
Do it.
```

```{solution-start} ex-one
:class: dropdown
```"""
FIGURE = "import matplotlib.pyplot as plt\n\nlines = plt.plot([1, 2])"


def notebook(*cells) -> dict:
    made = [
        new_code_cell(cell, id=f"c{n}") if isinstance(cell, str) else cell
        for n, cell in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=made, metadata={"kernelspec": kernel})


def markdown(text: str):
    return new_markdown_cell(text, id=f"m{abs(hash(text))}")


@dataclass
class Book:
    """A folder with a book in it, built as readers build it."""

    folder: Path

    def write(self, pages: Mapping[str, str | dict], **settings: str) -> None:
        """The pages, the real configuration with these settings, and a library of one word."""
        config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
        local = config["sphinx"]["local_extensions"]
        config["sphinx"]["local_extensions"] = {
            name: str(ROOT / path) for name, path in local.items()
        }
        config["sphinx"]["config"] |= {"book_watched": ["lib"], **settings}
        config |= {"logo": "logo.svg", "html": {**config["html"], "favicon": "logo.svg"}}
        config["bibtex_bibfiles"] = ["references.bib"]
        self.put("_config.yml", yaml.safe_dump(config))
        root, *chapters = pages
        toc = {"format": "jb-book", "root": root, "chapters": [{"file": c} for c in chapters]}
        self.put("_toc.yml", yaml.safe_dump(toc))
        self.put("references.bib", "@misc{someone, title={Book}, author={Some One}, year={1999}}")
        self.put("lib/library.py", "WORD = 'first'\n")
        shutil.copy(ROOT / "book" / "logo.svg", self.folder)
        for name, page in pages.items():
            if isinstance(page, str):
                self.put(f"{name}.md", page)
            else:
                (self.folder / name).parent.mkdir(exist_ok=True)
                write_notebook(page, self.folder / f"{name}.ipynb")

    def put(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, "utf-8")

    def build(self, *options: str) -> tuple[int, str]:
        """How the build ended, and what it said without its colours."""
        script = "from jupyter_book.cli.main import main; main()"
        command = [sys.executable, "-c", script, "build", *options, "."]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)

    @property
    def html(self) -> Path:
        return self.folder / "_build" / "html"

    def page(self, name: str) -> str:
        return (self.html / f"{name}.html").read_text("utf-8")


STRICT = ("-n", "-W", "--keep-going")


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Book:
    book = Book(tmp_path_factory.mktemp("book"))
    figure = new_code_cell(FIGURE, id="figure")
    figure.metadata["mystnb"] = {"image": {"alt": "A rising line"}}
    cells = [markdown(CHAPTER), WIDGETS, "one", "two", "third", figure, markdown(EXERCISE), "1"]
    chapter = notebook(*cells, markdown("```{solution-end}\n```"))
    references = "# References\n\n```{bibliography}\n```\n"
    book.write({"intro": INTRO, "chapters/01_x": chapter, "references": references})
    code, said = book.build(*STRICT)
    assert code == 0, said
    assert "WARNING" not in said  # nor of anything that Sphinx does not count
    return book


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


# Mathematics ------------------------------------------------------------------------------------


def without_source(page: str) -> str:
    return re.sub(r"<annotation.*?</annotation>", "", page, flags=re.DOTALL)


@pytest.mark.slow
def test_formula_and_its_comma_stay_on_one_line():
    one, two = "<math><mi>q</mi></math>", '<math display="block"><mi>p</mi></math>'
    text = f"<p>of {one}, and ({one} or {one}) but {one} too {two}.</p>"
    assert mathml.hold_together(text) == (
        f'<p>of <span class="held">{one},</span> and <span class="held">({one}</span> or '
        f'<span class="held">{one})</span> but {one} too {two}.</p>'
    )


def test_formulas_are_mathml(book):
    page = book.page("chapters/01_x")
    assert page.count('<math display="block">') == 3
    assert r"\frac" not in without_source(page)
    assert "<mfrac>" in page
    assert '<mrow class="overline"><mi>c</mi></mrow>' in page
    assert book.page("intro").count("<math>") == 1
    assert not re.search("mathjax", page, re.IGNORECASE)


@pytest.mark.slow
def test_equations_are_numbered_and_linked(book):
    page = book.page("chapters/01_x")
    ids = re.findall(r'<div class="equation" id="(equation-eq-[a-z-]+)">', page)
    assert ids == ["equation-eq-look-up", "equation-eq-lines"]
    assert re.findall(r'class="eqno">\((\d)\)', page) == ["1", "2"]
    assert re.findall(r'href="#(equation-[a-z-]+)">\((\d)\)', page) == [
        ("equation-eq-look-up", "1"),
        ("equation-eq-lines", "2"),
    ]
    assert 'href="chapters/01_x.html#equation-eq-look-up">(1)' in book.page("intro")


@pytest.mark.slow
def test_font_holds_the_characters_of_the_book_and_its_licence(book):
    path = book.html / "_static" / mathml.FONT
    font = TTFont(path)
    characters = set(font.getBestCmap() or ())
    assert {ord("φ"), ord("⊤"), ord("√"), 0x1D465} <= characters
    assert ord("∰") not in characters  # not used, not shipped
    assert "MATH" in font
    assert "SIL Open Font License" in str(font["name"].getDebugName(13))
    assert path.stat().st_size < 120_000
    assert mathml.FONT in (book.html / "_static" / "book.css").read_text("utf-8")


@pytest.mark.slow
def test_roots_of_every_height_are_as_wide(book):
    font = TTFont(book.html / "_static" / mathml.FONT)
    variants = font["MATH"].table.MathVariants
    number = variants.VertGlyphCoverage.glyphs.index((font.getBestCmap() or {})[ord("√")])
    construction = variants.VertGlyphConstruction[number]
    names = [record.VariantGlyph for record in construction.MathGlyphVariantRecord]
    names += [record.glyph for record in construction.GlyphAssembly.PartRecords]
    assert len(names) == 7
    assert {font["hmtx"][name][0] for name in names} == {mathml.ROOT_WIDTH}
    assert max(font["glyf"][name].xMax for name in names) <= 1.06 * mathml.ROOT_WIDTH  # ink, too


def test_overline_keeps_what_is_under_it():
    made = mathml.to_mathml(r"\overline{\hat{x} + \overline{y}}", display=False)
    assert made.count('<mrow class="overline">') == 2
    assert made.count("<mover") == made.count("</mover>") == 1  # the hat
    assert "\u0332" not in made


@pytest.mark.parametrize(
    ("latex", "said"),
    [
        (r"\frac{1", "Expected closing token"),
        (r"\nosuch", "Unknown command"),
        (r"\begin{align} a &= b \end{align}", "numbers itself: write aligned"),
    ],
)
def test_broken_formula_is_refused(latex, said):
    with pytest.raises(LatexError, match=said):
        mathml.to_mathml(latex, display=True)


def test_escaped_ampersand_is_no_alignment():
    assert "<mtable" not in mathml.to_mathml(r"a \& b", display=True)
    assert "<mtable" in mathml.to_mathml(r"a &= b", display=True)
    inside = mathml.to_mathml(r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", display=True)
    assert inside.count("<mtable") == 1  # the matrix alone


# Nothing from elsewhere ---------------------------------------------------------------------------


@pytest.mark.slow
def test_no_page_or_style_asks_another_host(book):
    pages = sorted(book.html.rglob("*.html"))
    assert len(pages) >= 6
    for page in pages:
        assert self_contained.foreign_in_html(page.read_text("utf-8")) == [], page
    for style in book.html.rglob("*.css"):
        assert self_contained.foreign_in_css(style.read_text("utf-8")) == [], style


@pytest.mark.slow
def test_what_every_page_fetches_is_there(book):
    for page in [book.html / "intro.html", book.html / "chapters" / "01_x.html"]:
        for tag, attributes in Tags(page.read_text("utf-8")).tags:
            address = attributes.get("src") or (tag == "link" and attributes.get("href"))
            if address and not address.startswith("data:"):
                assert (page.parent / urlsplit(address).path).exists(), (page, address)


@pytest.mark.slow
def test_no_script_twice_and_no_thebe(book):
    page = book.page("chapters/01_x")
    scripts = re.findall(r"<script[^>]*>.*?</script>", page, re.DOTALL)
    views = [s for s in scripts if "widget-view" in s]
    assert len(set(scripts)) == len(scripts)
    assert len(views) == 3
    assert not re.search("thebe|require.*js|html-manager", page, re.IGNORECASE)


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<img src="https://a.b/c.png">', ["https://a.b/c.png"]),
        ('<script src="//a.b/c.js"></script>', ["//a.b/c.js"]),
        ('<img srcset="x.png 1x, https://a.b/c.png 2x">', ["https://a.b/c.png"]),
        ("<style>@import 'https://a.b/c.css';</style>", ["https://a.b/c.css"]),
        ('<p style="background:url( //a.b/c.png )">', ["//a.b/c.png"]),
        ('<a href="https://a.b">only a link</a>', []),
        ('<img src="data:image/png;base64,//8=">', []),
        ('<script>const x = "https://a.b";</script>', []),
        ("<style>/* url(https://a.b) */</style>", []),
        ('<img src="../_images/a.png">', []),
    ],
)
def test_foreign_addresses_are_found(html, found):
    assert self_contained.foreign_in_html(html) == found


# Widgets ------------------------------------------------------------------------------------------


def embedded(page: str) -> tuple[str, dict]:
    (text,) = re.findall(r'widget-state\+json">(.*?)</script>', page, re.DOTALL)
    return text, json.loads(text)


@pytest.mark.slow
def test_page_holds_the_shown_widgets_and_each_source_once(book):
    text, data = embedded(book.page("chapters/01_x"))
    models = [entry for entry in data["state"].values() if entry["model_module"] == "anywidget"]
    assert [entry["state"]["value"] for entry in models] == [3, 3, 3]  # not the unseen 77177
    assert len(data["sources"]) == len(set(data["sources"])) == 4  # shared, two of their own, style
    scripts = {tuple(entry["state"]["_esm"]["source"]) for entry in models}
    (shared, one), (also_shared, other) = sorted(scripts)
    assert shared == also_shared
    assert one != other
    assert "const say" in data["sources"][shared]
    assert len({tuple(entry["state"]["_css"]["source"]) for entry in models}) == 1
    assert "LayoutModel" not in text
    (link,) = [e["state"] for e in data["state"].values() if e["model_name"] == "LinkModel"]
    assert {end[0].removeprefix("IPY_MODEL_") for end in (link["source"], link["target"])} <= set(
        data["state"]
    )


@pytest.mark.slow
def test_embedded_source_cannot_end_its_script(book):
    text, data = embedded(book.page("chapters/01_x"))
    assert "</" not in text
    assert "<!" not in text
    assert any("<b></b><!--<script></script>" in source for source in data["sources"])


@pytest.mark.slow
def test_runtime_is_only_where_widgets_are(book):
    assert "widget_runtime.js" in book.page("chapters/01_x")
    assert "widget_runtime.js" not in book.page("intro")
    assert (book.html / "_static" / "widget_runtime.js").exists()


def test_widget_that_another_refers_to_is_kept():
    def entry(**state):
        return {"model_name": "AnyModel", "model_module": "anywidget", "state": state}

    state = {"a": entry(child=["IPY_MODEL_b"], layout="IPY_MODEL_l"), "b": entry(), "c": entry()}
    state["l"] = {"model_name": "LayoutModel", "model_module": "@jupyter-widgets/base", "state": {}}
    assert set(page_widgets.needed(state, ["a"])) == {"a", "b"}


SCRIPT = """\
/** What it does,
 *  in two lines. */
export function place(x) { // 1 to 3
  // why this
  const address = "https://x.org/*"; /* kept */
  /* kept too */ use(address);
  /* one line */
  return `
    // in a text`;
}
"""


def test_comments_with_lines_of_their_own_stay_out_of_the_page():
    state = {"a": {"state": {"_esm": SCRIPT}}}
    (found,) = page_widgets.share_sources(state)
    lines = SCRIPT.splitlines()
    assert found.splitlines() == [lines[2], lines[4], lines[5], lines[7], lines[9]]
    # A text of several lines loses what looks like a comment: no widget has such a text.
    for path in (ROOT / "lib" / "underglass" / "widgets").glob("*.js"):
        quoted = re.findall(r"`[^`]*`", path.read_text("utf-8"))
        assert not [text for text in quoted if page_widgets.COMMENT.search(text)]


# The reader's buttons -----------------------------------------------------------------------------


@pytest.mark.slow
def test_issue_button_opens_the_form_with_page_and_versions(book):
    page = book.page("chapters/01_x")
    links = [a["href"] or "" for tag, a in Tags(page).tags if tag == "a" and "href" in a]
    (address,) = {link for link in links if "/issues/" in link}
    repository = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    assert address.startswith(f"{repository}/issues/new?")
    fields = parse_qs(urlsplit(address).query)
    assert fields["template"] == ["page.yml"]
    assert fields["page"] == ["chapters/01_x.html"]
    assert re.match(r"underglass \S+, torch \S+, .*Python 3", fields["versions"][0])
    assert "issue_button.js" in page


def test_issue_form_has_the_fields_that_the_button_fills():
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/page.yml").read_text("utf-8"))
    assert {"page", "runtime", "versions"} <= {field.get("id") for field in form["body"]}


@pytest.mark.slow
def test_launch_button_leads_to_this_notebook(book):
    address = "https://colab.research.google.com/github/{}/blob/main/chapters/01_x.ipynb"
    repository = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    owner_and_name = repository.removeprefix("https://github.com/")
    assert address.format(owner_and_name) in book.page("chapters/01_x")


# Building again -----------------------------------------------------------------------------------


@pytest.fixture
def copy(book, tmp_path) -> Book:
    """The built book in another place, for a test that changes it."""
    shutil.copytree(book.folder, tmp_path / "copy")
    return Book(tmp_path / "copy")


@pytest.mark.slow
def test_second_build_executes_nothing(book):
    code, said = book.build(*STRICT)
    assert code == 0, said
    assert "0 added, 0 changed, 0 removed" in said
    assert "Executing notebook" not in said


@pytest.mark.slow
def test_pages_change_with_the_library(copy):
    assert "the library says first" in copy.page("chapters/01_x")
    copy.put("lib/library.py", "WORD = 'second'\n")
    code, said = copy.build(*STRICT)
    assert code == 0, said
    assert "The library or its requirements have changed" in said
    assert "the library says second" in copy.page("chapters/01_x")


@pytest.mark.slow
def test_plain_build_makes_the_same_book(book, copy):
    shutil.rmtree(copy.html)
    shutil.rmtree(copy.folder / "_build" / ".doctrees")
    code, said = copy.build()
    assert code == 0, said
    for path in book.html.rglob("*.html"):
        name = path.relative_to(book.html)
        assert (copy.html / name).read_text("utf-8") == path.read_text("utf-8"), name


def test_fingerprint_sees_content_and_not_caches(tmp_path):
    (tmp_path / "lib" / "__pycache__").mkdir(parents=True)
    (tmp_path / "lib" / "a.py").write_text("1")
    (tmp_path / "requirements.txt").write_text("torch==2")
    watched = ["lib", "requirements.txt"]
    first = freshness.fingerprint(tmp_path, watched)
    (tmp_path / "lib" / "__pycache__" / "a.pyc").write_text("x")
    (tmp_path / "lib" / "note.ipynb").write_text("{}")
    assert freshness.fingerprint(tmp_path, watched) == first
    (tmp_path / "lib" / "a.py").write_text("2")
    second = freshness.fingerprint(tmp_path, watched)
    (tmp_path / "requirements.txt").write_text("torch==3")
    assert len({first, second, freshness.fingerprint(tmp_path, watched)}) == 3


def test_old_caches_go(tmp_path):
    for n in range(5):
        (tmp_path / str(n)).mkdir()
    freshness.prune(tmp_path, tmp_path / "0")
    assert len(list(tmp_path.iterdir())) == freshness.KEPT
    assert (tmp_path / "0").exists()


# What fails a build -------------------------------------------------------------------------------

SLIDER = "import ipywidgets\n\nslider = ipywidgets.IntSlider()\nslider"
FAULTS = {
    "broken_latex": ("# A\n\n$$ \\frac{1 $$", r"broken_latex.md:3: WARNING: LaTeX error"),
    "broken_inline": (
        "# A\n\nHere $\\nosuch$.",
        r"broken_inline.md:3: .* in the formula '\\\\nosuch'",
    ),
    "no_equation": ("# A\n\n{eq}`eq-nowhere`", r"no_equation.md:3: WARNING: equation not found"),
    "no_citation": ("# A\n\n{cite}`nobody`", r"no_citation.md:3: .*could not find .*nobody"),
    "no_page": ("# A\n\n[x](nowhere.md)", r"no_page.md:3: WARNING: .*nowhere"),
    "foreign": ("# A\n\n![x](https://a.b/c.png)", r"asks another host for https://a.b/c.png"),
    "no_alt": ("# A\n\n![](logo.svg)", r"no_alt.md:3: WARNING: a picture has no alt text"),
    "figure": (notebook(markdown("# A"), FIGURE), r"figure.ipynb.*WARNING: a picture has no alt"),
    "slider": (notebook(markdown("# A"), SLIDER), r"IntSlider would be dead in the page"),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> tuple[Book, int, str]:
    book = Book(tmp_path_factory.mktemp("faulty"))
    book.write({"intro": "# Fine", **{name: page for name, (page, _) in FAULTS.items()}})
    return (book, *book.build(*STRICT))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named_and_fails_the_build(faulty, name):
    _, code, said = faulty
    assert code == 1
    assert re.search(FAULTS[name][1], said), said


@pytest.mark.slow
def test_fault_fails_the_next_build_too(faulty):
    book, _, _ = faulty
    code, said = book.build(*STRICT)
    assert code == 1
    assert "broken_latex.md:3: WARNING: LaTeX error" in said


@pytest.mark.slow
def test_chapter_that_raises_fails_the_build(tmp_path):
    book = Book(tmp_path)
    book.write({"intro": "# Fine", "bad": notebook(markdown("# A"), "raise KeyError('spoilt')")})
    code, said = book.build(*STRICT)
    assert code != 0
    assert "spoilt" in said

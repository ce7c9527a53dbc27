r"""Mathematics as MathML, made in the build: a page needs no script and no request to show it.

Each formula is converted when its page is read, so that an error in the LaTeX is a warning of the
build. The font is cut down to the characters that the book uses, out of the copy of STIX Two Math
(SIL Open Font License) that the `ziamath` package carries.
"""

import html
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from fontTools import subset
from fontTools.ttLib import TTFont
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors import EnvironmentCollector
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

ROOT_WIDTH = 900  # thousandths of an em; the font has 794 for a low root and 1212 for a tall one
FONT = "STIXTwoMath.woff"
# What every page may need without its being in the text: MathML draws a lone `<mi>x</mi>` with the
# italic letter of another block (ℎ is the one letter that lies elsewhere), and stretches these.
ALWAYS = {*range(0x20, 0x7F), *range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C), 0x210E}
ALWAYS |= {ord(c) for c in "\u00a0′−×·…√()[]{}|‖⌊⌋⌈⌉⟨⟩¯ˆ˜→⏞⏟‾"}

converter = LatexToMathML(annotation=True, fancy_error=False)


def outside_environments(latex: str) -> str:
    r"""What is left of a formula without its `\begin{...} ... \end{...}`."""
    innermost = re.compile(r"\\begin\{(\w+\*?)\}(?:(?!\\begin).)*?\\end\{\1\}", re.DOTALL)
    while (shorter := innermost.sub("", latex)) != latex:
        latex = shorter
    return latex


def to_mathml(latex: str, *, display: bool) -> str:
    r"""Converts one formula. Bare `&` and `\\` are taken as aligned lines, as Sphinx does.

    Raises:
        LatexError: if the formula is not understood, or numbers its own lines (the book's label,
            `$$ ... $$ (eq-name)`, does that).
    """
    if numbered := re.search(r"\\begin\{(equation|align|gather|multline)\*?\}", latex):
        raise LatexError(f"{numbered[0]} numbers itself: write aligned, and a label after the $$")
    if display and re.search(r"\\\\|(?<!\\)&", outside_environments(latex)):
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    return draw_overlines(converter.convert_with_local_state(latex.strip(), displaystyle=display))


LOOSE = '<mo stretchy="true">\u0332</mo></mover>'


def draw_overlines(mathml: str) -> str:
    """Leaves each overline to the style sheet: as a stretched accent it doubles and stands off."""
    while (end := mathml.find(LOOSE)) >= 0:
        start, open_ones = end, 1
        while open_ones:  # back to the <mover> that this ends
            closing = mathml.rfind("</mover>", 0, start)
            start = max(mathml.rfind("<mover", 0, start), closing)
            open_ones += 1 if start == closing else -1
        base = mathml[mathml.index(">", start) + 1 : end]
        rest = mathml[end + len(LOOSE) :]
        mathml = f'{mathml[:start]}<mrow class="overline">{base}</mrow>{rest}'
    return mathml


def render(node: nodes.math | nodes.math_block) -> str:
    """The node's MathML, converted at most once; a formula with an error shows its source."""
    if "mathml" not in node:
        latex = node.astext()
        try:
            node["mathml"] = to_mathml(latex, display=isinstance(node, nodes.math_block))
        except LatexError as error:
            message = "LaTeX error (%s) in the formula %r"
            logger.warning(message, error, latex, location=node, type="math", subtype="latex")
            node["mathml"] = f'<code class="math-error">{html.escape(latex)}</code>'
    return node["mathml"]


class FormulaCollector(EnvironmentCollector):
    """Converts the formulas of each page as it is read, and remembers the characters in them."""

    @staticmethod
    def characters(env: BuildEnvironment) -> dict[str, set[str]]:
        return env.__dict__.setdefault("math_characters", {})

    def clear_doc(self, app: Sphinx, env: BuildEnvironment, docname: str) -> None:
        self.characters(env).pop(docname, None)

    def merge_other(
        self, app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment
    ) -> None:
        for docname in docnames:
            self.characters(env)[docname] = self.characters(other).get(docname, set())

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        found = self.characters(app.env).setdefault(app.env.docname, set())
        for kind in (nodes.math, nodes.math_block):
            for node in doctree.findall(kind):
                found.update(
                    html.unescape(re.sub(r"<annotation.*?</annotation>|<.*?>", "", render(node)))
                )


def even_radicals(font: TTFont) -> None:
    """Gives the roots of every height one width, as TeX's fonts do.

    Chromium reserves the widest for each: after a small root it would leave a gap of 0.4 em.
    """
    cmap, variants = font.getBestCmap() or {}, font["MATH"].table.MathVariants
    root = cmap[ord("√")]
    construction = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(root)]
    sizes = {record.VariantGlyph for record in construction.MathGlyphVariantRecord}
    parts = {record.glyph for record in construction.GlyphAssembly.PartRecords}
    for name in sizes | parts:
        glyph, (width, bearing) = font["glyf"][name], font["hmtx"][name]
        glyph.coordinates.scale((ROOT_WIDTH / width, 1))
        glyph.coordinates.toInt()
        glyph.recalcBounds(font["glyf"])
        font["hmtx"][name] = (ROOT_WIDTH, round(bearing * ROOT_WIDTH / width))


def write_font(characters: set[str], target: Path) -> None:
    """Writes the math font with only these characters (and what they stretch to)."""
    import ziamath  # here: 100 ms that only a finished build has to pay

    source = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"
    options = subset.Options(
        flavor="woff"
    )  # woff2 would be a fifth smaller and needs one more package
    options.hinting = False
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]  # 13, 14: the licence stays in the file
    options.layout_features = ["ssty", "dtls", "ccmp", "mark", "mkmk", "kern"]
    font = subset.load_font(str(source), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=ALWAYS | {ord(c) for c in characters})
    cutter.subset(font)
    even_radicals(font)
    subset.save_font(font, str(target), options)


def add_font(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        used = set[str]().union(*FormulaCollector.characters(app.env).values())
        write_font(used, Path(app.outdir) / "_static" / FONT)


def hold_together(body: str) -> str:
    """Keeps a formula in a line of text on one line with the bracket or comma that touches it.

    To a browser a formula is a box, and it may begin a new line before the comma behind it.
    """
    touching = re.compile(r"([(\[“]*)(<math>(?:(?!</math>).)*</math>)([.,;:!?)\]”]*)", re.DOTALL)

    def hold(found: re.Match[str]) -> str:
        before, formula, after = found.groups()
        return f'<span class="held">{found[0]}</span>' if before or after else formula

    return touching.sub(hold, body)


def hold_formulas(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    if "<math>" in (body := context.get("body") or ""):
        context["body"] = hold_together(body)


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(render(node))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    # Not the class "math": the theme would push its content to the right.
    self.body.append(self.starttag(node, "div", "", CLASS="equation"))
    self.body.append(f'<div class="equation-body">{render(node)}</div>')
    if node.get("number"):
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))  # type: ignore[arg-type]
    app.add_env_collector(FormulaCollector)
    app.connect("html-page-context", hold_formulas)
    app.connect("build-finished", add_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""AttentionView: what Python refuses and sends, and what a reader sees after clicks and keys."""

import re
import xml.etree.ElementTree as ET

import ipywidgets
import numpy as np
import pytest
import torch
from pages import opened
from torch.testing import assert_close
from traitlets import TraitError
from underglass.widgets import AttentionView

LAYERS, HEADS, TOKENS = 2, 3, ["the", "dog", "saw", "it", "."]
Q = len(TOKENS)
HOSTILE = ["<script>document.title='run'</script>", "שלום", "🙂", "w" * 300, "\u202eevil", "\n", ""]
DIGITS = {"atol": 0.00501, "rtol": 0}  # two digits are shown; a weight is kept to 1/131070


def softmax(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(*shape, generator=generator)).softmax(-1)


@pytest.fixture
def weights() -> torch.Tensor:
    return softmax(LAYERS, HEADS, Q, Q)


def rolled_out(weights: torch.Tensor) -> torch.Tensor:
    """Abnar and Zuidema's equations, in float64."""
    total = torch.eye(weights.shape[-1], dtype=torch.float64)
    for layer in weights.double():
        step = 0.5 * layer.mean(0) + 0.5 * torch.eye(layer.shape[-1], dtype=torch.float64)
        total = (step / step.sum(-1, keepdim=True)) @ total
    return total


# ------------------------------------------------------------------ Python


def sent(view: AttentionView) -> torch.Tensor:
    """The weights as the browser reads them."""
    numbers = np.frombuffer(view._weights, "<u2").astype("float64") / 65535
    return torch.from_numpy(numbers).reshape(view._sentences[0]["shape"])


KINDS = {
    "tensor": lambda w: w,
    "gradient": lambda w: w.clone().requires_grad_(),
    "float64": lambda w: w.double(),
    "numpy": lambda w: w.numpy(),
    "not contiguous": lambda w: w.mT.contiguous().mT,
    "batch of one": lambda w: w[:, None],
    "tuple, as BERT returns": lambda w: tuple(layer[None] for layer in w),
    "list of arrays": lambda w: [layer.numpy() for layer in w],
    "nested lists": lambda w: w.tolist(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_takes_every_kind_of_weights(weights, kind):
    view = AttentionView(KINDS[kind](weights), TOKENS)
    assert view._sentences[0]["shape"] == [LAYERS, HEADS, Q, Q]
    assert_close(sent(view), weights.double(), atol=1 / 131070 + 1e-7, rtol=0)


@pytest.mark.parametrize(("at", "shape"), [((0,), [1, HEADS, Q, Q]), ((0, 0), [1, 1, Q, Q])])
def test_takes_one_layer_or_one_head(weights, at, shape):
    view = AttentionView(weights[at], TOKENS)
    assert view._sentences[0]["shape"] == shape
    assert_close(sent(view).reshape(weights[at].shape).float(), weights[at], atol=1e-5, rtol=0)


def test_bfloat16_may_round_above_one():
    weights = torch.tensor([[1.004, 0.0], [0.5, 0.5]], dtype=torch.bfloat16)
    assert sent(AttentionView(weights, ["a", "b"])).max() == 1


@pytest.mark.parametrize(
    ("shape", "named", "text"),
    [
        ((2, 3, 5, 5), {}, "2 layers, 3 heads, 5 tokens"),
        ((1, 1, 1, 1), {}, "1 layer, 1 head, 1 token"),
        ((2, 3, 5, 2), {"key_tokens": ["le", "chien"]}, "2 layers, 3 heads, 5 x 2 tokens"),
        (
            (2, 3, 5, 5),
            {"other": (softmax(2, 3, 1, 1), ["a"])},
            "2 layers, 3 heads, 5 and 1 tokens",
        ),
    ],
)
def test_repr_is_the_same_on_every_machine(shape, named, text):
    view = AttentionView(softmax(*shape), TOKENS[: shape[2]], **named)
    assert repr(view) == f"AttentionView({text})"


def spoilt(value: float) -> torch.Tensor:
    weights = softmax(LAYERS, HEADS, Q, Q)
    weights[1, 2, 3, 4] = value
    return weights


SEVEN = list("abcdefg")
SQUARE, WIDE = softmax(LAYERS, HEADS, Q, Q), softmax(LAYERS, HEADS, Q, 7)
NAN = spoilt(float("nan"))
REFUSED = {
    "nan": (NAN, TOKENS, {}, r"weights is nan at layer 1, head 2, query 3, key 4; .* finite"),
    "infinite": (spoilt(float("inf")), TOKENS, {}, r"weights is inf at layer 1.*finite"),
    "negative": (spoilt(-0.25), TOKENS, {}, r"weights is -0\.25 at layer 1.*\[0, 1\]"),
    "above one": (spoilt(1.5), TOKENS, {}, r"weights is 1\.5 at layer 1.*\[0, 1\]"),
    "one axis": (torch.ones(5), TOKENS, {}, r"shape \(5,\); expected \[layer head q k\]"),
    "six axes": (SQUARE[None, None], TOKENS, {}, r"shape \(1, 1, 2, 3, 5, 5\)"),
    "batch": (softmax(2, 4, 3, 5, 5), TOKENS, {}, r"batch of 4; expected one sentence"),
    "empty": (SQUARE[:0], TOKENS, {}, r"weights has shape \(0, 3, 5, 5\), which is empty"),
    "uneven": (
        [SQUARE[0], SQUARE[0, :2]],
        TOKENS,
        {},
        r"\[\(3, 5, 5\), \(2, 5, 5\)\]; expected one",
    ),
    "meta": (SQUARE.to("meta"), TOKENS, {}, r"weights is on the meta device"),
    "no tokens": (SQUARE, [], {}, r"tokens is empty"),
    "few tokens": (SQUARE, TOKENS[:4], {}, r"tokens has length 4 but weights is 5 x 5.*expected 5"),
    "not square": (WIDE, TOKENS, {}, r"key_tokens is missing; expected 7"),
    "key tokens": (WIDE, TOKENS, {"key_tokens": TOKENS}, r"key_tokens has length 5 .*expected 7"),
    "layer": (SQUARE, TOKENS, {"layer": 2}, r"layer=2 is out of range; expected 0 to 1"),
    "head": (SQUARE, TOKENS, {"head": -1}, r"head=-1 is out of range; expected 0 to 2"),
    "token": (SQUARE, TOKENS, {"token": 5}, r"token=5 is out of range; expected None or 0 to 4"),
    "mode": (SQUARE, TOKENS, {"mode": "max"}, r"mode='max' is unknown; expected one of head"),
    "side": (SQUARE, TOKENS, {"side": "up"}, r"side='up' is unknown"),
    "cross roll-out": (WIDE, TOKENS, {"key_tokens": SEVEN, "mode": "rollout"}, r"self-attention"),
    "other alone": (SQUARE, TOKENS, {"other": [SQUARE]}, r"other is a list of 1; expected \(weig"),
    "other heads": (
        SQUARE,
        TOKENS,
        {"other": (SQUARE[:, :1], TOKENS)},
        r"other has 2 layers and 1 head; expected 2 layers and 3 heads",
    ),
    "other tokens": (SQUARE, TOKENS, {"other": (SQUARE, SEVEN)}, r"other's tokens has length 7"),
    "other nan": (SQUARE, TOKENS, {"other": (NAN, TOKENS)}, r"other's weights is nan"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case):
    weights, tokens, named, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        AttentionView(weights, tokens, **named)


@pytest.mark.parametrize(
    ("weights", "tokens", "message"),
    [
        (torch.ones(5, 5, dtype=torch.complex64), TOKENS, r"weights has dtype torch\.complex64"),
        ([["a", "b"], ["c", "d"]], ["a", "b"], r"weights is a list that holds no table of numbers"),
        (torch.ones(5, 5) / 5, "hello", r"tokens='hello' is one string; expected a list"),
        (torch.ones(2, 2) / 2, ["a", 7], r"tokens\[1\]=7 is not a string"),
    ],
)
def test_refuses_other_types(weights, tokens, message):
    with pytest.raises(TypeError, match=message):
        AttentionView(weights, tokens)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layer", LAYERS, r"layer=2 is out of range; expected 0 to 1"),
        ("head", -1, r"head=-1 is out of range"),
        ("token", Q, r"token=5 is out of range; expected None or 0 to 4"),
        ("mode", "max", r"mode"),
    ],
)
def test_traits_refuse_and_keep_their_value(weights, name, value, message):
    view = AttentionView(weights, TOKENS, layer=1, head=1, token=1)
    before = getattr(view, name)
    with pytest.raises(TraitError, match=message):
        setattr(view, name, value)
    with pytest.raises(TraitError, match=message):
        view.set_state({name: value})  # what a browser sends
    assert getattr(view, name) == before


def test_traits_can_be_observed(weights):
    view, seen = AttentionView(weights, TOKENS), []
    view.observe(lambda change: seen.append((change["name"], change["new"])), ["layer", "token"])
    view.layer, view.token = 1, 3
    assert seen == [("layer", 1), ("token", 3)]


def test_side_with_fewer_tokens_lets_go():
    view = AttentionView(softmax(5, 7), TOKENS, key_tokens=SEVEN, token=6, side="to")
    view.side = "from"
    assert view.token is None


# ------------------------------------------------------------------ in the browser


def numbers(page, side="to", sentence=0) -> torch.Tensor:
    """The numbers beside the tokens."""
    shown = page.locator(".av-lines").nth(sentence).locator(f".av-{side} .av-number")
    return torch.tensor([float(text) for text in shown.all_inner_texts()], dtype=torch.float64)


def said(page) -> str:
    """What a screen reader is told of the first sentence."""
    return page.get_by_role("status").first.text_content()


def title(page) -> str:
    return page.locator("h4").inner_text()


def cell(page, name):
    return page.get_by_role("gridcell", name=name, exact=True)


def from_token(page, name, sentence=0):
    box = page.get_by_role("listbox", name="from (query)").nth(sentence)
    named = page.locator("bdi", has_text=re.compile(f"^{re.escape(name)}$"))
    return box.get_by_role("option").filter(has=named)


@pytest.mark.browser
def test_click_enlarges_a_head_and_follows_a_token(show, weights):
    page = show(AttentionView(weights, TOKENS))
    assert title(page) == "layer 0 · head 0"
    cell(page, "layer 1, head 2").click()
    from_token(page, "it").click()
    assert title(page) == "layer 1 · head 2"
    assert cell(page, "layer 1, head 2").get_attribute("aria-selected") == "true"
    row = weights[1, 2, 3]
    assert_close(numbers(page), row.double(), **DIGITS)
    most = TOKENS[int(row.argmax())]
    assert said(page).startswith(f"layer 1, head 2: “it” looks at “{most}” {row.max():.2f}")
    from_token(page, "it").click()  # a second click lets go
    page.mouse.move(0, 0)
    assert page.locator(".av-number").all_inner_texts() == [""] * (2 * Q)


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hover_shows_numbers_and_leaves_no_trace(show, weights, theme):
    page = show(AttentionView(weights, TOKENS, layer=1, head=1, token=0), theme=theme)
    from_token(page, "saw").hover()
    assert_close(numbers(page), weights[1, 1, 2].double(), **DIGITS)
    page.get_by_role("listbox", name="to (key)").get_by_role("option").nth(4).hover()
    assert_close(numbers(page, "from"), weights[1, 1, :, 4].double(), **DIGITS)
    assert "“.” is looked at by" in said(page)
    page.mouse.move(0, 0)
    assert_close(numbers(page), weights[1, 1, 0].double(), **DIGITS)  # the pinned one again


@pytest.mark.browser
def test_keyboard_alone(show, weights):
    page = show(AttentionView(weights, TOKENS))
    page.keyboard.press("Tab")  # one stop for the whole grid
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    assert title(page) == "layer 0 · head 2"
    page.keyboard.press("Tab")
    for key in ("ArrowDown", "End", "ArrowUp"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.textContent").split()[0] == "it"
    assert_close(numbers(page), weights[0, 2, 3].double(), **DIGITS)
    page.keyboard.press("ArrowRight")  # to the other column: who looks at it?
    assert_close(numbers(page, "from"), weights[0, 2, :, 3].double(), **DIGITS)
    page.keyboard.press("Escape")
    assert "".join(page.locator(".av-number").all_inner_texts()) == ""
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Save as SVG"


@pytest.mark.browser
def test_arrow_keys_stop_at_the_edges(show, weights):
    page = show(AttentionView(weights, TOKENS, layer=1))
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert title(page) == "layer 1 · head 0"
    page.keyboard.press("End")
    assert title(page) == "roll-out · layers 0 to 1"
    page.keyboard.press("ArrowDown")
    assert title(page) == "mean over all layers and heads"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert title(page) == "layer 1 · mean over heads"


@pytest.mark.browser
@pytest.mark.parametrize(("layers", "heads"), [(1, 3), (3, 1)])
@pytest.mark.parametrize("mode", ["head", "layer", "all", "rollout"])
def test_every_mode_has_its_square(show, layers, heads, mode):
    """Whatever is enlarged is marked in the grid, and the keys start from it."""
    page = show(AttentionView(softmax(layers, heads, Q, Q), TOKENS, mode=mode))
    marked = page.locator("[role=gridcell][aria-selected=true]")
    assert marked.count() == 1
    assert marked.get_attribute("aria-label") == title(page).replace(" · ", ", ")
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    alone = mode == "all" and layers > 1  # in a row of its own
    assert title(page) == ("mean over all layers and heads" if alone else "layer 0 · head 0")


MEANS = {
    "layer 1, mean over heads": lambda w: w[1].mean(0),
    "mean over all layers and heads": lambda w: w.mean((0, 1)),
    "roll-out, layer 0": lambda w: rolled_out(w[:1]),
    "roll-out, layers 0 to 2": rolled_out,
}


@pytest.mark.browser
@pytest.mark.parametrize("name", MEANS)
def test_means_and_rollout_equal_pytorchs(show, name):
    weights = softmax(3, 2, Q, Q)
    page = show(AttentionView(weights, TOKENS))
    cell(page, name).click()
    open_numbers(page)
    cells = page.locator("tbody td").all_inner_texts()
    shown = torch.tensor([float(text) for text in cells], dtype=torch.float64).reshape(Q, Q)
    assert_close(shown, MEANS[name](weights.double()), atol=0.000511, rtol=0)  # three digits


@pytest.mark.browser
def test_rollout_of_masked_rows_stays_finite(show):
    weights = softmax(2, 2, Q, Q)
    weights[..., 2, :] = 0  # a query that may look at nothing
    page = show(AttentionView(weights, TOKENS, mode="rollout", layer=1, token=2))
    assert_close(numbers(page), rolled_out(weights)[2], **DIGITS)
    cell(page, "layer 0, head 0").click()
    assert "“saw” looks at nothing" in said(page)


def open_numbers(page) -> None:
    """The table is filled once the browser says that it is open, a moment after the click."""
    page.get_by_text("Numbers", exact=True).click()
    page.locator("tbody td").first.wait_for()


@pytest.mark.browser
def test_table_holds_every_weight(show, weights):
    page = show(AttentionView(weights, TOKENS, layer=1, head=2))
    open_numbers(page)
    table = page.get_by_role("table")
    assert table.get_by_role("columnheader").all_inner_texts() == TOKENS
    assert table.get_by_role("rowheader").all_inner_texts() == TOKENS
    shown = [float(text) for text in table.locator("tbody td").all_inner_texts()]
    expected = weights[1, 2].flatten().double()
    assert_close(torch.tensor(shown, dtype=torch.float64), expected, atol=0.000511, rtol=0)


@pytest.mark.browser
def test_long_table_follows_the_token(show):
    tokens = [f"t{i}" for i in range(41)]
    weights = softmax(1, 2, 41, 41)
    page = show(AttentionView(weights, tokens))
    open_numbers(page)
    first = page.locator("tbody tr").first.locator("td").all_inner_texts()
    most = weights[0, 0, 0].topk(3)
    assert first[::2] == [tokens[i] for i in most.indices]
    from_token(page, "t7").click()
    shown = [float(text) for text in page.locator("tbody td:last-child").all_inner_texts()]
    expected = weights[0, 0, 7].double()
    assert_close(torch.tensor(shown, dtype=torch.float64), expected, atol=0.000511, rtol=0)


@pytest.mark.browser
def test_matrix_answers_to_the_pointer(show, weights):
    page = show(AttentionView(weights, TOKENS, head=1))
    matrix = page.get_by_role("img", name="Matrix of weights, layer 0, head 1")
    box, band = matrix.bounding_box(), page.locator(".av-band")
    step = (box["width"] - 22) / (Q + 1)  # within a cell wherever the labels end
    page.mouse.move(box["x"] + box["width"] - 22 - step / 2, box["y"] + box["height"] - 12)
    assert said(page) == f"layer 0, head 1: “.” looks at “.” {weights[0, 1, 4, 4]:.2f}"
    page.mouse.click(box["x"] + box["width"] - 22 - step / 2, box["y"] + box["height"] - 12)
    page.mouse.move(0, 0)
    assert_close(numbers(page), weights[0, 1, 4].double(), **DIGITS)
    assert band.bounding_box()["width"] > 4 * band.bounding_box()["height"]


@pytest.mark.browser
def test_cross_attention(show):
    weights = softmax(2, 2, 5, 7)
    page = show(AttentionView(weights, TOKENS, key_tokens=SEVEN, layer=1, token=6, side="to"))
    assert_close(numbers(page, "from"), weights[1, 0, :, 6].double(), **DIGITS)
    assert page.get_by_role("gridcell", name="roll-out").count() == 0
    from_token(page, "dog").click()
    assert_close(numbers(page), weights[1, 0, 1].double(), **DIGITS)
    options = page.get_by_role("listbox", name="to (key)").get_by_role("option")
    assert [text.split()[0] for text in options.all_inner_texts()] == SEVEN


@pytest.mark.browser
def test_two_sentences_follow_one_position(show, weights):
    second = softmax(LAYERS, HEADS, 7, 7, seed=1)
    page = show(AttentionView(weights, TOKENS, other=(second, SEVEN), head=1))
    from_token(page, "it").click()
    assert_close(numbers(page), weights[0, 1, 3].double(), **DIGITS)
    assert_close(numbers(page, sentence=1), second[0, 1, 3].double(), **DIGITS)
    from_token(page, "g", sentence=1).click()  # the first sentence has no such position
    assert_close(numbers(page, sentence=1), second[0, 1, 6].double(), **DIGITS)
    assert page.locator(".av-lines").nth(0).locator(".av-number").all_inner_texts() == [""] * 10
    assert page.get_by_role("grid").count() == 1  # keyboard and screen reader meet one grid


@pytest.mark.browser
def test_hover_redraws_no_thumbnail(show):
    tokens = [f"t{i}" for i in range(31)]
    page = show(AttentionView(softmax(4, 4, 31, 31), tokens))
    page.wait_for_timeout(300)  # the means are drawn in idle moments
    page.evaluate("""() => {
      window.drawn = new Map();
      for (const name of ["putImageData", "drawImage", "stroke"]) {
        const real = CanvasRenderingContext2D.prototype[name];
        CanvasRenderingContext2D.prototype[name] = function (...given) {
          drawn.set(this.canvas, (drawn.get(this.canvas) ?? 0) + 1);
          return real.apply(this, given);
        };
      }
      const place = (canvas) => canvas.parentElement?.className ?? "";
      window.report = () => [...drawn].map(([canvas, times]) => [place(canvas), times]);
    }""")
    from_token(page, "t3").hover()
    ((where, strokes),) = page.evaluate("report()")
    assert (where, strokes <= 31) == ("av-strands", True)  # the lines of one token
    cell(page, "layer 2, head 2").click()
    places = [where for where, _ in page.evaluate("report()")]
    assert "av-rows" not in places  # another head: still no thumbnail
    assert "av-paper" in places


PIXEL = """([selector, x, y]) => {
  const canvas = document.querySelector(selector);
  const dense = canvas.width / parseFloat(canvas.style.width);
  return [...canvas.getContext("2d").getImageData(x * dense, y * dense, 1, 1).data].slice(0, 3);
}"""


@pytest.mark.browser
@pytest.mark.parametrize(
    ("theme", "low", "high"),
    [("light", [255, 255, 255], [11, 47, 102]), ("dark", [20, 24, 31], [220, 236, 255])],
)
def test_thumbnails_are_painted_in_the_themes_colours(show, theme, low, high):
    weights = torch.eye(2).flip(0).expand(2, 2, 2, 2)  # each token looks at the other
    page = show(AttentionView(weights, ["a", "b"]), theme=theme)
    corners = [(12, 12), (34, 12)]
    assert [page.evaluate(PIXEL, [".av-rows canvas", *at]) for at in corners] == [low, high]
    other = "light" if theme == "dark" else "dark"
    page.evaluate("theme => document.documentElement.dataset.theme = theme", other)
    page.wait_for_timeout(100)
    assert page.evaluate(PIXEL, [".av-rows canvas", 12, 12]) != low


@pytest.mark.browser
def test_thin_diagonal_survives_in_a_thumbnail(show):
    weights = torch.eye(128).roll(1, 0)[None, None].repeat(1, 2, 1, 1)
    page = show(AttentionView(weights, [str(i) for i in range(128)]))
    darkest = page.evaluate("""() => {
      const canvas = document.querySelector(".av-rows canvas");
      const { data } = canvas.getContext("2d").getImageData(4, 4, 36, 36);
      return Math.min(...data.filter((_, i) => i % 4 === 0));
    }""")
    assert darkest == 11  # the full colour of weight 1, though a token is a third of a pixel


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1000])
def test_hostile_tokens_are_text_and_keep_the_layout(show, width):
    n = len(HOSTILE)
    weights = softmax(2, 12, n, n)
    page = show(AttentionView(weights, HOSTILE, other=(weights, HOSTILE), token=1), width=width)
    assert page.title() != "run"
    assert page.locator(".ug script").count() == 0
    first = page.get_by_role("listbox", name="from (query), sentence 1").get_by_role("option")
    shown = first.locator("bdi").all_inner_texts()
    assert shown == [*HOSTILE[:4], "\ufffdevil", "↵", "∅"]
    assert "“שלום”" in said(page)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert len({option.bounding_box()["height"] for option in first.all()}) == 1
    hidden = """() => [...document.querySelectorAll(".av-to li")].filter((item) => {
      const parts = [item, item.firstChild, item.lastChild];
      const [row, token, number] = parts.map((part) => part.getBoundingClientRect());
      return number.right > row.right || number.width < 20 || token.height > row.height;
    }).length"""
    assert page.evaluate(hidden) == 0  # a long token gives way, its number does not
    assert_close(numbers(page), weights[0, 0, 1].double(), **DIGITS)


@pytest.mark.browser
def test_phone(show, weights):
    tokens = [f"token{i}" for i in range(61)]
    page = show(AttentionView(softmax(3, 24, 61, 61), tokens), width=360, height=700)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    cell(page, "layer 1, head 20").tap()
    assert title(page) == "layer 1 · head 20"
    from_token(page, "token5").tap()
    assert_close(numbers(page).sum().item(), 1.0, atol=0.3, rtol=0)
    assert "“token5” looks at" in said(page)


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 500])
def test_nothing_moves_under_the_pointer(show, width):
    """A line of text that grew would push the token away that the pointer is on."""
    tokens = ["a" * 19, "b" * 19, "c", "c"]
    page = show(AttentionView(softmax(1, 2, 4, 4), tokens), width=width)
    places = {page.locator(".av-lines").bounding_box()["y"]}
    for i in range(4):
        page.locator(".av-from li").nth(i).hover()
        places.add(page.locator(".av-lines").bounding_box()["y"] + page.evaluate("scrollY"))
    assert len(places) == 1


@pytest.mark.browser
def test_one_head_needs_no_grid(show):
    page = show(AttentionView(softmax(5, 5), TOKENS, token=1))
    assert page.get_by_role("grid").count() == 0
    assert page.locator(".ug.av").inner_text().startswith("layer 0 · head 0")
    assert_close(numbers(page), softmax(5, 5)[1].double(), **DIGITS)


@pytest.mark.browser
def test_long_list_scrolls_in_its_box_to_the_token(show):
    page = show(AttentionView(softmax(1, 2, 97, 97), [f"t{i}" for i in range(97)], token=90))
    box, item = page.locator(".av-lines").bounding_box(), from_token(page, "t90").bounding_box()
    assert box["y"] < item["y"] < box["y"] + box["height"] - item["height"]
    assert page.evaluate("scrollY") == 0


@pytest.mark.browser
def test_linked_views_move_together(show, weights):
    first, second = AttentionView(weights, TOKENS), AttentionView(weights[:1], TOKENS)
    links = [ipywidgets.jslink((first, name), (second, name)) for name in ("token", "layer")]
    page = show(first, second, *links)
    from_token(page, "dog").click()
    assert_close(numbers(page, sentence=1), weights[0, 0, 1].double(), **DIGITS)
    cell(page, "layer 1, head 0").click()  # a layer that the second has not: it shows its last
    assert page.locator("h4").all_inner_texts() == ["layer 1 · head 0", "layer 0 · head 0"]


@pytest.mark.browser
def test_saved_picture_is_vectors_with_text(show, browser, weights, tmp_path):
    page = show(AttentionView(weights, TOKENS, layer=1, head=2), theme="dark")

    def saved(name: str) -> ET.Element:
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as SVG").click()
        download.value.save_as(tmp_path / name)
        return ET.parse(tmp_path / name).getroot()

    svg = "{http://www.w3.org/2000/svg}"
    whole = saved("all.svg")
    assert len(whole.findall(f".//{svg}path")) == int((weights[1, 2] >= 0.005).sum())
    texts = ["".join(text.itertext()).strip() for text in whole.iter(f"{svg}text")]
    assert [texts.count(token) for token in TOKENS] == [4] * Q
    assert "Attention: layer 1 · head 2" in texts
    assert whole.find(f"{svg}rect").get("fill") == "#14181f"  # pyright: ignore
    from_token(page, "saw").click()
    one = saved("one.svg")
    assert len(one.findall(f".//{svg}path")) == int((weights[1, 2, 2] >= 0.005).sum())
    words = ["".join(text.itertext()) for text in one.iter(f"{svg}text")]
    shown = [float(word) for word in words if re.fullmatch(r"\d\.\d\d", word)][:Q]
    assert_close(torch.tensor(shown, dtype=torch.float64), weights[1, 2, 2].double(), **DIGITS)
    with opened(browser, (tmp_path / "one.svg").as_uri()) as (alone, heard):
        assert alone.locator("text").first.text_content() == "Attention: layer 1 · head 2"
        assert heard.errors == []
        assert len(heard.requests) == 1


@pytest.mark.browser
def test_saved_picture_of_hostile_tokens_is_well_formed(show, tmp_path):
    n = len(HOSTILE)
    page = show(AttentionView(softmax(n, n), [*HOSTILE[:-1], "\x00\ud800"]))
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as SVG").click()
    root = ET.parse(download.value.path()).getroot()
    assert root.find(".//{http://www.w3.org/2000/svg}script") is None


@pytest.mark.browser
def test_reduced_motion(show, weights):
    page = show(AttentionView(weights, TOKENS))
    style = "getComputedStyle(document.querySelector('.av-strands canvas')).transitionDuration"
    assert page.evaluate(style) == "0.12s"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(style) == "0s"


@pytest.mark.browser
def test_cleanup_leaves_nothing_behind(show, weights):
    view = AttentionView(weights, TOKENS)
    page = show(view)
    left = page.evaluate(
        """async ([source, sentences]) => {
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      const { default: widget } = await import(url);
      const heard = [], values = { layer: 0, head: 0, token: null, mode: "head", side: "from",
        _sentences: sentences, _weights: new DataView(new ArrayBuffer(2 * 2 * 3 * 5 * 5)) };
      const model = { get: (name) => values[name], set() {}, save_changes() {},
        on: (event, f) => heard.push([event, f]),
        off: (event, f) => heard.splice(heard.findIndex(([e, g]) => e === event && g === f), 1) };
      const el = document.createElement("div");
      document.body.append(el);
      const stop = await widget.render({ model, el });
      const during = heard.length;
      stop();
      el.remove();
      return [during, heard.length, document.querySelectorAll("[id]").length];
    }""",
        [view._esm, view._sentences],
    )
    assert left == [5, 0, 0]

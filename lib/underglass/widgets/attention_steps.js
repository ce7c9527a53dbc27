// One query asks a few keys: every number on the way from q · k to the output, editable.
// Joined after shared.js (see frame.py).

const LARGEST = 99; // of a number in a field: three characters and a sign fit on a phone
const CAPTIONS = {
  keys: ["Query and keys", "q, k", "What is looked for, and what each token offers. Every number is yours to change."],
  scores: ["1 Scores", "q · k", "How well does each key match the query?"],
  scaled: ["2 Scaled", "score ÷ √d", "Long vectors make large scores; √d brings them back."],
  masked: ["3 Masked", "hidden: −∞", "Untick a key, and the query may not look at it."],
  weights: ["4 Weights", "softmax: eˢ ÷ Σ eˢ", "Positive shares that add up to 1. A temperature of 1 is the paper’s."],
  values: ["Values", "v", "What each token hands over when it is looked at."],
  parts: ["5 Output", "Σ weight · value", "Shrink each value by its weight, and add up each row."],
};

const dot = (a, b) => a.reduce((total, x, i) => total + x * b[i], 0);
const total = (numbers) => numbers.reduce((a, b) => a + b, 0);

/**
 * softmax(q · k / √d / temperature) · v for one query, with everything in between.
 * A query that may look at no key gets zeros.
 * @param {{query: number[], keys: number[][], values: number[][], mask: boolean[],
 *   temperature: number, scaled: boolean}} state
 */
function attend({ query, keys, values, mask, temperature, scaled: divide }) {
  const scores = keys.map((key) => dot(query, key));
  const scaled = scores.map((score) => (divide ? score / Math.sqrt(query.length) : score));
  const masked = scaled.map((score, i) => (mask[i] ? score : -Infinity));
  const top = Math.max(...masked); // subtracted, so that no power overflows
  const powers = masked.map((score) => (score === -Infinity ? 0 : Math.exp((score - top) / temperature)));
  const sum = total(powers);
  const weights = powers.map((power) => (sum ? power / sum : 0));
  const parts = values.map((value, i) => value.map((x) => weights[i] * x));
  const output = values[0].map((_, j) => total(parts.map((part) => part[j])));
  return { scores, scaled, masked, top, powers, sum, weights, parts, output };
}

/** −∞, 1234, 123.4, 1.23: never more than six characters. */
function show(number) {
  if (number === -Infinity) return "−∞";
  const size = Math.abs(number);
  return format(number, size >= 999.5 ? 0 : size >= 99.95 ? 1 : 2);
}
/** The same without trailing zeros, for a line of arithmetic; `factor` puts a minus in brackets. */
const trimmed = (number) => (show(number).includes(".") ? show(number).replace(/\.?0+$/, "") : show(number));
const factor = (number) => (trimmed(number).startsWith("−") ? `(${trimmed(number)})` : trimmed(number));

/** The smallest round number that is at least `size`, and at least 1: an axis that seldom jumps. */
function niceLimit(size) {
  const power = 10 ** Math.floor(Math.log10(Math.max(size, 1)));
  return [1, 1.5, 2, 3, 4, 6, 8, 10].map((step) => step * power).find((limit) => limit >= size) ?? size;
}

const label = (token) => (token.trim() === "" ? "␣" : token);

/**
 * A number field that is typed into, stepped with the arrow keys (Shift: by 1), or dragged sideways.
 * @param {string} name for screen readers @param {(number: number) => void} onnumber
 */
function numberField(name, onnumber) {
  const input = h("input", { type: "number", step: "any", min: -LARGEST, max: LARGEST, "aria-label": name, class: "field", autocomplete: "off" });
  let value = 0, drag = null;
  const write = () => { input.value = String(Number(value.toFixed(2))); input.setAttribute("aria-invalid", "false"); };
  const change = (number) => {
    value = Math.max(-LARGEST, Math.min(LARGEST, Number(number.toFixed(4))));
    write();
    onnumber(value);
  };
  input.addEventListener("input", () => {
    const typed = input.valueAsNumber, good = Math.abs(typed) <= LARGEST; // false for NaN
    input.setAttribute("aria-invalid", String(!good));
    if (!good) return;
    value = typed;
    onnumber(value);
  });
  input.addEventListener("blur", write); // what could not be read gives way to what holds
  input.addEventListener("keydown", (event) => {
    const steps = { ArrowUp: 0.1, ArrowDown: -0.1, PageUp: 1, PageDown: -1 }[event.key];
    if (!steps) return;
    event.preventDefault();
    change(value + steps * (event.shiftKey ? 10 : 1));
  });
  input.addEventListener("mousedown", (event) => event.preventDefault()); // or a drag selects text
  input.addEventListener("pointerdown", (event) => {
    if (event.button === 0) drag = { x: event.clientX, value, moved: false };
  });
  input.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const steps = Math.round((event.clientX - drag.x) / 5); // 5 pixels a step
    if (!drag.moved && steps === 0) return;
    if (!drag.moved) input.setPointerCapture(event.pointerId);
    drag.moved = true;
    const next = Number((drag.value + steps * (event.shiftKey ? 0.01 : 0.1)).toFixed(4));
    if (next !== value) change(next);
  });
  const drop = (event) => {
    if (drag && !drag.moved && event.type === "pointerup") { input.focus(); input.select(); }
    drag = null;
  };
  input.addEventListener("pointerup", drop);
  input.addEventListener("pointercancel", drop);
  return {
    input,
    /** Show what the model holds; a field that is being typed into is left alone. */
    set(number) {
      if (number === value && input.value !== "") return;
      value = number;
      write();
    },
  };
}

/** A number over or under a baseline. `signed`: the line is in the middle, else at the foot. */
function barCell(signed) {
  const bar = h("div", { class: "bar" }), text = h("span", { class: "number" });
  const element = h("div", { class: "cell" }, h("div", { class: signed ? "chart signed" : "chart" }, bar), text);
  return {
    element, text,
    set(number, limit) {
      const share = Number.isFinite(number) ? Math.min(1, Math.abs(number) / limit) * (signed ? 50 : 100) : 0;
      bar.style.top = `${signed ? (number > 0 ? 50 - share : 50) : 100 - share}%`;
      bar.style.height = `${share}%`;
      bar.classList.toggle("negative", number < 0);
      element.classList.toggle("hidden", number === -Infinity);
      const shown = show(number);
      if (text.textContent !== shown) text.textContent = shown;
    },
  };
}

/** A column of numbers on a tint. @param {number} size */
function stackCell(size) {
  const texts = Array.from({ length: size }, () => h("span", { class: "stacked" }));
  return { element: h("div", { class: "cell" }, ...texts), texts };
}

function tint(node, number, limit, scale) {
  const colour = scale((number / limit) * 0.7); // paler than the bars: there is text on it
  node.style.backgroundColor = css(colour);
  node.style.color = inkOn(colour);
}

/** Arrows (or points) in the plane that can be dragged by their tips. */
function plane(title, onmove) {
  const SIZE = 300, HALF = SIZE / 2, EDGE = 18;
  const svg = s("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", class: "plane" });
  let limit = 1, held = null;
  const at = ([x, y]) => [HALF + (x / limit) * (HALF - EDGE), HALF - (y / limit) * (HALF - EDGE)];
  const locate = (event) => {
    const box = svg.getBoundingClientRect(), unit = (limit * SIZE) / box.width / (HALF - EDGE);
    return [event.clientX - box.left - box.width / 2, box.top + box.height / 2 - event.clientY]
      .map((x) => Math.max(-LARGEST, Math.min(LARGEST, Number((x * unit).toFixed(1)))));
  };
  svg.addEventListener("pointerdown", (event) => {
    const which = /** @type {Element} */ (event.target).getAttribute?.("data-drag");
    if (which === null || event.button !== 0) return;
    event.preventDefault();
    held = which;
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => { if (held !== null) onmove(held, locate(event)); });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { held = null; onmove(null); });
  const element = h("figure", { class: "picture" }, h("figcaption", {}, title), svg);
  /** @param {number} size the largest number to show; while something is dragged the axes stay */
  function frame(size) {
    if (held === null) limit = niceLimit(size * 1.05);
    const tick = limit / 2, lines = [];
    for (const where of [-2, -1, 1, 2]) {
      const [x, y] = at([where * tick, where * tick]);
      lines.push(s("path", { d: `M${x} ${EDGE}V${SIZE - EDGE}M${EDGE} ${y}H${SIZE - EDGE}`, class: "grid" }));
    }
    const [right, up] = [at([limit, 0]), at([0, limit])];
    return [...lines, s("path", { d: `M${HALF} ${EDGE}V${SIZE - EDGE}M${EDGE} ${HALF}H${SIZE - EDGE}`, class: "axis" }),
      s("text", { x: right[0], y: HALF + 13, class: "tick", "text-anchor": "end" }, String(limit)),
      s("text", { x: HALF - 4, y: up[1] + 10, class: "tick", "text-anchor": "end" }, String(limit))];
  }
  return { element, svg, at, frame };
}

function arrow([x0, y0], [x, y], name) {
  const length = Math.hypot(x - x0, y - y0);
  if (length < 1) return [s("circle", { cx: x, cy: y, r: 3, class: name })];
  const [ux, uy] = [(x - x0) / length, (y - y0) / length], head = Math.min(10, length);
  const [bx, by] = [x - ux * head, y - uy * head];
  return [s("path", { d: `M${x0} ${y0}L${bx} ${by}`, class: `${name} shaft` }),
    s("path", { d: `M${x} ${y}L${bx - uy * head * 0.45} ${by + ux * head * 0.45}L${bx + uy * head * 0.45} ${by - ux * head * 0.45}Z`, class: name })];
}

/** The corners of the smallest convex shape around the points, in order. */
function hull(points) {
  const turn = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (list) => list.reduce((kept, p) => {
    while (kept.length > 1 && turn(kept.at(-2), kept.at(-1), p) <= 0) kept.pop();
    return [...kept, p];
  }, []);
  if (points.length < 3) return points;
  return [...half(sorted).slice(0, -1), ...half(sorted.reverse()).slice(0, -1)];
}

/** Names beside points, each pushed away from `centre` and off the names already there. */
function labeller(centre) {
  const taken = [{ middle: 280, y: 160, width: 24 }]; // the end of the axis
  return ([x, y], text, name = "", radius = 3) => {
    const short = [...text].length > 12 ? [...text].slice(0, 11).join("") + "…" : text;
    const width = 8 * [...short].length + 4, angle = Math.atan2(y - centre[1], x - centre[0]);
    let box = null;
    for (const [turned, far] of [[0, 12], [0.9, 14], [-0.9, 14], [1.8, 16], [-1.8, 16], [2.8, 18], [0, 30]]) {
      const [dx, dy] = [Math.cos(angle + turned) * (far + radius - 3), Math.sin(angle + turned) * (far + radius - 3)];
      const middle = Math.max(width / 2 + 2, Math.min(298 - width / 2, x + dx + Math.cos(angle + turned) * (width / 2)));
      box = { middle, y: Math.max(12, Math.min(292, y + dy + Math.sin(angle + turned) * 4)) };
      if (taken.every((other) => Math.abs(other.middle - box.middle) > (other.width + width) / 2 || Math.abs(other.y - box.y) > 14)) break;
    }
    taken.push({ ...box, width });
    return s("text", { x: box.middle, y: box.y + 4, class: `tip ${name}`, "text-anchor": "middle", style: "unicode-bidi: isolate" }, short);
  };
}

/**
 * What is on the screen as one SVG: backgrounds, borders, text and inner pictures of `root`, each
 * where it stands.
 * @param {HTMLElement} root @returns {SVGElement} put into `root`, unseen, so that it can be measured
 */
function pictureOf(root) {
  root.querySelector("svg.copy")?.remove();
  const frame = root.getBoundingClientRect(), shapes = [], MARGIN = 12;
  const place = (box) => ({ x: box.left - frame.left, y: box.top - frame.top, width: box.width, height: box.height });
  const write = (text, box, style, anchor = "start") => shapes.push(s("text", {
    x: box.left - frame.left + (anchor === "middle" ? box.width / 2 : 0), y: box.top - frame.top + box.height / 2,
    "dominant-baseline": "central", "font-style": style.fontStyle,
    style: `fill: ${style.color}; font: ${style.fontWeight} ${style.fontSize} ${style.fontFamily}; text-anchor: ${anchor}`,
  }, text));
  /** A text node may break into lines: one <text> for each. `share` of it is not cut off. */
  const words = (node, style, share) => {
    if (share < 1) {
      const whole = [...node.data], kept = whole.slice(0, Math.floor(whole.length * share) - 1);
      const range = document.createRange();
      range.selectNode(node);
      return write(`${kept.join("")}…`, range.getBoundingClientRect(), style);
    }
    const range = document.createRange();
    let line = "", box = null, start = 0;
    for (const part of [...node.data.split(/(?<=\s)/), null]) {
      let found = null;
      if (part !== null) {
        range.setStart(node, start);
        range.setEnd(node, (start += part.length));
        found = range.getClientRects()[0];
        if (!found) continue;
        if (line.trim() && Math.abs(found.top - box.top) < 3) { line += part; continue; }
      }
      if (line.trim()) write(line, box, style);
      [line, box] = [part, found];
    }
  };
  const picture = (svg, box) => {
    const copy = s("svg", { ...place(box), viewBox: svg.getAttribute("viewBox") });
    for (const node of svg.children) copy.append(node.cloneNode(true));
    const [from, to] = [svg, copy].map((top) => top.querySelectorAll("*"));
    for (const name of ["paint-order", "stroke-dasharray", "stroke-linejoin", "fill-opacity"]) {
      from.forEach((node, i) => to[i].setAttribute(name, getComputedStyle(node).getPropertyValue(name)));
    }
    shapes.push(copy);
  };
  const control = (input, box, style) => {
    if (input.type === "number") return write(input.value.replace("-", "−"), box, style, "middle");
    const { x, y, width, height } = place(box), ink = `stroke: ${style.color}; fill: none`;
    if (input.type === "checkbox") {
      shapes.push(s("rect", { x: x + 1, y: y + 1, width: width - 2, height: height - 2, rx: 2, style: ink }));
      if (input.checked) shapes.push(s("path", { d: `M${x + width * 0.25} ${y + height * 0.5}l${width * 0.2} ${height * 0.22}l${width * 0.32} ${-height * 0.45}`, style: `${ink}; stroke-width: 2px` }));
      return;
    }
    const at = (Number(input.value) - Number(input.min)) / (Number(input.max) - Number(input.min));
    shapes.push(s("path", { d: `M${x} ${y + height / 2}h${width}`, style: `${ink}; stroke-width: 2px` }),
      s("circle", { cx: x + 6 + at * (width - 12), cy: y + height / 2, r: 6, style: `fill: ${style.color}` }));
  };
  const walk = (element, share = 1) => {
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    if (style.display === "none" || (!box.width && style.display !== "contents")) return;
    if (!/, 0\)$|transparent/.test(style.backgroundColor) && element.type !== "range") {
      shapes.push(s("rect", { ...place(box), rx: parseFloat(style.borderRadius) || 0, style: `fill: ${style.backgroundColor}` }));
    }
    if (element instanceof SVGElement) return picture(element, box);
    if (parseFloat(style.borderTopWidth) && !/checkbox|range/.test(element.type)) {
      const all = parseFloat(style.borderLeftWidth), { x, y } = place(box);
      shapes.push(all
        ? s("rect", { ...place(box), rx: parseFloat(style.borderRadius) || 0, style: `fill: none; stroke: ${style.borderTopColor}` })
        : s("path", { d: `M${x} ${y}h${box.width}`, style: `fill: none; stroke: ${style.borderTopColor}` }));
    }
    if (element instanceof HTMLInputElement) return control(element, box, style);
    if (element instanceof HTMLSelectElement) return write(element.selectedOptions[0].text, box, style, "middle");
    if (style.textOverflow === "ellipsis" && element.scrollWidth > element.clientWidth) share = element.clientWidth / element.scrollWidth;
    for (const node of element.childNodes) {
      if (node instanceof Text) words(node, style, share);
      else if (node instanceof Element) walk(node, share);
    }
  };
  walk(root);
  const [width, height] = [frame.width + 2 * MARGIN, frame.height + 2 * MARGIN];
  const svg = s("svg", { class: "copy", viewBox: `${-MARGIN} ${-MARGIN} ${width} ${height}`, "aria-hidden": "true",
    style: `position: absolute; visibility: hidden; left: 0; top: 0; width: ${width}px; height: ${height}px; max-width: none` }, ...shapes);
  root.append(svg);
  setTimeout(() => svg.remove(), 1000);
  return svg;
}

export default {
  render({ model, el }) {
    const nested = (list) => (Array.isArray(list[0]) ? list : [list]);
    const many = Array.isArray(model.get("query")[0]);
    const tokens = model.get("tokens").map(label), askers = model.get("query_tokens").map(label);
    const [k, d, dv] = [tokens.length, model.get("key")[0].length, model.get("value")[0].length];
    let followed = 0, spoken = 0, first = true;

    /** The state of the query that is chosen. */
    const read = () => {
      const row = Math.min(model.get("chosen"), nested(model.get("query")).length - 1);
      return { row, query: nested(model.get("query"))[row], mask: nested(model.get("mask"))[row], keys: model.get("key"),
        values: model.get("value"), temperature: model.get("temperature"), scaled: model.get("scaled") };
    };
    const save = (name, value) => { model.set(name, value); model.save_changes(); };
    /** One number (or tick) replaced: lists are copied, because a model hears only of new ones. */
    const replace = (name, i, j, value) => save(name, model.get(name).map((row, at) => (at === i ? row.map((x, n) => (n === j ? value : x)) : row)));
    const replaceOwn = (name, j, value) => {
      const { row } = read();
      if (many) replace(name, row, j, value);
      else save(name, model.get(name).map((x, n) => (n === j ? value : x)));
    };

    // The table: one column for each key, one row for each step.
    const columns = Array.from({ length: k }, () => []);
    const heads = tokens.map((token, i) => h("button", { type: "button", class: "token", title: token, "aria-pressed": "false",
      "aria-label": `Follow ${token}`, onclick() { followed = i; draw(); } }, isolate(token)));
    const works = {};
    const row = (name, own, cells, control) => {
      const [title, formula, words] = CAPTIONS[name];
      works[name] = h("p", { class: "work" });
      const caption = h("div", { role: "rowheader", class: "caption", "aria-label": `${title}, ${formula}` },
        h("div", { class: "name" }, h("strong", {}, title), " ", h("span", { class: "formula" }, formula)),
        h("p", { class: "words" }, words), control ?? null, works[name]);
      own.setAttribute("role", "cell");
      own.classList.add("own");
      cells.forEach((cell, i) => { cell.setAttribute("role", "cell"); columns[i].push(cell); });
      return h("div", { role: "row", class: "step", "data-step": name }, caption, own, ...cells);
    };
    const fieldColumn = (name, size, change) => {
      const fields = Array.from({ length: size }, (_, j) => numberField(`${name}, number ${j + 1}`, (number) => change(j, number)));
      return { fields, element: h("div", { class: "cell" }, ...fields.map((field) => field.input)) };
    };
    const queryCells = fieldColumn("query", d, (j, number) => replaceOwn("query", j, number));
    const keyCells = tokens.map((token, i) => fieldColumn(`key ${token}`, d, (j, number) => replace("key", i, j, number)));
    const valueCells = tokens.map((token, i) => fieldColumn(`value ${token}`, dv, (j, number) => replace("value", i, j, number)));
    const bars = { scores: tokens.map(() => barCell(true)), scaled: tokens.map(() => barCell(true)),
      masked: tokens.map(() => barCell(true)), weights: tokens.map(() => barCell(false)) };
    const parts = tokens.map(() => stackCell(dv)), output = stackCell(dv);
    const ticks = tokens.map((token, i) => h("input", { type: "checkbox", class: "tick-box", "aria-label": `may look at ${token}`,
      onchange(event) { replaceOwn("mask", i, event.target.checked); } }));
    bars.masked.forEach((cell, i) => cell.element.prepend(h("label", { class: "tick-label" }, ticks[i])));
    const axis = () => h("div", { class: "cell axis-labels" }, h("div", { class: "chart", "aria-hidden": "true" }, h("span"), h("span")));
    const axes = { scores: axis(), scaled: axis(), masked: axis() };
    const sum = h("span", { class: "number" });
    const divide = h("input", { type: "checkbox", onchange() { save("scaled", divide.checked); } });
    const root = h("span", {});
    const heat = slider("temperature", { min: -1, max: 1, step: 0.02, value: 0, show: (x) => format(10 ** x),
      oninput: (x) => save("temperature", Number((10 ** x).toPrecision(3))) });
    heat.input.classList.add("heat");
    const chooser = many
      ? h("select", { "aria-label": "query", onchange(event) { save("chosen", Number(event.target.value)); } },
        ...askers.map((name, i) => h("option", { value: i }, name)))
      : h("span", {}, "query");
    const table = h("div", { role: "table", class: k > 6 ? "steps dense" : "steps", "aria-label": "Attention, step by step", style: `--k: ${k}` },
      h("div", { role: "row", class: "step heads" },
        h("div", { role: "columnheader", class: "caption hint" }, "Drag a number sideways, type it, or press ↑ ↓. Click a token to follow it down."),
        h("div", { role: "columnheader", class: "cell own" }, chooser),
        ...heads.map((head, i) => { const cell = h("div", { role: "columnheader", class: "cell", "aria-label": tokens[i] }, head); columns[i].push(cell); return cell; })),
      row("keys", queryCells.element, keyCells.map((cell) => cell.element)),
      row("scores", axes.scores, bars.scores.map((cell) => cell.element)),
      row("scaled", axes.scaled, bars.scaled.map((cell) => cell.element),
        h("label", { class: "control" }, divide, "divide by √d = ", root)),
      row("masked", axes.masked, bars.masked.map((cell) => cell.element)),
      row("weights", h("div", { class: "cell axis-labels" }, h("div", { class: "chart", "aria-hidden": "true" }, h("span", {}, "1"), h("span", {}, "0")), sum), bars.weights.map((cell) => cell.element),
        h("div", { class: "control" }, heat.element)),
      row("values", h("div", { class: "cell" }), valueCells.map((cell) => cell.element)),
      row("parts", h("div", { class: "cell" }, h("span", { class: "own-name" }, "output"), output.element), parts.map((cell) => {
        cell.element.prepend(h("span", { class: "own-name", "aria-hidden": "true" }, " "));
        return cell.element;
      })));
    output.element.classList.add("output");

    // Pictures in the plane, where vectors have two numbers.
    const drags = (name) => (which, point) => {
      if (which === null) return draw();
      if (which === "own") return save("query", many ? model.get("query").map((row, i) => (i === read().row ? point : row)) : point);
      save(name, model.get(name).map((row, i) => (i === Number(which) ? point : row)));
    };
    const vectors = d === 2 ? plane("Query and keys: the longer a key’s shadow on q, the higher its score", drags("key")) : null;
    const points = dv === 2 ? plane("Values: each pulls the output by its weight", drags("value")) : null;

    const status = h("div", { class: "ug-hidden", role: "status" });
    const note = h("p", { class: "note", role: "note" });
    const picture = h("div", { class: "picture-area" }, h("h4", { class: "ug-title" }, "Attention, one step at a time"),
      h("div", { class: "ug-scroll" }, table), note, h("div", { class: "pictures" }, vectors?.element, points?.element));
    const reset = h("button", { type: "button", onclick() {
      for (const [name, value] of Object.entries(model.get("_start"))) model.set(name, value);
      model.save_changes();
      draw();
    } }, "Reset");
    const view = h("div", { class: "ug ug-steps" }, picture, h("div", { class: "ug-bar" }, reset, saveButton(() => pictureOf(picture), "attention-steps")), status);
    el.append(view);

    /** One line of arithmetic for the key that is followed. */
    function explain(state, result) {
      const { query, keys, values, mask, temperature } = state, i = followed;
      const power = (exponent) => ["e", h("sup", {}, trimmed(exponent))];
      const set = (name, ...content) => works[name].replaceChildren(...content.flat());
      set("scores", `${query.map((x, j) => `${factor(x)}·${factor(keys[i][j])}`).join(" + ")} = `, h("b", {}, show(result.scores[i])));
      set("scaled", state.scaled ? `${show(result.scores[i])} ÷ ${trimmed(Math.sqrt(d))} = ` : "left as it is: ", h("b", {}, show(result.scaled[i])));
      set("masked", mask[i] ? "may be looked at: " : "hidden: ", h("b", {}, show(result.masked[i])));
      const heated = temperature === 1 ? "" : ` ÷ ${trimmed(temperature)}`;
      const large = Math.max(...result.masked.map((x) => (x === -Infinity ? 0 : Math.abs(x)))) / temperature > 7;
      const up = large ? result.top / temperature : 0; // a common factor: shares stay the same
      const scale = large ? 1 : Math.exp(result.top / temperature);
      if (!result.sum) set("weights", "nothing to share: ", h("b", {}, "0.00"));
      else if (!mask[i]) set("weights", "e", h("sup", {}, "−∞"), " = 0, so its share is ", h("b", {}, "0.00"));
      else set("weights", power(result.masked[i] / temperature - up), ` ÷ sum = ${show(result.powers[i] * scale)} ÷ ${show(result.sum * scale)} = `,
        h("b", {}, show(result.weights[i])), heated ? ` (each score${heated} first)` : "", large ? ` (the largest, ${trimmed(up)}, taken off each)` : "");
      set("parts", `${show(result.weights[i])} · (${values[i].map(trimmed).join(", ")}) = (`, h("b", {}, result.parts[i].map(show).join(", ")), ")");
    }

    function drawPlanes(state, result) {
      const largest = (...lists) => Math.max(...lists.flat().map(Math.abs));
      if (vectors) {
        const shapes = vectors.frame(largest(state.query, ...state.keys)), { at } = vectors, zero = at([0, 0]), name = labeller(zero);
        const length = dot(state.query, state.query), key = state.keys[followed];
        if (length > 0) {
          const foot = at(state.query.map((x) => (x * dot(state.query, key)) / length)), far = state.query.map((x) => (x / Math.sqrt(length)) * 200);
          shapes.push(s("path", { d: `M${at(far)}L${at(far.map((x) => -x))}`, class: "along" }),
            s("path", { d: `M${zero}L${foot}`, class: "shadow" }), s("path", { d: `M${at(key)}L${foot}`, class: "drop" }));
        }
        state.keys.forEach((vector, i) => shapes.push(
          s("g", { style: `opacity: ${state.mask[i] ? 1 : 0.35}` }, ...arrow(zero, at(vector), i === followed ? "key followed" : "key")),
          ...grip(at(vector), i)));
        shapes.push(...arrow(zero, at(state.query), "query"), ...grip(at(state.query), "own"), name(at(state.query), "query", "strong"),
          ...state.keys.map((vector, i) => name(at(vector), tokens[i])));
        vectors.svg.replaceChildren(...shapes);
        vectors.svg.setAttribute("aria-label", `Query ${state.query.map(show).join(", ")}; keys ${tokens.map((token, i) => `${token} ${state.keys[i].map(show).join(", ")}`).join("; ")}`);
      }
      if (points) {
        const shapes = points.frame(largest(...state.values, result.output)), { at } = points, middle = [0, 1].map((j) => total(state.values.map((value) => value[j])) / k);
        const name = labeller(at(middle)), sizes = result.weights.map((weight) => 3 + 12 * Math.sqrt(weight));
        const names = state.values.map((value, i) => name(at(value), tokens[i], "", sizes[i]));
        shapes.push(s("path", { d: `M${hull(state.values).map(at).join("L")}Z`, class: "hull" }));
        state.values.forEach((value, i) => {
          const spot = at(value), out = at(result.output);
          shapes.push(s("path", { d: `M${spot}L${out}`, class: "pull", style: `opacity: ${result.weights[i]}` }),
            s("circle", { cx: spot[0], cy: spot[1], r: sizes[i], class: i === followed ? "value followed" : "value" }),
            ...grip(spot, i));
        });
        const [x, y] = at(result.output);
        shapes.push(s("path", { d: `M${x - 7} ${y}L${x} ${y - 7}L${x + 7} ${y}L${x} ${y + 7}Z`, class: "result" }), ...names, name([x, y], "output", "strong"));
        points.svg.replaceChildren(...shapes);
        points.svg.setAttribute("aria-label", `Output ${result.output.map(show).join(", ")}; values ${tokens.map((token, i) => `${token} ${state.values[i].map(show).join(", ")}`).join("; ")}`);
      }
    }
    const grip = ([x, y], which) => [s("circle", { cx: x, cy: y, r: 13, class: "grip", "data-drag": which })];

    let scale = signedScale(view);
    function draw() {
      const state = read(), result = attend(state);
      if (many) chooser.value = String(state.row);
      const most = Math.max(...[state.query, ...state.keys, ...state.values].flat().map(Math.abs), 1);
      const paint = (fields, numbers) => fields.forEach((field, j) => { field.set(numbers[j]); tint(field.input, numbers[j], most, scale); });
      paint(queryCells.fields, state.query);
      const limit = niceLimit(Math.max(...[...result.scores, ...result.scaled].map(Math.abs)));
      for (const name of ["scores", "scaled", "masked"]) {
        const [top, bottom] = axes[name].querySelectorAll("span");
        top.textContent = String(limit);
        bottom.textContent = `−${limit}`;
      }
      tokens.forEach((_, i) => {
        paint(keyCells[i].fields, state.keys[i]);
        paint(valueCells[i].fields, state.values[i]);
        for (const name of ["scores", "scaled", "masked"]) bars[name][i].set(result[name][i], limit);
        bars.weights[i].set(result.weights[i], 1);
        ticks[i].checked = state.mask[i];
        parts[i].texts.forEach((text, j) => { text.textContent = show(result.parts[i][j]); tint(text, result.parts[i][j], most, scale); });
        heads[i].setAttribute("aria-pressed", String(i === followed));
        for (const cell of columns[i]) cell.classList.toggle("followed", i === followed);
      });
      output.texts.forEach((text, j) => { text.textContent = show(result.output[j]); tint(text, result.output[j], most, scale); });
      divide.checked = state.scaled;
      root.textContent = format(Math.sqrt(d));
      sum.textContent = `Σ ${show(total(result.weights))}`;
      heat.set(Math.log10(state.temperature));
      note.textContent = result.sum ? "" : "No key may be looked at: the weights and the output are zeros.";
      explain(state, result);
      drawPlanes(state, result);
      clearTimeout(spoken);
      if (!first) { // once the reader pauses, not at every pixel of a drag
        spoken = setTimeout(() => {
          status.textContent = `Weights: ${tokens.map((token, i) => `${token} ${show(result.weights[i])}`).join(", ")}. Output: ${result.output.map(show).join(", ")}.`;
        }, 500);
      }
      first = false;
    }

    const recolour = () => { scale = signedScale(view); draw(); };
    // A live notebook may draw first and put the drawing into its page later; only there has it colours.
    const shown = new ResizeObserver(() => { if (view.isConnected) { shown.disconnect(); recolour(); } });
    if (!view.isConnected) shown.observe(view);
    const stops = [
      follow(model, ["query", "key", "value", "mask", "temperature", "scaled", "chosen"], draw),
      onTheme(recolour),
      () => shown.disconnect(),
      () => clearTimeout(spoken),
    ];
    draw();
    return () => { for (const stop of stops) stop(); };
  },
};

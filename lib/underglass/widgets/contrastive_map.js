// The similarities of a batch of pairs, and what InfoNCE makes of them at any temperature.
// Joined after shared.js (see frame.py). The formulas are those of underglass.losses.info_nce.

const VIEWS = { similarity: "Similarity", probabilities: "Probabilities", pull: "Pull" };
const SAYS = {
  similarity: "Cosine of every text of a (rows) with every text of b (columns). Those that belong together lie on the diagonal.",
  probabilities: { rows: "Each row adds up to 1: which b belongs to this a? What the loss asks for is a 1 on the diagonal.",
    columns: "Each column adds up to 1: which a belongs to this b? What the loss asks for is a 1 on the diagonal." },
  mistaken: { rows: "The negatives of each row add up to 1; its positive, on the diagonal, is not part of the sum.",
    columns: "The negatives of each column add up to 1; its positive, on the diagonal, is not part of the sum." },
  pull: "∂loss/∂s of each pair, both directions together: the loss pulls together where it is negative, and pushes apart where it is positive.",
};
const COLOURS = 100; // steps of a scale, on either side of zero
const TOP = 30, FOOT = 88, BARS = 58; // room around the cells: numbers of columns, their losses and the scale, losses of rows
const LABELS = 112, SHORT = 12, READABLE = 11; // pixels for the beginning of a text, its letters, and the lowest row that has one
const SWATCHES = 41;
const MISTAKE = "The positive is missing from the sum, so that the diagonal is no probability: it can be above 1, and the loss below 0. It has no lower end.";

const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

/** float64 [sets, size, size], as packed by Python. @param {DataView} view @param {number} sets */
function unpack(view, sets) {
  const numbers = Array.from({ length: view.byteLength / 8 }, (_, i) => view.getFloat64(8 * i, true));
  return Array.from({ length: sets }, (_, k) => numbers.slice((k * numbers.length) / sets, ((k + 1) * numbers.length) / sets));
}

/**
 * What the loss sees along the rows (`step` 1) or the columns (`step` size): the share of each
 * entry in the sum of its line, and -log of the share of the line's own partner.
 * @param {boolean} leave whether the partner is left out of the sum, which is the mistake
 */
function look(s, size, temperature, along, leave) {
  const shares = new Float64Array(size * size), losses = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const at = along === "rows" ? (j) => i * size + j : (j) => j * size + i;
    let top = -Infinity, total = 0; // the largest is taken off, so that no power overflows
    for (let j = 0; j < size; j++) if (!leave || j !== i) top = Math.max(top, s[at(j)]);
    for (let j = 0; j < size; j++) {
      shares[at(j)] = Math.exp((s[at(j)] - top) / temperature);
      if (!leave || j !== i) total += shares[at(j)];
    }
    for (let j = 0; j < size; j++) shares[at(j)] /= total;
    losses[i] = (top - s[at(i)]) / temperature + Math.log(total);
  }
  return { shares, losses };
}

/** Loss, gradient and retrieval of a matrix of similarities. @param {number[]} s row after row */
function contrast(s, size, temperature, leave) {
  const rows = look(s, size, temperature, "rows", leave), columns = look(s, size, temperature, "columns", leave);
  const mean = (list) => list.reduce((a, b) => a + b, 0) / size, pull = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      const at = i * size + j, sum = i !== j ? rows.shares[at] + columns.shares[at] : leave ? -2 : rows.shares[at] + columns.shares[at] - 2;
      pull[at] = sum / (2 * size * temperature);
    }
  }
  const found = (at) => Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => j === i || s[at(i, j)] < s[at(i, i)]).every(Boolean));
  const [a, b] = [mean(rows.losses), mean(columns.losses)];
  return { rows, columns, pull, a, b, loss: (a + b) / 2,
    foundRows: found((i, j) => i * size + j), foundColumns: found((i, j) => j * size + i) };
}

/** 0.1234; what is not nothing but rounds to it as 3e−7. */
function show(number, digits = 4) {
  const size = Math.abs(number);
  if (size >= 1e5 || (size > 0 && size < 0.5 * 10 ** -digits)) return number.toExponential(size < 1 ? 0 : 2).replaceAll("-", "−");
  return format(number, digits);
}
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.01 ? 1 : 0)}\u00a0%`;
const label = (text) => (text.trim() === "" ? "␣" : text);
const shorter = (text, most) => ([...text].length > most ? `${[...text].slice(0, most - 1).join("").trimEnd()}…` : text);

/** What the loss does with a pair, in words. `strength`: its share of the largest pull there can be. */
function verdict(own, strength) {
  const size = Math.abs(strength);
  if (own) {
    if (size < 0.02) return "These two belong together, and the loss hardly pulls any more: each finds the other.";
    return `These two belong together: the loss pulls them together${size > 0.5 ? ", hard" : ""}.`;
  }
  if (size < 0.005) return "These two do not belong together, and the loss hardly pushes: nobody takes the one for the other’s partner.";
  return `These two do not belong together: the loss pushes them apart${size > 0.25 ? ", hard" : ""}.`;
}

/** Write a number where it is read, and all its digits beside it. */
function put(node, number, digits) {
  const text = show(number, digits);
  if (node.textContent !== text) node.textContent = text;
  node.dataset.value = String(number);
}

const write = (x, y, text, name = "", anchor = "start") => s("text", { x, y, class: name, "text-anchor": anchor, style: "unicode-bidi: isolate" }, text);

export default {
  render({ model, el }) {
    const get = (name) => model.get(name);
    const save = (changes) => { model.set(changes); model.save_changes(); };
    const names = get("_names"), [left, right] = get("_labels").map((texts) => texts.map(label)), size = left.length;
    const tables = unpack(get("_similarities"), names.length);
    let width = 440, plan = null, hover = null, result = null, spoken = 0, known = null, fills = {};

    // ------------------------------------------------------------ controls
    const choices = (about, trait, options) => {
      const buttons = options.map(([value, text]) => h("button", { type: "button", "data-choice": value, onclick() { save({ [trait]: value }); } }, isolate(text)));
      const set = () => { for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.choice === get(trait))); };
      return { element: h("div", { role: "group", class: "choices", "aria-label": about }, buttons), set };
    };
    const sets = choices("embeddings", "shown", names.map((name) => [name, name]));
    const views = choices("what the colours show", "view", Object.entries(VIEWS));
    const directions = choices("who looks for whom", "direction", [["rows", "a looks for b"], ["columns", "b looks for a"]]);
    const heat = slider("temperature T", { min: -2, max: Math.log10(2), step: 0.01, value: 0, show: (x) => format(10 ** x, 3), oninput: (x) => save({ temperature: Number((10 ** x).toPrecision(3)) }) });
    const leave = h("input", { type: "checkbox", onchange() { save({ leave_out: leave.checked }); } });
    if (size < 2) leave.disabled = true;

    // ------------------------------------------------------------ the matrix and the words beside it
    const ground = s("g", { "aria-hidden": "true" }), cells = s("g", {}), marks = s("g", {});
    const matrix = s("g", { tabindex: 0, role: "application", "aria-roledescription": "matrix", class: "matrix" }, cells, marks);
    const bars = s("g", { "aria-hidden": "true" }), key = s("g", { "aria-hidden": "true" });
    const svg = s("svg", { role: "group", "aria-label": "Contrastive map", class: "plot" }, ground, bars, key, matrix);
    const said = (kind) => h("b", { "data-number": kind });
    const totals = { loss: said("loss"), a: said("loss-a"), b: said("loss-b"), none: said("none") };
    const retrieval = { a: said("found-a"), b: said("found-b") };
    const numbers = { similarity: said("similarity"), probability: said("probability"), pull: said("pull"), line: said("line") };
    const texts = { row: h("p", { class: "verse" }), column: h("p", { class: "verse" }) };
    const caption = h("p", { class: "says" }), wrong = h("p", { class: "wrong" }), probabilityName = h("dt", {}), lineName = h("dt", {}), words = h("p", { class: "words" }), hardest = h("p", { class: "words" });
    const row = (name, value) => [typeof name === "string" ? h("dt", {}, name) : name, h("dd", {}, value)];
    const chance = h("span", {}), visit = (text, where) => h("button", { type: "button", onclick() { const to = where(); if (to) save(to); } }, text);
    const panel = h("div", { class: "panel" },
      h("p", { class: "main" }, "loss ", totals.loss), h("p", {}, "the mean of a looks for b, ", totals.a, ", and b looks for a, ", totals.b, ". Where nothing is told apart it is ", chance, " = ", totals.none, "."),
      wrong, h("p", {}, "a finds its b: ", retrieval.a, h("br"), "b finds its a: ", retrieval.b),
      h("div", { class: "pair" }, texts.row, texts.column), h("dl", {}, row("similarity s", numbers.similarity), row(probabilityName, numbers.probability), row("pull ∂loss/∂s", numbers.pull), row(lineName, numbers.line)),
      words, hardest, h("div", { class: "ug-bar" }, visit("Partner", () => partner()), visit("Hardest negative", () => hardestOf(...line())?.cell)));
    const status = h("div", { class: "ug-hidden", role: "status" });
    const place = h("div", { class: "place" }, svg);
    const view = h("div", { class: "ug ug-contrast" }, h("h4", { class: "ug-title" }, "A batch of pairs, as a contrastive loss sees it"),
      h("p", { class: "ug-caption" }, "Point at a cell to read it, click to keep it; arrow keys move. Then lower the temperature."),
      h("div", { class: "ug-bar" }, names.length > 1 ? sets.element : null, views.element, directions.element),
      h("div", { class: "ug-bar" }, heat.element, h("label", {}, leave, "leave the positive out of the denominator (a mistake)")), caption,
      h("div", { class: "both" }, place, panel), h("div", { class: "ug-bar" },
        h("button", { type: "button", onclick: () => save({ ...get("_start") }) }, "Reset"), saveButton(picture, "contrastive-map")), status);
    el.append(view);

    // ------------------------------------------------------------ drawing
    /** The scale of a view as strings, made once for a theme. */
    const colours = () => {
      const signed = signedScale(view), share = weightScale(view), range = Array.from({ length: 2 * COLOURS + 1 }, (_, i) => i / COLOURS - 1);
      fills = { signed: range.map((v) => signed(v)), share: range.map((v) => share(Math.max(0, v))) };
    };

    function layout() {
      const fits = (from) => Math.min(54, (width - from - BARS) / size), told = left.some((text, i) => text !== `a${i + 1}`), short = left.every((text) => [...text].length <= SHORT);
      const words = told && (short || width >= 430) && fits(LABELS) >= READABLE, from = words ? LABELS : 30, cell = fits(from);
      const side = cell * size, height = TOP + side + FOOT, every = cell >= READABLE ? 1 : Math.ceil(2 * READABLE / cell);
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      const at = (i) => i * cell, shapes = [];
      for (let i = 0; i < size; i += every) {
        const number = String(i + 1), middle = at(i) + cell / 2 + 4;
        shapes.push(write(from + at(i) + cell / 2, TOP - 5, number, "tick", "middle"), write(from - 5, TOP + middle, number, "tick", "end"));
        if (words) shapes.push(write(2, TOP + middle, shorter(left[i], SHORT), "tick word"));
      }
      shapes.push(write(from + side / 2, TOP - 18, "b →", "tick", "middle"), write(from - 5, TOP - 5, "a ↓", "tick", "end"),
        write(from + side + 6, TOP - 5, "loss", "tick"), write(from - 5, TOP + side + 16, "loss", "tick", "end"));
      ground.replaceChildren(...shapes);
      const rects = [], digits = [];
      for (let i = 0; i < size * size; i++) {
        const [x, y] = [from + at(i % size), TOP + at(Math.floor(i / size))];
        rects.push(s("rect", { x, y, width: cell - (cell > 16 ? 1 : 0.4), height: cell - (cell > 16 ? 1 : 0.4) }));
        if (cell >= 34) digits.push(write(x + cell / 2, y + cell / 2 + 4, "", "digit", "middle"));
      }
      cells.replaceChildren(...rects, ...digits);
      plan = { from, cell, side, at, rects, digits, drawn: [] };
    }

    /** The cell at a place of the screen. */
    function locate(event) {
      const box = svg.getBoundingClientRect(), unit = width / box.width;
      const [x, y] = [(event.clientX - box.left) * unit - plan.from, (event.clientY - box.top) * unit - TOP];
      const [column, row] = [Math.floor(x / plan.cell), Math.floor(y / plan.cell)];
      return row >= 0 && column >= 0 && row < size && column < size ? { row, column } : null;
    }
    matrix.addEventListener("pointermove", (event) => { hover = locate(event); tell(); });
    matrix.addEventListener("pointerleave", () => { hover = null; tell(); });
    matrix.addEventListener("click", (event) => {
      const there = locate(event);
      if (there) save(there);
    });
    matrix.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -size], End: [0, size], PageUp: [-size, 0], PageDown: [size, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      hover = null;
      save({ row: clamp(get("row") + step[0], 0, size - 1), column: clamp(get("column") + step[1], 0, size - 1) });
    });

    function draw() {
      const s0 = tables[Math.max(0, names.indexOf(get("shown")))], temperature = get("temperature"), direction = get("direction");
      result = { s: s0, ...contrast(s0, size, temperature, get("leave_out")) };
      result.line = result[direction];
      const kind = get("view"), values = { similarity: s0, probabilities: result.line.shares, pull: result.pull }[kind];
      const most = kind === "pull" ? Math.max(...values.map(Math.abs)) || 1 : 1, scale = fills[kind === "probabilities" ? "share" : "signed"];
      for (let i = 0; i < values.length; i++) {
        const colour = scale[COLOURS + Math.round(COLOURS * clamp(values[i] / most, -1, 1))];
        if (plan.drawn[i] !== colour) plan.rects[i].setAttribute("fill", css((plan.drawn[i] = colour)));
        if (plan.digits.length) {
          plan.digits[i].textContent = Math.abs(values[i]) < 1000 ? format(values[i], 2) : show(values[i], 2);
          plan.digits[i].style.fill = inkOn(colour);
        }
      }
      drawBars();
      drawScale(kind, most, scale);
      for (const one of [sets, views, directions]) one.set();
      heat.set(Math.log10(temperature));
      leave.checked = get("leave_out");
      caption.textContent = kind === "probabilities" ? SAYS[get("leave_out") ? "mistaken" : kind][direction] : SAYS[kind];
      wrong.textContent = get("leave_out") ? MISTAKE : "";
      chance.textContent = `log ${get("leave_out") ? size - 1 : size}`;
      put(totals.loss, result.loss);
      put(totals.a, result.a);
      put(totals.b, result.b);
      put(totals.none, Math.log(get("leave_out") ? size - 1 : size));
      for (const [side, found] of [["a", result.foundRows], ["b", result.foundColumns]]) {
        const count = found.filter(Boolean).length;
        retrieval[side].textContent = `${count} of ${size}, ${percent(count / size)}`;
        retrieval[side].dataset.value = String(count / size);
      }
      tell();
    }

    /** The loss of each row and column, as bars beside them. */
    function drawBars() {
      const { from, cell, side, at } = plan, most = Math.max(...result.rows.losses, ...result.columns.losses, 0.1);
      const shapes = [], thick = Math.max(1, cell * 0.7), room = BARS - 34, tall = 28;
      for (let i = 0; i < size; i++) {
        const [a, b] = [result.rows.losses[i], result.columns.losses[i]].map((loss) => Math.max(0, loss) / most);
        shapes.push(s("rect", { x: from + side + 4, y: TOP + at(i) + (cell - thick) / 2, width: a * room, height: thick, class: "bar" }),
          s("rect", { x: from + at(i) + (cell - thick) / 2, y: TOP + side + 4, width: thick, height: b * tall, class: "bar" }));
        if (cell >= READABLE) shapes.push(write(from + side + 6 + a * room, TOP + at(i) + cell / 2 + 4, format(result.rows.losses[i], 2), "tick"));
      }
      bars.replaceChildren(...shapes);
    }

    /** What the colours mean. */
    function drawScale(kind, most, scale) {
      const { from, side } = plan, y = TOP + side + 46, wide = Math.max(side, 150), low = kind === "probabilities" ? 0 : -1, shapes = [];
      for (let i = 0; i < SWATCHES; i++) {
        const value = low + ((1 - low) * i) / (SWATCHES - 1);
        shapes.push(s("rect", { x: from + (i * wide) / SWATCHES, y, width: wide / SWATCHES + 0.3, height: 9, fill: css(scale[COLOURS + Math.round(COLOURS * value)]) }));
      }
      const [start, end] = kind === "pull" ? ["pulled together", "pushed apart"] : ["", ""];
      shapes.push(s("rect", { x: from, y, width: wide, height: 9, class: "frame" }), write(from, y + 22, show(low * most, 2), "tick"), write(from + wide, y + 22, show(most, 2), "tick", "end"),
        write(from, y + 34, start, "tick"), write(from + wide, y + 34, end, "tick", "end"));
      if (low < 0) shapes.push(write(from + wide / 2, y + 22, "0", "tick", "middle"));
      key.replaceChildren(...shapes);
    }

    const here = () => hover ?? { row: get("row"), column: get("column") };
    /** The row or column that looks for its partner, and whether it is a row. */
    const line = () => (get("direction") === "rows" ? [here().row, true] : [here().column, false]);
    const partner = () => ({ row: line()[0], column: line()[0] });

    /** The cell that is pointed at, or else the one that is kept. */
    function tell() {
      const { row, column } = here(), at = row * size + column, own = row === column, [i, rows] = line(), { from, cell, side } = plan;
      const name = (side, i) => `${side}${i + 1}`, similarity = result.s[at], share = result.line.shares[at], pull = result.pull[at];
      const verse = (node, said, text) => node.replaceChildren(h("strong", {}, said), ...(text === said ? [] : [" ", isolate(text)]));
      verse(texts.row, name("a", row), left[row]);
      verse(texts.column, name("b", column), right[column]);
      put(numbers.similarity, similarity);
      put(numbers.probability, share);
      put(numbers.pull, pull);
      put(numbers.line, result.line.losses[i]);
      const [found, looking] = rows ? [name("b", column), name("a", row)] : [name("a", row), name("b", column)];
      probabilityName.textContent = `${get("leave_out") ? "ratio" : "probability"} of ${found} for ${looking}`;
      lineName.textContent = `loss of ${name(rows ? "a" : "b", i)}`;
      words.textContent = `${verdict(own, pull * size * get("temperature"))} A similarity higher by 0.01 changes the loss by about ${show(pull / 100, 5)}.`;
      const other = hardestOf(i, rows);
      hardest.textContent = other ? `The hardest negative of ${name(rows ? "a" : "b", i)} is ${name(rows ? "b" : "a", other.index)} (similarity ${format(result.s[other.at])}): it takes ${percent(other.share)} of the push on the negatives.` : "There is no other to tell it apart from.";
      const box = (x, y, w, high, kind) => s("rect", { x: from + x, y: TOP + y, width: w, height: high, class: kind, "stroke-dasharray": kind === "hardest" ? "3 2" : null });
      marks.replaceChildren(box(0, row * cell, side, cell, "band"), box(column * cell, 0, cell, side, "band"),
        ...(other ? [box((other.at % size) * cell, Math.floor(other.at / size) * cell, cell, cell, "hardest")] : []),
        box(column * cell - 1, row * cell - 1, cell + 1, cell + 1, "halo"), box(column * cell - 1, row * cell - 1, cell + 1, cell + 1, "edge"));
      const told = `Row ${name("a", row)}, column ${name("b", column)}: similarity ${show(similarity)}, probability ${show(share)}, pull ${show(pull)}`;
      matrix.setAttribute("aria-label", `${told}. Arrow keys move.`);
      clearTimeout(spoken);
      const sentence = `${told}. ${left[row]}; ${right[column]}. Loss ${show(result.loss)}.`;
      known ??= sentence; // what is there from the start is not news
      if (!hover && sentence !== known) spoken = setTimeout(() => { status.textContent = known = sentence; }, 500); // once the reader pauses
    }

    /** Among those that do not belong to this row (or column), the most similar, and its share of the push. */
    function hardestOf(i, rows) {
      const at = (k) => (rows ? i * size + k : k * size + i), others = Array.from({ length: size }, (_, k) => k).filter((k) => k !== i);
      if (!others.length) return null;
      const index = others.reduce((best, k) => (result.s[at(k)] > result.s[at(best)] ? k : best));
      const all = others.reduce((total, k) => total + Math.exp((result.s[at(k)] - result.s[at(index)]) / get("temperature")), 0);
      return { index, at: at(index), share: 1 / all, cell: rows ? { row: i, column: index } : { row: index, column: i } };
    }

    /** The matrix with a line that says what it shows. */
    function picture() {
      const copy = /** @type {SVGElement} */ (svg.cloneNode(true)), [, , wide, high] = (svg.getAttribute("viewBox") ?? "").split(" ").map(Number);
      copy.setAttribute("viewBox", `0 -22 ${wide} ${high + 22}`);
      copy.append(write(2, -8, [names.length > 1 ? get("shown") : "", VIEWS[get("view")].toLowerCase(), `T = ${show(get("temperature"), 3)}`, `loss ${show(result.loss)}`].filter(Boolean).join(", "), "heading"));
      return copy;
    }

    const recolour = () => { colours(); plan.drawn = []; draw(); };
    const resized = new ResizeObserver(() => {
      if (!view.isConnected || !place.clientWidth) return;
      width = Math.round(clamp(place.clientWidth, 260, 620));
      layout();
      recolour();
    });
    resized.observe(place);
    const stops = [
      follow(model, ["temperature", "view", "direction", "shown", "leave_out"], draw),
      follow(model, ["row", "column"], tell),
      onTheme(recolour), () => resized.disconnect(), () => clearTimeout(spoken),
    ];
    layout();
    recolour();
    return () => { for (const stop of stops) stop(); };
  },
};

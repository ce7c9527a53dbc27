// Attention: every head as a small picture, one of them enlarged, one token followed.
// AttentionView is this drawing and nothing else; other widgets have it among what they show.
// Layers, heads and tokens are counted from 0, as in Python.
//
// Attention   one sentence: its weights, their means, their roll-out
// HeadGrid    the small pictures
// Lines       two columns of tokens and the lines between them
// Matrix      the same weights as a matrix
// drawAttention  joins them to a model; picture() draws them once more, as SVG

/** @typedef {{ mode: string, layer: number, head: number }} Choice  which matrix is enlarged */
/** @typedef {{ side: string, token: number, other?: number }} Followed  a token, and perhaps a cell */

const FAINT = 0.005; // reads 0.00 with two digits
const LONG = 40; // tokens; above this the matrix takes the whole width, and lines are set closer
const LEVELS = 256; // of the colour scale
const QUICK = 2e5; // weights: their means and roll-out take a few milliseconds

/** How strongly a weight is drawn. The root keeps small weights visible: 0.01 is drawn as 0.1. */
const strength = (weight) => Math.sqrt(Math.min(1, weight));
const level = (weight) => Math.round(strength(weight) * (LEVELS - 1));
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const ratio = () => Math.min(3, window.devicePixelRatio || 1);

/** A token as it can be shown: what has no shape of its own, or would turn its neighbours, gets a sign. */
function shown(token) {
  const text = (token.toWellFormed?.() ?? token)
    .replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length))
    .replace(/\n/g, "↵").replace(/\t/g, "⇥")
    .replace(/[\u0000-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]/g, "\ufffd");
  return text || "∅";
}

/** At most `length` characters. */
function short(text, length = 14) {
  const characters = [...text];
  return characters.length > length ? characters.slice(0, length - 1).join("") + "…" : text;
}

// ---------------------------------------------------------------- numbers

class Attention {
  /** @param {DataView} packed  @param {{ shape: number[], tokens: string[], key_tokens: string[]|null }} sentence */
  constructor(packed, { shape, tokens, key_tokens }) {
    [this.layers, this.heads, this.rows, this.columns] = shape;
    this.from = tokens.map(shown);
    this.to = key_tokens ? key_tokens.map(shown) : this.from;
    this.isSelf = !key_tokens;
    this.weights = unpackWeights(packed);
    this.kept = new Map(); // means and roll-outs, computed when first asked for
  }

  /** The matrix that a choice stands for, row after row. @param {Choice} choice */
  matrix({ mode, layer, head }) {
    const size = this.rows * this.columns;
    if (mode === "head") return this.weights.subarray((layer * this.heads + head) * size).subarray(0, size);
    const key = mode === "all" ? mode : `${mode} ${layer}`;
    if (!this.kept.has(key)) {
      if (mode === "layer") this.kept.set(key, mean(range(this.heads).map((h) => this.matrix({ mode: "head", layer, head: h }))));
      else if (mode === "all") this.kept.set(key, mean(range(this.layers).map((l) => this.matrix({ mode: "layer", layer: l, head }))));
      else this.kept.set(key, this.rollout(layer));
    }
    return this.kept.get(key);
  }

  /** Abnar and Zuidema (2020): (mean over heads + I) / 2, rows summing to 1, multiplied over layers 0 to `layer`. */
  rollout(layer) {
    const n = this.rows, step = this.matrix({ mode: "layer", layer, head: 0 }).slice();
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += step[i * n + j] = (step[i * n + j] + (i === j ? 1 : 0)) / 2;
      for (let j = 0; j < n; j++) step[i * n + j] /= sum;
    }
    return layer === 0 ? step : product(step, this.matrix({ mode: "rollout", layer: layer - 1, head: 0 }), n);
  }

  /** The weights of a followed token: [position on the other side, weight] in order. @param {Followed} followed */
  weightsOf(matrix, { side, token }) {
    return side === "from"
      ? Array.from(matrix.subarray(token * this.columns, (token + 1) * this.columns))
      : range(this.rows).map((i) => matrix[i * this.columns + token]);
  }

  length(side) { return side === "from" ? this.rows : this.columns; }
  tokens(side) { return side === "from" ? this.from : this.to; }
}

const range = (n) => Array.from({ length: n }, (_, i) => i);

function mean(matrices) {
  const sum = new Float32Array(matrices[0].length);
  for (const matrix of matrices) for (let i = 0; i < sum.length; i++) sum[i] += matrix[i];
  return sum.map((x) => x / matrices.length);
}

/** left · right, both n by n, in the order that walks along the rows of `right`, as they lie in memory. */
function product(left, right, n) {
  const out = new Float32Array(n * n);
  for (let i = 0; i < n; i++)
    for (let k = 0; k < n; k++) {
      const factor = left[i * n + k];
      if (factor) for (let j = 0; j < n; j++) out[i * n + j] += factor * right[k * n + j];
    }
  return out;
}

/** A matrix made smaller, each pixel the largest weight under it, so that a thin diagonal stays visible. */
function pooled(matrix, rows, columns, most) {
  const height = Math.min(rows, most), width = Math.min(columns, most);
  const largest = new Float32Array(height * width);
  for (let i = 0; i < rows; i++) {
    const line = Math.floor((i * height) / rows) * width;
    for (let j = 0; j < columns; j++) {
      const at = line + Math.floor((j * width) / columns), weight = matrix[i * columns + j];
      if (weight > largest[at]) largest[at] = weight;
    }
  }
  return { weights: largest, height, width };
}

// ---------------------------------------------------------------- colours and canvases

/** The theme's colours, ready for canvases. */
function palette(root) {
  const scale = weightScale(root), colours = range(LEVELS).map((i) => scale(i / (LEVELS - 1)));
  const pixels = new Uint32Array(LEVELS);
  const bytes = new Uint8ClampedArray(pixels.buffer);
  colours.forEach((colour, i) => bytes.set([...colour, 255], 4 * i));
  const [ink, soft, line, accent, warm, back] = ["ink", "soft", "line", "accent", "warm", "bg"].map((name) => variable(root, `--ug-${name}`));
  const fills = colours.map(css), dress = colours.map((colour, i) => `background: ${fills[i]}; color: ${inkOn(colour)}`);
  return { pixels, fills, dress, ink, soft, line, accent, warm, back };
}

const scratch = () => document.createElement("canvas").getContext("2d");

/** Weights as pixels, one each, on a canvas of their own. */
function pixelsOf(context, weights, width, height, colours) {
  context.canvas.width = width;
  context.canvas.height = height;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colours.pixels[level(weights[i])];
  context.putImageData(image, 0, 0);
  return context.canvas;
}

/** Give a canvas its size in CSS pixels; drawing is in CSS pixels from here on. */
function sized(canvas, width, height) {
  const dense = Math.min(ratio(), 8192 / Math.max(width, height)); // browsers refuse larger canvases
  canvas.width = Math.round(width * dense);
  canvas.height = Math.round(height * dense);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(dense, 0, 0, dense, 0, 0);
  context.imageSmoothingEnabled = false;
  return context;
}

// ---------------------------------------------------------------- the grid of heads

class HeadGrid {
  /** @param {Attention} attention  @param {(choice: Choice) => void} pick  @param {string} label; without one the grid is for the pointer only */
  constructor(attention, pick, label) {
    this.attention = attention;
    this.pick = pick;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.scratch = scratch();
    this.cells = this.arrange();
    this.table = h("div", label ? { role: "grid", "aria-label": label } : { "aria-hidden": "true" },
      this.header(), h("div", { class: "av-rows", role: "presentation" }, this.canvas, this.cells.map((row, i) => this.row(row, i))));
    this.table.addEventListener("keydown", (event) => this.key(event));
    this.element = h("div", { class: "av-grid" }, h("div", { class: "av-across", "aria-hidden": "true" }, "head →"),
      h("div", { class: "av-down", "aria-hidden": "true" }, "← layer"), this.table);
  }

  /** One cell for each layer and head, then the means and the roll-out in columns of their own. */
  arrange() {
    const { layers, heads, isSelf } = this.attention;
    this.extras = isSelf ? ["mean", "roll-out"] : ["mean"];
    const cells = range(layers).map((layer) => [
      ...range(heads).map((head) => ({ mode: "head", layer, head })),
      ...this.extras.map((name) => ({ mode: name === "mean" ? "layer" : "rollout", layer, head: 0 })),
    ].map((choice) => this.cell(choice)));
    if (layers > 1)
      cells.push(range(heads).map(() => null).concat(this.cell({ mode: "all", layer: 0, head: 0 })));
    return cells;
  }

  cell(choice) {
    const name = nameOf(choice);
    const element = h("div", { role: "gridcell", tabindex: "-1", "aria-label": name, title: name, class: "av-cell",
      onclick: () => this.pick(choice) });
    return { choice, element };
  }

  /** A row of cells; the means stand a little apart. */
  row(cells, layer) {
    const { heads, layers } = this.attention, elements = cells.map((cell) => cell?.element);
    const before = layer < layers
      ? [h("span", { role: "rowheader", class: "av-side" }, String(layer)), ...elements.slice(0, heads)]
      : [h("span"), h("span", { role: "rowheader", class: "av-side", style: `grid-column: span ${heads}` }, "mean over all layers →")];
    return h("div", { role: "row", class: "av-row" }, before, h("span"), elements.slice(heads));
  }

  header() {
    const { heads } = this.attention;
    const name = (text, i) => h("span", { role: "columnheader", class: i < heads ? "" : "av-extra" }, text);
    this.names = [...range(heads).map(String), ...this.extras];
    const names = this.names.map(name);
    return h("div", { class: "av-row av-top", role: "row" }, h("span"), names.slice(0, heads), h("span"), names.slice(heads));
  }

  /** The square of each picture follows the width there is. */
  layout() {
    const side = 20, gap = 10, columns = this.names.length;
    const space = this.element.parentElement.clientWidth - 22; // beside the word "layer"
    this.pitch = clamp(Math.floor((space - side - gap) / columns), 18, 46);
    this.left = (column) => column * this.pitch + (column >= this.attention.heads ? gap : 0);
    const template = `${side}px repeat(${this.attention.heads}, ${this.pitch}px) ${gap}px repeat(${this.extras.length}, ${this.pitch}px)`;
    this.element.style.setProperty("--columns", template);
    this.element.style.setProperty("--pitch", `${this.pitch}px`);
    this.element.classList.toggle("av-narrow", this.pitch < 44);
    this.context = sized(this.canvas, this.left(columns - 1) + this.pitch, this.cells.length * this.pitch);
  }

  /** Draw the heads now; the means and the roll-out of many weights are left to idle moments. */
  paint(colours) {
    const all = this.cells.flatMap((row, i) => row.map((cell, j) => cell && { ...cell, row: i, column: j })).filter(Boolean);
    this.stop?.();
    const light = this.attention.weights.length < QUICK;
    const later = all.filter((cell) => {
      const now = light || cell.choice.mode === "head";
      if (now) this.paintCell(cell, colours);
      return !now;
    });
    if (!later.length) return;
    let handle = 0;
    const wait = window.requestIdleCallback ?? ((work) => setTimeout(work, 1)); // Safari has none
    const work = (deadline) => {
      do if (later.length) this.paintCell(later.shift(), colours);
      while (later.length && deadline?.timeRemaining() > 4);
      if (later.length) handle = wait(work, { timeout: 100 });
    };
    handle = wait(work, { timeout: 100 });
    this.stop = () => (window.cancelIdleCallback ?? clearTimeout)(handle);
  }

  paintCell({ choice, row, column }, colours) {
    const { rows, columns } = this.attention, size = this.pitch - 3;
    const small = pooled(this.attention.matrix(choice), rows, columns, Math.round(size * ratio()));
    pixelsOf(this.scratch, small.weights, small.width, small.height, colours);
    const [x, y] = [this.left(column) + 1.5, row * this.pitch + 1.5];
    this.context.clearRect(x, y, size, size);
    this.context.drawImage(this.scratch.canvas, x, y, size, size);
    this.context.strokeStyle = colours.line;
    this.context.lineWidth = 1;
    this.context.strokeRect(x, y, size, size);
  }

  /** Mark what is enlarged. @param {Choice} choice */
  select(choice) {
    for (const row of this.cells) for (const cell of row) {
      if (!cell) continue;
      const is = same(cell.choice, choice);
      if (cell.selected === is) continue;
      cell.selected = is;
      cell.element.setAttribute("aria-selected", String(is));
      cell.element.tabIndex = is && this.table.role === "grid" ? 0 : -1;
    }
  }

  key(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -Infinity], End: [0, Infinity] }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook moves between its cells with the same keys
    const row = this.cells.findIndex((cells) => cells.some((cell) => cell?.selected));
    const column = this.cells[row].findIndex((cell) => cell?.selected);
    const line = this.cells[clamp(row + step[0], 0, this.cells.length - 1)];
    const next = line[clamp(column + step[1], line.findIndex(Boolean), line.length - 1)];
    if (!next) return;
    next.element.focus({ preventScroll: true }); // before anything changes: the browser lays out the page for it
    this.pick(next.choice);
  }
}

/** Whether two choices show one matrix. @param {Choice} a @param {Choice} b */
const same = (a, b) => a.mode === b.mode && (a.mode === "all" || a.layer === b.layer) && (a.mode !== "head" || a.head === b.head);

/** @param {Choice} choice */
function nameOf({ mode, layer, head }, separator = ", ") {
  if (mode === "head") return `layer ${layer}${separator}head ${head}`;
  if (mode === "layer") return `layer ${layer}${separator}mean over heads`;
  return mode === "all" ? `mean over all layers and heads` : `roll-out${separator}${layer ? `layers 0 to ${layer}` : "layer 0"}`;
}

/** @param {Choice} choice */
function explained({ mode, layer }) {
  if (mode === "head") return "Each row sums to 1: how much one token takes from every token.";
  if (mode === "layer") return "What the heads of this layer do on average.";
  if (mode === "all") return "What all heads of all layers do on average.";
  return `How much of each input token reaches each position after ${layer ? `layers 0 to ${layer}` : "layer 0"}: half of every step is attention, ` +
    "half stays in place, and the steps are multiplied (Abnar and Zuidema, 2020).";
}

// ---------------------------------------------------------------- lines between tokens

class Lines {
  /** @param {Attention} attention @param {{ hover: Function, pin: Function, say: string }} act */
  constructor(attention, act) {
    this.attention = attention;
    this.act = act;
    this.all = h("canvas", { "aria-hidden": "true" });
    this.one = h("canvas", { "aria-hidden": "true" });
    this.lists = { from: this.list("from"), to: this.list("to") };
    this.element = h("div", { class: "av-lines ug-scroll" },
      h("div", { class: "av-heads", "aria-hidden": "true" }, h("span", {}, "from (query)"), h("span"), h("span", {}, "to (key)")),
      h("div", { class: "av-between" }, this.lists.from.element, h("div", { class: "av-strands" }, this.all, this.one), this.lists.to.element));
    this.element.addEventListener("pointerleave", () => act.hover(null));
    this.element.addEventListener("keydown", (event) => this.key(event));
  }

  list(side) {
    const title = side === "from" ? "from (query)" : "to (key)";
    const items = this.attention.tokens(side).map((text, token) => {
      const number = document.createTextNode("");
      const element = h("li", { role: "option", tabindex: "-1", "aria-selected": "false", title: text,
        onpointerenter: () => this.act.hover({ side, token }),
        onclick: () => this.act.pin({ side, token }),
        onfocus: () => !this.moving && element.matches(":focus-visible") && this.act.hover({ side, token }),
        onblur: () => !this.moving && this.act.hover(null),
      }, isolate(text), " ", h("span", { class: "av-number" }, number));
      return { element, number, tab: false, chosen: false };
    });
    const element = h("ul", { role: "listbox", "aria-label": `${title}${this.act.say}`, class: `av-list av-${side}` }, items.map((item) => item.element));
    return { element, items };
  }

  layout() {
    const { rows, columns } = this.attention;
    this.step = Math.max(rows, columns) > LONG ? 18 : 24;
    this.element.style.setProperty("--step", `${this.step}px`);
    this.width = clamp(this.all.parentElement.clientWidth, 40, 400);
    this.height = Math.max(rows, columns) * this.step;
    this.contexts = [this.all, this.one].map((canvas) => sized(canvas, this.width, this.height));
  }

  /** All lines of a matrix. Lines of about the same weight are one path: 16 strokes in place of thousands. */
  paint(matrix, colours) {
    const { columns } = this.attention, context = this.contexts[0], paths = range(16).map(() => new Path2D());
    context.clearRect(0, 0, this.width, this.height);
    matrix.forEach((weight, at) => {
      if (weight >= FAINT) this.strand(paths[Math.min(15, Math.floor(strength(weight) * 16))], Math.floor(at / columns), at % columns);
    });
    const crowd = clamp(24 / columns, 0.3, 1); // many lines over each other would hide the strong ones
    paths.forEach((path, i) => this.stroke(context, path, ((i + 0.5) / 16) ** 2, colours, crowd));
  }

  strand(path, row, column) {
    const [y, end] = [(row + 0.5) * this.step, (column + 0.5) * this.step];
    path.moveTo(0, y);
    path.bezierCurveTo(this.width * 0.4, y, this.width * 0.6, end, this.width, end);
  }

  stroke(context, path, weight, colours, crowd = 1) {
    context.strokeStyle = colours.accent;
    context.globalAlpha = strength(weight) * crowd;
    context.lineWidth = thickness(weight);
    context.stroke(path);
  }

  /** The lines and numbers of one token. @param {Followed|null} followed */
  follow(followed, weights, colours) {
    const context = this.contexts[1];
    context.clearRect(0, 0, this.width, this.height);
    this.element.classList.toggle("av-following", Boolean(followed));
    weights?.forEach((weight, other) => {
      if (weight < FAINT) return;
      const path = new Path2D();
      this.strand(path, ...(followed.side === "from" ? [followed.token, other] : [other, followed.token]));
      this.stroke(context, path, weight, colours);
    });
    for (const side of ["from", "to"]) this.label(side, followed, weights, colours);
  }

  label(side, followed, weights, colours) {
    this.lists[side].items.forEach((item, i) => {
      const weight = followed && side !== followed.side ? weights[i] : undefined;
      const mark = followed?.side === side && followed.token === i;
      if (item.marked !== mark) item.element.classList.toggle("av-marked", (item.marked = mark));
      if (item.weight === weight && item.colours === colours) return;
      [item.weight, item.colours] = [weight, colours];
      item.number.data = weight === undefined ? "" : format(weight);
      item.element.style.cssText = weight === undefined ? "" : colours.dress[level(weight)];
    });
  }

  /** Which token the Tab key reaches, and which counts as chosen. @param {Followed|null} pinned */
  select(pinned) {
    for (const side of ["from", "to"]) {
      const tab = pinned ? (pinned.side === side ? pinned.token : -1) : side === "from" ? 0 : -1;
      this.lists[side].items.forEach((item, i) => {
        const chosen = pinned?.side === side && pinned.token === i;
        if (item.tab !== (i === tab)) item.element.tabIndex = (item.tab = i === tab) ? 0 : -1;
        if (item.chosen !== chosen) item.element.setAttribute("aria-selected", String((item.chosen = chosen)));
      });
    }
  }

  /** Scroll the list, never the page, to the token. */
  reveal(pinned) {
    const box = this.element, margin = 2 * this.step;
    if (!pinned || this.height + 28 <= box.clientHeight) return;
    const y = pinned.token * this.step + 28;
    if (y < box.scrollTop + margin) box.scrollTop = y - margin;
    else if (y > box.scrollTop + box.clientHeight - margin) box.scrollTop = y - box.clientHeight + margin;
  }

  key(event) {
    const at = ["from", "to"].flatMap((side) => this.lists[side].items.map((item, token) => ({ side, token, item })))
      .find(({ item }) => item.element === event.target);
    if (!at || event.ctrlKey || event.metaKey || event.altKey) return;
    const { side, token } = at, last = this.attention.length(side) - 1;
    const other = { side: event.key === "ArrowLeft" ? "from" : "to", token };
    const next = {
      ArrowUp: { side, token: token - 1 }, ArrowDown: { side, token: token + 1 }, Home: { side, token: 0 }, End: { side, token: last },
      ArrowLeft: other, ArrowRight: other, Enter: { side, token }, " ": { side, token }, Escape: null,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (next) next.token = clamp(next.token, 0, this.attention.length(next.side) - 1);
    this.moving = true;
    if (next) this.lists[next.side].items[next.token].element.focus({ preventScroll: true });
    this.moving = false;
    this.act.pin(next, true);
  }
}

const thickness = (weight) => 1 + 4 * weight;

// ---------------------------------------------------------------- the matrix

class Matrix {
  /** @param {Attention} attention @param {{ hover: Function, pin: Function, say: string }} act */
  constructor(attention, act) {
    this.attention = attention;
    this.act = act;
    this.canvas = h("canvas", { role: "img", onpointermove: (event) => act.hover(this.at(event)), onpointerleave: () => act.hover(null),
      onclick: (event) => { const { side, token } = this.at(event); act.pin({ side, token }); } });
    this.band = h("div", { class: "av-band", hidden: true });
    this.spot = h("div", { class: "av-spot", hidden: true });
    this.name = h("div", { class: "av-name", hidden: true });
    this.scratch = scratch();
    this.element = h("div", { class: "av-matrix" }, h("div", { class: "av-across", "aria-hidden": "true" }, "to (key) →"),
      h("div", { class: "av-down", "aria-hidden": "true" }, "← from (query)"),
      h("div", { class: "av-sheet ug-scroll" }, h("div", { class: "av-paper" }, this.canvas, this.band, this.spot, this.name)));
  }

  layout(root) {
    const { from, to, rows, columns } = this.attention, context = this.canvas.getContext("2d");
    this.font = `12px ${getComputedStyle(root).fontFamily}`;
    context.font = this.font;
    const widest = (tokens) => Math.max(...tokens.map((text) => context.measureText(short(text)).width));
    const space = this.element.querySelector(".av-sheet").clientWidth;
    this.left = Math.min(widest(from) + 8, 110, space * 0.32);
    this.cell = clamp((space - this.left - 22) / columns, 2, 34);
    if (this.cell > 8) this.cell = Math.floor(this.cell);
    this.top = this.cell < 13 ? 20 : Math.min(widest(to), 100) * 0.87 + 14; // names lean by 60 degrees
    this.element.style.setProperty("--left", `${this.left}px`);
    this.context = sized(this.canvas, this.left + columns * this.cell + 22, this.top + rows * this.cell + 2);
  }

  paint(matrix, colours, name) {
    const { rows, columns } = this.attention, { context, left, top, cell } = this;
    context.drawImage(pixelsOf(this.scratch, matrix, columns, rows, colours), left, top, columns * cell, rows * cell);
    context.strokeStyle = colours.line;
    context.lineWidth = cell < 12 ? 0 : 0.5;
    const lines = new Path2D();
    if (cell >= 12) for (let i = 1; i < rows; i++) { lines.moveTo(left, top + i * cell); lines.lineTo(left + columns * cell, top + i * cell); }
    if (cell >= 12) for (let j = 1; j < columns; j++) { lines.moveTo(left + j * cell, top); lines.lineTo(left + j * cell, top + rows * cell); }
    if (cell >= 12) context.stroke(lines);
    context.lineWidth = 1;
    context.strokeRect(left, top, columns * cell, rows * cell);
    this.canvas.setAttribute("aria-label", `Matrix of weights, ${name}${this.act.say}: ${rows} rows from, ${columns} columns to`);
  }

  /** The tokens; where there is no room for all of them, positions. */
  labels(colours) {
    const { from, to } = this.attention, { context, left, top, cell } = this, names = cell >= 13, every = names ? 1 : cell >= 3 ? 10 : 20;
    const said = (text, i) => (names ? short(text) : String(i));
    Object.assign(context, { font: this.font, fillStyle: colours.ink, textBaseline: "middle", direction: "ltr" });
    context.textAlign = "right";
    from.forEach((text, i) => i % every === 0 && context.fillText(said(text, i), left - 5, top + (i + 0.5) * cell, left - 6));
    context.textAlign = "left";
    to.forEach((text, j) => {
      if (j % every) return;
      context.save();
      context.translate(left + (j + 0.5) * cell, top - 5);
      if (names) context.rotate(-Math.PI / 3);
      context.fillText(said(text, j), names ? 0 : -6, names ? 0 : -4, 100);
      context.restore();
    });
  }

  /** Outline the followed row or column, and a cell. @param {Followed|null} followed */
  follow(followed) {
    const { left, top, cell } = this, { rows, columns } = this.attention;
    this.band.hidden = this.name.hidden = !followed;
    this.spot.hidden = followed?.other === undefined;
    if (!followed) return;
    const row = followed.side === "from", at = followed.token * cell;
    place(this.band, ...(row ? [left, top + at, columns * cell, cell] : [left + at, top, cell, rows * cell]));
    if (!this.spot.hidden) place(this.spot, left + followed.other * cell, top + at, cell, cell);
    // where the cells are too small for every name, the followed token is named anyway
    this.name.hidden = cell >= 13 || !row;
    if (this.name.hidden) return;
    this.name.textContent = short(this.attention.from[followed.token]);
    this.name.style.right = `calc(100% - ${left - 3}px)`;
    this.name.style.top = `${top + at + cell / 2}px`;
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect(), { rows, columns } = this.attention;
    const token = Math.floor((event.clientY - box.top - this.top) / this.cell), other = Math.floor((event.clientX - box.left - this.left) / this.cell);
    if (token >= rows || other >= columns || (token < 0 && other < 0)) return { side: "from", token: -1 };
    if (token < 0) return { side: "to", token: other };
    return other < 0 ? { side: "from", token } : { side: "from", token, other };
  }
}

function place(element, x, y, width, height) {
  Object.assign(element.style, { left: `${x - 1}px`, top: `${y - 1}px`, width: `${width + 2}px`, height: `${height + 2}px` });
}

// ---------------------------------------------------------------- words and numbers

/** “it” looks at “street” 0.41, “.” 0.12: as nodes. @param {Followed|null} followed */
function sentence(attention, choice, followed, weights) {
  if (!followed) return ["Point at a token, or reach it with Tab and the arrow keys, to see its weights."];
  const quoted = (side, i) => {
    const tokens = attention.tokens(side), twin = tokens.indexOf(tokens[i]) !== tokens.lastIndexOf(tokens[i]);
    return ["“", isolate(short(tokens[i], 20)), twin ? `” (token ${i})` : "”"];
  };
  const { side, token, other } = followed, far = side === "from" ? "to" : "from";
  const start = [h("span", { class: "ug-hidden" }, `${nameOf(choice)}: `), ...quoted(side, token), side === "from" ? " looks at " : " is looked at by "];
  if (other !== undefined) return [...start, ...quoted(far, other), ` ${format(weights[other])}`];
  const most = range(weights.length).filter((i) => weights[i] >= FAINT).sort((a, b) => weights[b] - weights[a]).slice(0, 3);
  if (!most.length) return [...start, "nothing"];
  return [...start, ...most.flatMap((i, n) => [n ? ", " : "", ...quoted(far, i), ` ${format(weights[i])}`])];
}

const SMALL = 26; // tokens; a larger matrix as a table has more numbers than anyone reads

/** The numbers, as a table: the whole matrix, or for many tokens the followed one's, or each token's largest. */
function table(attention, matrix, followed, caption, colours) {
  const { rows, columns, from, to } = attention;
  const head = (text, scope) => h("th", { scope }, isolate(text));
  const cell = (weight) => h("td", { style: colours.dress[level(weight)] }, format(weight, 3));
  if (Math.max(rows, columns) <= SMALL)
    return h("table", {}, h("caption", {}, `${caption}: rows look at columns`),
      h("thead", {}, h("tr", {}, h("td", {}, "from ╲ to"), to.map((text) => head(text, "col")))),
      h("tbody", {}, from.map((text, i) => h("tr", {}, head(text, "row"), to.map((_, j) => cell(matrix[i * columns + j]))))));
  if (followed) {
    const far = followed.side === "from" ? "to" : "from";
    const says = followed.side === "from" ? "what “" : "who looks at “";
    const weights = attention.weightsOf(matrix, followed);
    return h("table", {}, h("caption", {}, `${caption}: ${says}`, isolate(attention.tokens(followed.side)[followed.token]), followed.side === "from" ? "” looks at" : "”"),
      h("tbody", {}, range(weights.length).map((i) => h("tr", {}, h("td", {}, String(i)), head(attention.tokens(far)[i], "row"), cell(weights[i])))));
  }
  return h("table", {}, h("caption", {}, `${caption}: the three largest weights of each token (follow a token to see all of its weights)`),
    h("tbody", {}, from.map((text, i) => {
      const weights = attention.weightsOf(matrix, { side: "from", token: i });
      const most = range(columns).sort((a, b) => weights[b] - weights[a]).slice(0, 3);
      return h("tr", {}, head(text, "row"), most.flatMap((j) => [h("td", {}, isolate(to[j])), cell(weights[j])]));
    })));
}

const TICKS = [0, 0.01, 0.1, 0.25, 0.5, 1];

/** What the colours and lines mean. */
function legend() {
  const ticks = TICKS.map((weight) =>
    h("span", { style: `left: ${100 * strength(weight)}%` }, String(weight)));
  return h("div", { class: "av-legend", role: "img", "aria-label": "Scale of the weights, from 0 to 1. A stronger colour and a thicker line mean a larger weight." },
    h("span", {}, "weight"), h("div", { class: "av-scale" }, h("i"), h("div", { class: "av-ticks" }, ticks)));
}

// ---------------------------------------------------------------- the picture that is saved

// Measures of the picture: a step per token; columns for names, numbers, the lines between them; the matrix after that.
const STEP = 20, NAME = 124, NUMBER = 36, BETWEEN = 200, TOP = 100, SHEET = 3 * NAME + 2 * NUMBER + BETWEEN + 24;

/** One sentence's lines and matrix as vectors, with every colour written out. */
function drawing(attention, matrix, followed, colours) {
  const { from, to, rows, columns } = attention, left = NAME + NUMBER, right = left + BETWEEN;
  const weights = followed && attention.weightsOf(matrix, followed), byRow = followed?.side === "from";
  const text = (x, y, content, more = {}) => s("text", { x, y, fill: colours.ink, "font-size": 12, ...more }, content);
  const end = { "text-anchor": "end" }, soft = { fill: colours.soft }, middle = (i) => TOP + (i + 0.5) * STEP;
  const lines = s("g", { fill: "none", stroke: colours.accent }), cells = s("g", { transform: `translate(${SHEET} ${TOP})` });
  matrix.forEach((weight, at) => {
    const i = Math.floor(at / columns), j = at % columns;
    if (level(weight) > 0) cells.append(s("rect", { x: j * STEP, y: i * STEP, width: STEP, height: STEP, fill: colours.fills[level(weight)] }));
    if (weight < FAINT || (followed && (byRow ? i : j) !== followed.token)) return;
    const [y, z] = [middle(i), middle(j)];
    lines.append(s("path", { d: `M${left} ${y}C${left + BETWEEN * 0.4} ${y} ${right - BETWEEN * 0.4} ${z} ${right} ${z}`,
      "stroke-opacity": strength(weight).toFixed(3), "stroke-width": thickness(weight).toFixed(2) }));
  });
  const frame = (more) => s("rect", { width: columns * STEP, height: rows * STEP, fill: "none", stroke: colours.line, ...more });
  const at = followed && followed.token * STEP;
  cells.append(frame({}), followed ? frame({ stroke: colours.warm, "stroke-width": 2, ...(byRow ? { y: at, height: STEP } : { x: at, width: STEP }) }) : "");
  /** A column of tokens, and of numbers between them and the lines. */
  const column = (side, x, inner, anchor) => attention.tokens(side).map((name, i) => [
    text(followed && followed.side !== side ? x : inner, middle(i) + 4, short(name), { ...anchor, ...(followed?.side === side && followed.token === i ? { "font-weight": "bold" } : {}) }),
    followed && followed.side !== side ? text(inner, middle(i) + 4, format(weights[i]), anchor) : null,
  ]).flat().filter(Boolean);
  return s("g", {},
    text(left - 6, TOP - 12, "from (query)", { ...end, ...soft }), text(right + 6, TOP - 12, "to (key)", soft),
    column("from", left - 6 - NUMBER, left - 6, end), column("to", right + 6 + NUMBER, right + 6, {}), lines, cells,
    from.map((name, i) => text(SHEET - 6, middle(i) + 4, short(name), end)),
    to.map((name, j) => text(0, 0, short(name), { transform: `translate(${SHEET + (j + 0.5) * STEP + 4} ${TOP - 6}) rotate(-60)` })),
    text(SHEET, TOP + rows * STEP + 18, "rows: from (query), columns: to (key)", soft));
}

/** The scale of the weights, as vectors. */
function scaleBar(colours, width = 240) {
  return s("g", {}, s("text", { x: -56, y: 11, fill: colours.soft, "font-size": 12 }, "weight"),
    range(48).map((i) => s("rect", { x: (i * width) / 48, width: width / 48 + 0.5, height: 12, fill: colours.fills[Math.round((i * (LEVELS - 1)) / 47)] })),
    s("rect", { width, height: 12, fill: "none", stroke: colours.line }),
    TICKS.map((weight) => s("text", { x: strength(weight) * width, y: 27, fill: colours.soft, "font-size": 11, "text-anchor": "middle" }, String(weight))));
}

/** All that is enlarged, as one SVG that needs nothing around it. */
function picture(panels, choice, followed, colours) {
  const svg = s("svg", { xmlns: "http://www.w3.org/2000/svg", "font-family": "system-ui, sans-serif", role: "img" },
    s("title", {}, `Attention weights: ${nameOf(choice)}`), s("rect", { width: "100%", height: "100%", fill: colours.back }),
    s("text", { x: 16, y: 28, fill: colours.ink, "font-size": 16, "font-weight": "bold" }, `Attention: ${nameOf(choice, " · ")}`));
  const width = SHEET + 70 + STEP * Math.max(...panels.map(({ attention }) => attention.columns));
  let y = 30;
  const put = (drawn, x, height) => { drawn.setAttribute("transform", `translate(${x} ${y})`); svg.append(drawn); y += height; };
  for (const { attention, matrix, readout, within } of panels) {
    svg.append(s("desc", {}, readout.textContent));
    put(drawing(attention, matrix, within(followed), colours), 0, TOP + STEP * Math.max(attention.rows, attention.columns) + 34);
  }
  put(scaleBar(colours), SHEET, 44);
  for (const [name, value] of Object.entries({ width, height: y, viewBox: `0 0 ${width} ${y}` })) svg.setAttribute(name, String(value));
  return svg;
}

function download(svg, name) {
  const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// ---------------------------------------------------------------- together

/** All that is shown of one sentence. */
class Panel {
  constructor(attention, act, pick, title, first) {
    this.attention = attention;
    this.title = title;
    const { layers, heads } = attention;
    this.grid = new HeadGrid(attention, pick, first ? "Heads: rows are layers, columns are heads" : "");
    this.lines = new Lines(attention, act);
    this.sheet = new Matrix(attention, act);
    this.readout = h("p", { role: "status", class: "av-readout" });
    this.numbers = h("div", { class: "ug-scroll av-numbers", tabindex: "0", role: "region", "aria-label": `Table of the numbers${act.say}` });
    const name = () => title ? h("p", { class: "av-sentence" }, `${title}: `, isolate(attention.from.join(" "))) : null;
    this.overview = h("div", { class: "av-overview" }, name(), layers * heads > 1 ? h("div", { class: "ug-scroll" }, this.grid.element) : null);
    this.enlarged = h("div", { class: "av-enlarged" }, name(), this.readout, h("div", { class: Math.max(attention.rows, attention.columns) > LONG ? "av-views av-long" : "av-views" }, this.lines.element, this.sheet.element));
  }

  layout(root) {
    if (this.grid.element.parentElement) this.grid.layout();
    this.lines.layout();
    this.sheet.layout(root);
  }

  paintGrid(colours) {
    if (this.grid.element.parentElement) this.grid.paint(colours);
  }

  paint(choice, colours) {
    this.choice = choice;
    this.matrix = this.attention.matrix(choice);
    this.grid.select(choice);
    this.lines.paint(this.matrix, colours);
    this.sheet.paint(this.matrix, colours, nameOf(choice));
  }

  /** The followed token, where this sentence is as long. @param {Followed|null} followed */
  within = (followed) => {
    return followed && followed.token >= 0 && followed.token < this.attention.length(followed.side) ? followed : null;
  };

  follow(followed, colours) {
    const here = this.within(followed);
    if (here?.other >= this.attention.columns) delete here.other;
    const weights = here && this.attention.weightsOf(this.matrix, here);
    this.lines.follow(here, weights, colours);
    this.sheet.follow(here);
    this.readout.replaceChildren(...sentence(this.attention, this.choice, here, weights));
  }

  tabulate(pinned, colours) {
    this.numbers.replaceChildren(table(this.attention, this.matrix, this.within(pinned), `${this.title ? `${this.title}, ` : ""}${nameOf(this.choice)}`, colours));
  }
}

/** Draw what the model holds into `el`, and follow it. @returns {() => void} stop */
function drawAttention({ model, el }) {
  const sentences = model.get("_sentences");
  const attentions = [new Attention(model.get("_weights"), sentences[0])];
  if (sentences.length > 1) attentions.push(new Attention(model.get("_other_weights"), sentences[1]));
  const { layers, heads, isSelf } = attentions[0];
  let hovered = /** @type {Followed|null} */ (null), colours, width = 0, setting = false;

  /** What the traits ask for; a link from another widget may ask for what is not there. @returns {Choice} */
  const choice = () => {
    const mode = model.get("mode");
    return {
      mode: mode === "rollout" && !isSelf ? "head" : mode === "all" && layers === 1 ? "layer" : mode,
      layer: clamp(model.get("layer"), 0, layers - 1), head: clamp(model.get("head"), 0, heads - 1),
    };
  };
  const pinned = () => {
    const [token, side] = [model.get("token"), model.get("side")];
    return token !== null && attentions.some((attention) => token >= 0 && token < attention.length(side)) ? { side, token } : null;
  };
  /** Several traits at once, drawn once. */
  const put = (values, redraw) => {
    setting = true;
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    setting = false;
    model.save_changes();
    redraw();
  };
  const pick = ({ mode, layer, head }) => put(
    { mode, ...(mode === "all" ? {} : { layer }), ...(mode === "head" ? { head } : {}) }, enlarge);
  const act = {
    hover(followed) {
      const next = followed && followed.token >= 0 ? followed : null;
      if (hovered?.side === next?.side && hovered?.token === next?.token && hovered?.other === next?.other) return;
      hovered = next;
      trace();
    },
    /** A click on the followed token lets go of it; a key never does. */
    pin(followed, key = false) {
      if (followed && followed.token < 0) return;
      const now = pinned(), again = !key && now && followed && now.side === followed.side && now.token === followed.token;
      hovered = null;
      put(followed && !again ? { side: followed.side, token: followed.token } : { token: null }, settle);
    },
  };

  const titles = attentions.map((_, i) => sentences[i].title ?? (attentions.length > 1 ? `Sentence ${i + 1}` : ""));
  const panels = attentions.map((attention, i) => new Panel(attention,
    { ...act, say: titles[i] ? `, ${titles[i].toLowerCase()}` : "" }, pick, titles[i], i === 0));
  const several = layers * heads > 1;
  const title = h("h4", { class: "ug-title" }), caption = h("p", { class: "ug-caption" });
  const details = h("details", { class: "av-details", ontoggle: () => tabulate() }, h("summary", {}, "Numbers"),
    h("div", { class: "av-panels" }, panels.map((panel) => panel.numbers)));
  const root = h("div", { class: "ug av" },
    several ? [h("p", { class: "ug-caption" }, h("b", {}, `${plural(layers, "layer")}, ${plural(heads, "head")}${layers > 1 ? " each" : ""}. `),
      "Every square is one head: its rows are the tokens that look, its columns the tokens looked at. Choose one to enlarge it."),
    h("div", { class: "av-panels" }, panels.map((panel) => panel.overview))] : null,
    title, caption,
    h("div", { class: "av-panels" }, panels.map((panel) => panel.enlarged)),
    h("div", { class: "ug-bar av-foot" }, legend(),
      h("button", { type: "button", class: "ug-save", onclick: () => download(picture(panels, choice(), hovered ?? pinned(), colours), "attention.svg") }, "Save as SVG")),
    details);

  // From the most work to the least: everything, the enlarged head, one token.
  function repaint() {
    colours = palette(root);
    root.style.setProperty("--av-scale", `linear-gradient(to right, ${colours.fills.filter((_, i) => i % 15 === 0).join(", ")})`);
    panels.forEach((panel) => { panel.layout(root); panel.sheet.labels(colours); panel.paintGrid(colours); });
    enlarge();
  }
  function enlarge() {
    if (!colours) return;
    title.textContent = nameOf(choice(), " · ");
    caption.textContent = explained(choice());
    panels.forEach((panel) => panel.paint(choice(), colours));
    settle();
  }
  function settle() {
    if (!colours) return;
    panels.forEach((panel) => panel.lines.reveal(panel.within(pinned()))); // measures, so before any change
    panels.forEach((panel) => panel.lines.select(panel.within(pinned())));
    trace();
    tabulate();
  }
  function trace() {
    panels.forEach((panel) => panel.follow(hovered ?? pinned(), colours));
  }
  function tabulate() {
    if (details.open) panels.forEach((panel) => panel.tabulate(pinned(), colours));
  }

  el.append(root);
  // A notebook may place the widget later: nothing is drawn before there is a width to draw in.
  const fit = () => {
    if (root.clientWidth === width || !root.clientWidth) return;
    width = root.clientWidth;
    repaint();
  };
  fit();
  const watch = new ResizeObserver(fit);
  watch.observe(root);
  const stops = [
    follow(model, ["layer", "head", "mode"], () => setting || enlarge()),
    follow(model, ["token", "side"], () => setting || settle()),
    onTheme(() => colours && repaint()),
    () => watch.disconnect(),
    () => panels.forEach((panel) => panel.grid.stop?.()),
  ];
  return () => stops.forEach((stop) => stop());
}

const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

// LoRAView: a weight matrix, its update by fine-tuning, and the best matrix of each rank in its place.
// Joined after shared.js and scales.js (see frame.py); how the numbers are packed: lora_view.py.

const PARTS = ["before", "update", "best", "rest"];
const LEVELS = 100; // colours on either side of zero
const MOST = 0.98; // of the numbers of a picture have a colour of their own; those beyond it the last one
const ENOUGH = 0.9; // of the square, for the rank that is told
const TOP = 40, HIGH = 130, FOOT = 34, LEFT = 40, GAP = 22; // of a chart
const UPDATES = { full: "full fine-tuning", lora: "LoRA" };
const SIGNS = { full: "ΔW", lora: "BA" };

const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const count = (n) => n.toLocaleString("en");
const percent = (share) => `${format(100 * share, 1)}\u00a0%`;
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
const write = (x, y, said, name = "tick", anchor = "start") => s("text", { x, y, class: name, "text-anchor": anchor }, said);

/** The packed numbers of all matrices, as arrays. @param {DataView} view @param {Object[]} matrices */
function unpack(view, matrices) {
  let at = view.byteOffset;
  const take = (Kind, n) => new Kind(view.buffer.slice(at, (at += n * Kind.BYTES_PER_ELEMENT)));
  const fixed = (n) => { const [step] = take(Float64Array, 1); return { step, steps: take(Int16Array, n) }; };
  const plain = (n) => { const { step, steps } = fixed(n); return Float64Array.from(steps, (x) => x * step); };
  return matrices.map((matrix) => {
    const [height, width] = [matrix.rows.length, matrix.columns.length], updates = {};
    const before = plain(height * width);
    for (const [kind, rank] of Object.entries(matrix.ranks)) {
      const values = take(Float64Array, matrix.full), whole = plain(height * width), terms = matrix.terms[kind];
      updates[kind] = { kind, rank, values, whole, errors: errorsOf(values), left: fixed(terms * height), right: fixed(terms * width) };
    }
    const common = updates.lora && [0, 1].map(() => take(Float64Array, matrix.ranks.full));
    return { ...matrix, before, updates, common, stops: stopsOf(matrix) };
  });
}

/** Ranks at which the slider stops: every one up to 16, then ever fewer, and all. */
function stopsOf({ full, reach }) {
  const stops = [];
  for (let r = 0; r <= reach; r += r < 16 ? 1 : 2 ** (Math.floor(Math.log2(r)) - 3)) stops.push(r);
  if (stops.at(-1) < full) stops.push(full);
  return stops;
}

/** What remains of an update at each rank from 0: the root of the sum of the squares of the singular values left out. */
function errorsOf(values) {
  const errors = new Float64Array(values.length + 1);
  for (let i = values.length - 1, sum = 0; i >= 0; i--) errors[i] = Math.sqrt((sum += values[i] ** 2));
  return errors;
}

/** The first r terms σ u vᵀ of an update, added up at every place of the picture. */
function best({ rank, whole, left, right }, r, height, width) {
  if (r >= rank) return whole;
  const sum = new Float64Array(height * width);
  for (let k = 0; k < r; k++)
    for (let i = 0; i < height; i++) {
      const factor = left.steps[k * height + i];
      for (let j = 0, at = i * width; j < width; j++, at++) sum[at] += factor * right.steps[k * width + j];
    }
  return sum.map((x) => x * left.step * right.step);
}

/** Where the colours of a picture end. */
function strongest(numbers) {
  const sizes = Float64Array.from(numbers, Math.abs).sort();
  return sizes[Math.ceil(MOST * sizes.length) - 1] || sizes.at(-1);
}

/** As many digits after the point as three digits of the largest take. */
const decimals = (largest) => (largest ? clamp(2 - Math.floor(Math.log10(largest)), 0, 12) : 2);

/** Write a number where it is read, and all its digits beside it. */
function put(node, said, value) {
  if (node.textContent !== said) node.textContent = said;
  node.dataset.value = String(value);
}

/** What a matrix of rank r can hold, in words. */
function meaning(r, full) {
  if (r === 0) return "Rank 0: nothing changes, and nothing is stored.";
  if (r === full) return "Full rank: nothing is lost, and two factors save nothing.";
  if (r === 1) return "Rank 1: every row is a multiple of one and the same row, and every column of one and the same column.";
  return `Rank ${r}: every row is a mix of the same ${r} rows, and every column of the same ${r} columns. A change that needs other directions is not in it.`;
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name);
    const save = (changes) => { model.set(changes); model.save_changes(); };
    const matrices = unpack(get("_numbers"), get("_matrices"));
    let matrix, update, rank, tables, ends, colours, x, cell = { i: 0, j: 0 }, hover = null, width = 700, spoken = 0, known = null;

    // ------------------------------------------------------------ controls
    const choose = h("select", { "aria-label": "matrix", onchange() { take(matrices[choose.selectedIndex]); } }, matrices.map(({ name }) => h("option", {}, name)));
    /** Another matrix may have a smaller full rank, and no LoRA. */
    const take = (next) => save({ shown: next.name, rank: get("rank") > next.reach ? next.full : get("rank"), update: next.updates.lora ? get("update") : "full" });
    const whose = Object.entries(UPDATES).map(([kind, name]) => h("button", { type: "button", "data-choice": kind, onclick() { save({ update: kind }); } }, name));
    const kinds = h("div", { role: "group", class: "choices", "aria-label": "whose update" }, "update by", whose);
    const ranks = slider("rank r", { min: 0, max: 1, step: 1, value: 0, show: () => String(rank ?? 0), oninput: (at) => save({ rank: matrix.stops[at] }) });

    // ------------------------------------------------------------ the pictures, the charts and the numbers
    const figures = Object.fromEntries(PARTS.map((part) => {
      const canvas = h("canvas", {}), mark = h("i", { class: "mark" }), name = h("figcaption", {});
      const sheet = h("div", { class: "sheet", onpointermove: (event) => tell(locate(event)), onpointerleave: () => tell(null),
        onclick: (event) => { cell = locate(event); tell(null); } }, canvas, mark);
      const low = h("span", {}), high = h("span", {}), scale = h("div", { class: "scale" }, low, h("i"), high);
      return [part, { canvas, mark, name, sheet, low, high, element: h("figure", {}, name, sheet, scale) }];
    }));
    const pictures = h("div", { class: "pictures", tabindex: 0, role: "application", "aria-roledescription": "four pictures of one matrix", onkeydown }, PARTS.map((part) => figures[part].element));
    const sample = h("p", { class: "says" }), read = h("p", { class: "read" });
    const svg = s("svg", { role: "img", class: "plot", onpointerdown: drag, onpointermove: (event) => event.buttons && drag(event) });
    const said = {}, number = (kind) => (said[kind] ??= h("b", { "data-number": kind }));
    const row = (kind, name) => [h("dt", {}, (said[`${kind}-name`] = h("span", {}, name))), h("dd", {}, number(kind))];
    const words = h("p", {}), compare = h("div", {}, h("h5", {}, "LoRA’s update beside the full one"), h("dl", {},
      row("size", "‖BA‖ / ‖ΔW‖"), row("cosine", "cosine of BA and ΔW"), row("ideal", ""), row("out", ""), row("in", "")), (said.verdict = h("p", { class: "soft" })));
    const panel = h("div", { class: "panel" }, h("div", {}, h("p", { class: "main" }, "error that remains ", number("error"), ", numbers stored ", number("share")), words,
      h("dl", {}, row("kept", "kept of the square of the update"), row("rest", ""), row("stored", ""), row("all", ""), row("times", ""), row("enough", ""), row("small", ""))), compare);
    const status = h("div", { class: "ug-hidden", role: "status" }), place = h("div", { class: "place" }, svg);
    const view = h("div", { class: "ug ug-lora" }, h("h4", { class: "ug-title" }, "What an update of rank r can hold"),
      h("p", { class: "ug-caption" }, "Raise the rank: each step adds one more row times column to the best approximation of the update. Point at a cell to read it; arrow keys move."),
      h("div", { class: "ug-bar" }, h("label", {}, "matrix", choose), kinds), h("div", { class: "ug-bar rank" }, ranks.element),
      pictures, sample, read, place, panel, h("div", { class: "ug-bar" }, saveButton(picture, "lora-view")), status);
    el.append(view);

    // ------------------------------------------------------------ drawing
    /** The colours of the theme as pixels, from the strongest negative to the strongest positive. */
    function recolour() {
      const scale = signedScale(view);
      colours = Uint32Array.from({ length: 2 * LEVELS + 1 }, (_, i) => new Uint32Array(Uint8Array.of(...scale(i / LEVELS - 1), 255).buffer)[0]);
      draw();
    }

    function paint(part) {
      const { canvas, low, high } = figures[part], end = part === "before" ? ends.before : ends.update, numbers = tables[part];
      [canvas.width, canvas.height] = [matrix.columns.length, matrix.rows.length];
      const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height), pixels = new Uint32Array(image.data.buffer);
      for (let i = 0; i < pixels.length; i++) pixels[i] = colours[LEVELS + Math.round(LEVELS * clamp(numbers[i] / (end || 1), -1, 1))];
      context.putImageData(image, 0, 0);
      [low.textContent, high.textContent] = [-end, end].map((n) => format(n, decimals(end)));
    }

    function draw() {
      matrix = matrices.find(({ name }) => name === get("shown")) ?? matrices[0];
      update = matrix.updates[get("update")] ?? matrix.updates.full;
      rank = clamp(get("rank"), 0, matrix.full);
      const { rows, columns, before, stops } = matrix, sum = best(update, rank, rows.length, columns.length);
      tables = { before, update: update.whole, best: sum, rest: update.whole.map((x, i) => x - sum[i]) };
      ends = { before: strongest(before), update: strongest(update.whole) };
      cell = { i: Math.min(cell.i, rows.length - 1), j: Math.min(cell.j, columns.length - 1) };
      const sign = SIGNS[update.kind], names = { before: "W, before", update: `${sign}, the update`, best: `best of rank ${rank}`, rest: "what remains" };
      for (const part of PARTS) {
        figures[part].name.textContent = names[part];
        paint(part);
      }
      choose.selectedIndex = matrices.indexOf(matrix);
      kinds.hidden = !matrix.updates.lora;
      for (const button of whose) button.setAttribute("aria-pressed", String(button.dataset.choice === update.kind));
      ranks.input.max = String(stops.length - 1);
      ranks.set(stops.findIndex((stop) => stop >= rank));
      sample.textContent = `${about(0, rows, "row")} and ${about(1, columns, "column")}. W has colours of its own; the other three share theirs.`;
      drawCharts();
      drawNumbers();
      tell(hover);
    }
    const about = (axis, list, word) => (list.length === matrix.shape[axis] ? `All ${plural(list.length, word)}` : `${list.length} of ${plural(matrix.shape[axis], word)}, evenly spread`);

    // ------------------------------------------------------------ charts
    /** Axes of a chart: its scales, and what is drawn of them. */
    function axes(left, top, wide, title, below, most) {
      const { full } = matrix, across = scaleOf(1, full + 1, left + LEFT, left + wide - 8, true), y = scaleOf(0, most || 1, top + TOP + HIGH, top + TOP);
      const at = (r) => across.pixel(r + 1), ranks = [0, ...Array.from({ length: Math.floor(Math.log2(full)) + 1 }, (_, k) => 2 ** k)];
      const shapes = ranks.map((r) => write(at(r), top + TOP + HIGH + 14, r, "tick", "middle"));
      for (const tick of ticksOf(y, 4)) shapes.push(s("path", { class: "grid", d: `M${text(at(0))} ${text(y.pixel(tick))}H${text(at(full))}` }), write(left + LEFT - 5, y.pixel(tick) + 4, short(tick), "tick", "end"));
      shapes.push(write(left, top + 14, title, "heading"), write((at(0) + at(full)) / 2, top + TOP + HIGH + 29, below, "tick", "middle"));
      return { at, y, shapes, value: (pixel) => across.value(pixel) - 1, left, top, wide };
    }
    const line = (chart, numbers, name, from = 0) => s("path", { class: name, d: "M" + Array.from(numbers, (n, i) => `${text(chart.at(i + from))} ${text(chart.y.pixel(Math.min(n, chart.y.high)))}`).join("L") });

    function drawCharts() {
      const two = width >= 520, wide = two ? (width - GAP) / 2 : width, tall = TOP + HIGH + FOOT, { full, shape: [d_out, d_in] } = matrix;
      const other = Object.values(matrix.updates).find(({ kind }) => kind !== update.kind), all = Object.values(matrix.updates), sign = SIGNS[update.kind];
      svg.setAttribute("viewBox", `0 0 ${width} ${two ? tall : 2 * tall}`);
      const spectrum = axes(0, 0, wide, `singular values σ of ${sign}`, "which one, from the largest", Math.max(...all.map(({ values }) => values[0])));
      const errors = axes(two ? wide + GAP : 0, two ? 0 : tall, wide, "error that remains", "rank r", 1);
      const stems = (from, to, name) => s("path", { class: name, d: Array.from({ length: to - from }, (_, k) => `M${text(spectrum.at(from + k + 1))} ${text(spectrum.y.pixel(0))}V${text(spectrum.y.pixel(update.values[from + k]))}`).join("") });
      const shares = ({ errors }) => errors.map((error) => error / (errors[0] || 1)), mine = shares(update);
      const stored = Array.from({ length: full + 1 }, (_, r) => (r * (d_out + d_in)) / (d_out * d_in)), within = stored.filter((share) => share <= 1);
      const point = (y, name) => s("circle", { cx: errors.at(rank), cy: errors.y.pixel(y), r: 4.5, class: name });
      spectrum.shapes.push(stems(0, rank, "kept"), stems(rank, full, "lost"), write(spectrum.left + wide - 8, 30, `the first ${rank} are kept`, "tick kept-name", "end"));
      errors.shapes.push(s("path", { class: "now", d: `M${text(errors.at(rank))} ${text(errors.y.pixel(0))}V${text(errors.y.pixel(1))}` }),
        line(errors, within, "stored"), line(errors, mine, "error"), point(mine[rank], "ring"),
        write(errors.left, errors.top + 30, "‖rest‖ / ‖update‖", "tick error-name"), write(errors.left + wide - 8, errors.top + 30, "– – numbers stored / all", "tick", "end"));
      if (stored[rank] <= 1) errors.shapes.push(point(stored[rank], "ring stored"));
      if (other) {
        spectrum.shapes.push(line(spectrum, other.values, "other", 1), write(spectrum.left, 30, `line: ${UPDATES[other.kind]}`, "tick other-name"));
        errors.shapes.push(line(errors, shares(other), "other"));
      }
      svg.replaceChildren(...spectrum.shapes, ...errors.shapes);
      x = [spectrum, errors];
      svg.setAttribute("aria-label", `Singular values of ${sign}, the largest ${digits(update.values[0])}; the error that remains falls from 1 at rank 0 to ${format(mine[rank], 4)} at rank ${rank}.`);
    }

    /** Press or drag in a chart: the rank there. */
    function drag(event) {
      const box = svg.getBoundingClientRect(), unit = width / box.width, [px, py] = [(event.clientX - box.left) * unit, (event.clientY - box.top) * unit];
      const chart = x.findLast(({ left, top }) => px >= left && py >= top), wanted = chart.value(px);
      save({ rank: matrix.stops.reduce((a, b) => (Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a)) });
    }

    // ------------------------------------------------------------ numbers
    function drawNumbers() {
      const { full, shape: [d_out, d_in] } = matrix, { errors, kind } = update, sign = SIGNS[kind], size = errors[0];
      const error = size ? errors[rank] / size : 0, stored = rank * (d_out + d_in), all = d_out * d_in, share = stored / all;
      const enough = errors.findIndex((e) => e * e <= (1 - ENOUGH) * size * size), name = (key, said_) => { said[`${key}-name`].textContent = said_; };
      put(said.error, format(error, 4), error);
      put(said.share, percent(share), share);
      put(said.kept, percent(1 - error ** 2), 1 - error ** 2);
      name("rest", `‖rest‖, of ‖${sign}‖ = ${digits(size)}`);
      put(said.rest, digits(errors[rank]), errors[rank]);
      name("stored", `stored: r (d_out + d_in) = ${rank} × (${d_out} + ${d_in})`);
      put(said.stored, count(stored), stored);
      name("all", `the whole matrix: ${d_out} × ${d_in}`);
      put(said.all, count(all), all);
      name("times", stored > all ? "so many times as many numbers as the matrix" : "so many times fewer numbers");
      const times = stored > all ? share : 1 / share;
      put(said.times, stored ? format(times, 1) : "–", times);
      name("enough", `rank that keeps ${100 * ENOUGH}\u00a0% of the square`);
      put(said.enough, count(enough), enough);
      name("small", `‖${sign}‖ / ‖W‖`);
      put(said.small, matrix.norm ? percent(size / matrix.norm) : "–", size / matrix.norm);
      words.textContent = size ? meaning(rank, full) : "Nothing changed in this matrix: there is nothing to approximate.";
      compare.hidden = !matrix.updates.lora;
      if (matrix.updates.lora) drawCompared(d_out, d_in);
    }

    /** What LoRA's update has in common with the first r directions of the full one. */
    function drawCompared(d_out, d_in) {
      const { full, lora } = matrix.updates, r = Math.min(rank, full.rank), name = (key, said_) => { said[`${key}-name`].textContent = said_; };
      const ideal = full.errors[0] ? Math.sqrt(1 - (full.errors[lora.rank] / full.errors[0]) ** 2) : 0, larger = Math.max(r, lora.rank);
      const shared = matrix.common.map((list) => list.subarray(0, r).reduce((a, b) => a + b, 0) / (Math.min(r, lora.rank) || NaN));
      put(said.size, format(lora.errors[0] / (full.errors[0] || NaN), 2), lora.errors[0] / full.errors[0]);
      put(said.cosine, format(matrix.cosine, 3), matrix.cosine);
      name("ideal", `cosine of the best of rank ${lora.rank} and ΔW`);
      put(said.ideal, format(ideal, 3), ideal);
      for (const [i, key, said_, d] of [[0, "out", "written to (U)", d_out], [1, "in", "read from (V)", d_in]]) {
        name(key, `directions ${said_} in common, by chance ${format(larger / d, 2)}`);
        put(said[key], r && lora.rank ? format(shared[i], 2) : "–", shared[i]);
      }
      said.verdict.textContent = `LoRA’s update has rank ${lora.rank}. It is not ΔW cut off there: it was learned on its own, in that room. Directions in common: of LoRA’s ${lora.rank} and the first ${r} of ΔW; 1 where one holds the other.`;
    }

    // ------------------------------------------------------------ one cell
    function locate(event) {
      const box = event.currentTarget.getBoundingClientRect(), at = (from, size, all) => clamp(Math.floor((from / size) * all), 0, all - 1);
      return { i: at(event.clientY - box.top, box.height, matrix.rows.length), j: at(event.clientX - box.left, box.width, matrix.columns.length) };
    }

    function onkeydown(event) {
      const most = 1e9, step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -most], End: [0, most], PageUp: [-most, 0], PageDown: [most, 0] }[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook moves between its cells with the same keys
      cell = { i: clamp(cell.i + step[0], 0, matrix.rows.length - 1), j: clamp(cell.j + step[1], 0, matrix.columns.length - 1) };
      tell(null);
    }

    /** The cell that is pointed at, or else the one that is kept. */
    function tell(there) {
      hover = there;
      const { i, j } = there ?? cell, at = i * matrix.columns.length + j, [high, wide] = [100 / matrix.rows.length, 100 / matrix.columns.length];
      const places = Object.fromEntries(PARTS.map((part) => [part, decimals(part === "before" ? ends.before : ends.update)]));
      const numbers = PARTS.map((part) => h("b", { "data-number": part }, format(tables[part][at], places[part])));
      for (const part of PARTS) figures[part].mark.style.cssText = `top: ${i * high}%; left: ${j * wide}%; width: ${wide}%; height: ${high}%`;
      read.replaceChildren(`Row ${matrix.rows[i]}, column ${matrix.columns[j]}: before `, numbers[0], ", update ", numbers[1], `, of rank ${rank} `, numbers[2], ", remains ", numbers[3]);
      pictures.setAttribute("aria-label", `${read.textContent}. Arrow keys move.`);
      clearTimeout(spoken);
      const sentence = `${matrix.name}, ${UPDATES[update.kind]}, rank ${rank}: error that remains ${said.error.textContent}, stored ${said.share.textContent}. ${read.textContent}`;
      known ??= sentence; // what is there from the start is not news
      if (!there && sentence !== known) spoken = setTimeout(() => { status.textContent = known = sentence; }, 500); // once the reader pauses
    }

    /** Pictures and charts in one, with a line that says what they show. */
    function picture() {
      const wide = 720, side = (wide - 3 * 12) / 4, tall = (side * matrix.rows.length) / matrix.columns.length, [, , w, high] = (svg.getAttribute("viewBox") ?? "").split(" ").map(Number);
      const drawn = PARTS.flatMap((part, k) => {
        const { canvas, name, low, high } = figures[part], x = k * (side + 12), words = `${low.textContent} (orange) to ${high.textContent} (blue)`;
        return [write(x, 46, name.textContent, "heading"), s("image", { x, y: 54, width: side, height: tall, href: canvas.toDataURL(), "image-rendering": "pixelated", preserveAspectRatio: "none" }), write(x, 54 + tall + 15, words)];
      });
      const charts = s("g", { transform: `translate(0 ${tall + 116}) scale(${wide / w})` }, [...svg.children].map((node) => node.cloneNode(true)));
      const said_ = `${matrix.name}, ${UPDATES[update.kind]}, rank ${rank}: error that remains ${said.error.textContent}, numbers stored ${said.share.textContent}`;
      return s("svg", { viewBox: `-10 0 ${wide + 20} ${tall + 126 + (high * wide) / w}`, width: wide + 20, height: tall + 126 + (high * wide) / w, class: "plot" },
        write(0, 20, said_, "heading"), drawn, write(0, tall + 92, sample.textContent), charts);
    }

    const resize = onWidth(place, (now) => { width = Math.max(260, now); if (matrix) { drawCharts(); tell(hover); } });
    const stops = [resize, follow(model, ["shown", "update", "rank"], draw), onTheme(recolour), () => clearTimeout(spoken)];
    recolour();
    return () => { for (const stop of stops) stop(); };
  },
};

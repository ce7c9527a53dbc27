// LoRAView: a weight matrix, its update by fine-tuning, and the best update of each rank in its place.
// Joined after shared.js and scales.js (see frame.py); how the numbers are packed: low_rank.py.

const PARTS = ["before", "update", "best", "rest"];
const LEVELS = 100; // colours each way
const WIDE = 350, LEFT = 40, END = 342, TOP = 42, FOOT = 172, HIGH = 206; // of a chart
const UPDATES = { full: "full fine-tuning", lora: "LoRA" };

const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const count = (n) => n.toLocaleString("en");
const percent = (share) => `${format(100 * share, 1)}\u00a0%`;
const write = (x, y, said, name = "", anchor = "start") => s("text", { x, y, class: name || "tick", "text-anchor": anchor }, said);

/** The packed numbers of all matrices, as arrays. @param {DataView} view */
function unpack(view, matrices) {
  let at = view.byteOffset;
  const take = (Kind, n) => new Kind(view.buffer.slice(at, (at += n * Kind.BYTES_PER_ELEMENT)));
  const fixed = (n) => { const [step] = take(Float64Array, 1); return Float64Array.from(take(Int16Array, n), (x) => x * step); };
  return matrices.map((matrix) => {
    const [high, wide] = [matrix.rows.length, matrix.columns.length], before = fixed(high * wide), updates = {};
    for (const { kind, terms, ...more } of matrix.updates) {
      const values = take(Float64Array, matrix.full), whole = fixed(high * wide);
      updates[kind] = { kind, ...more, values, whole, errors: errorsOf(values), left: fixed(terms * high), right: fixed(terms * wide) };
    }
    return { ...matrix, before, updates, common: updates.lora && [0, 1].map(() => take(Float64Array, updates.full.rank)) };
  });
}

/** What remains at each rank from 0: the root of the sum of the squares that are left out. */
function errorsOf(values) {
  const errors = new Float64Array(values.length + 1);
  for (let i = values.length - 1, sum = 0; i >= 0; i--) errors[i] = Math.sqrt((sum += values[i] ** 2));
  return errors;
}

/** The first r terms σ u vᵀ of an update, added up at every place of its picture. */
function best({ rank, whole, left, right }, r, high, wide) {
  if (r >= rank) return whole;
  const sum = new Float64Array(high * wide);
  for (let k = 0; k < r; k++)
    for (let i = 0, at = 0; i < high; i++)
      for (let j = 0, factor = left[k * high + i]; j < wide; j++) sum[at++] += factor * right[k * wide + j];
  return sum;
}

/** What a matrix of rank r can hold, in words. */
function meaning(r, full) {
  if (r === 0) return "Rank 0: nothing changes.";
  if (r === full) return "Full rank: nothing is lost, and nothing is saved.";
  const one = r === 1 ? "a multiple of one" : `a mix of the same ${r}`, s = r === 1 ? "" : "s";
  return `Rank ${r}: every row is ${one} row${s}, every column ${one} column${s}. A change that needs further directions is not in it.`;
}

/** Fill a list with names and numbers. */
function list(place, ...rows) {
  place.replaceChildren(...rows.map(([kind, name, said]) => h("div", {}, h("dt", {}, name, " "), h("dd", { "data-number": kind }, said))));
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name), save = (changes) => { model.set(changes); model.save_changes(); };
    const matrices = unpack(get("_numbers"), get("_matrices"));
    let matrix, update, rank, tables, colours, cell = [0, 0], spoken = 0, known = null;

    const select = (names, chosen) => h("select", { onchange(event) { chosen(event.target.selectedIndex); } }, names.map((name) => h("option", {}, name)));
    const which = select(matrices.map(({ name }) => name), (at) => save({ shown: matrices[at].name }));
    const whose = select(Object.values(UPDATES), (at) => save({ update: Object.keys(UPDATES)[at] })), by = h("label", {}, "update by", whose);
    const ranks = slider("rank r", { max: 1, value: 0, show: () => String(rank ?? 0), oninput: (at) => save({ rank: matrix.stops[at] }) });
    const figures = PARTS.map(() => {
      const [canvas, name, low, high] = ["canvas", "figcaption", "span", "span"].map((tag) => h(tag));
      const sheet = h("div", { class: "sheet", onpointermove: (event) => tell(locate(event)), onpointerleave: () => tell(), onclick(event) { cell = locate(event); tell(); } }, canvas, h("i"));
      return { canvas, name, low, high, element: h("figure", {}, name, sheet, h("div", { class: "scale" }, low, h("i"), high)) };
    });
    const pictures = h("div", { class: "pictures", tabindex: 0, role: "application", onkeydown: step }, figures.map(({ element }) => element));
    const charts = [0, 1].map(() => s("svg", { role: "img", class: "plot", viewBox: `0 0 ${WIDE} ${HIGH}` }));
    const [tiles, details, compared] = ["tiles", "", ""].map((name) => h("dl", { class: name }));
    const [read, sample, words, verdict] = ["read", "says", "words", "says"].map((name) => h("p", { class: name }));
    const beside = h("div", {}, h("h5", {}, "LoRA’s update beside the full one"), compared, verdict);
    const status = h("div", { class: "ug-hidden", role: "status" });
    const view = h("div", { class: "ug ug-lora" }, h("h4", { class: "ug-title" }, "What an update of rank r can hold"),
      h("p", { class: "ug-caption" }, "Raise the rank: each step adds one column times one row. Point at a cell to read it; arrow keys move."),
      h("div", { class: "ug-bar" }, h("label", {}, "matrix", which), by), h("div", { class: "ug-bar rank" }, ranks.element), tiles, words, pictures, read, sample, h("div", { class: "charts" }, charts),
      h("div", { class: "panel" }, h("div", {}, details), beside), h("div", { class: "ug-bar" }, saveButton(picture, "lora-view")), status);
    el.append(view);

    /** The theme's colours as pixels, from the strongest negative on. */
    function recolour() {
      const scale = signedScale(view), pixels = Array.from({ length: 2 * LEVELS + 1 }, (_, i) => [...scale(i / LEVELS - 1), 255]);
      colours = new Uint32Array(Uint8Array.from(pixels.flat()).buffer);
      draw();
    }

    function draw() {
      matrix = matrices.find(({ name }) => name === get("shown"));
      update = matrix.updates[get("update")] ?? matrix.updates.full;
      rank = get("rank") > matrix.reach ? matrix.full : get("rank");
      const { rows, columns, before } = matrix, { whole, sign } = update, sum = best(update, rank, rows.length, columns.length);
      tables = [before, whole, sum, whole.map((x, i) => x - sum[i])];
      ["W, before", `${sign}, the update`, `best of rank ${rank}`, "what remains"].forEach(paint);
      cell = [Math.min(cell[0], rows.length - 1), Math.min(cell[1], columns.length - 1)];
      which.selectedIndex = matrices.indexOf(matrix);
      whose.value = UPDATES[update.kind];
      by.hidden = beside.hidden = !matrix.updates.lora;
      ranks.input.max = String(matrix.stops.length - 1);
      ranks.set(matrix.stops.findIndex((stop) => stop >= rank));
      sample.textContent = matrix.sample;
      drawNumbers();
      drawCharts();
      tell();
    }

    /** A number of a picture, with as many digits as its colours' end. */
    const said = (part, number) => format(number, (part ? update : matrix).places);

    function paint(name, part) {
      const { canvas, low, high } = figures[part], { end } = part ? update : matrix, context = canvas.getContext("2d");
      [canvas.width, canvas.height] = [matrix.columns.length, matrix.rows.length];
      const image = context.createImageData(canvas.width, canvas.height);
      new Uint32Array(image.data.buffer).set(tables[part].map((x) => colours[LEVELS + Math.round(LEVELS * clamp(x / (end || 1), -1, 1))]));
      context.putImageData(image, 0, 0);
      [figures[part].name.textContent, low.textContent, high.textContent] = [name, said(part, -end), said(part, end)];
    }

    function drawNumbers() {
      const { full, shape: [d_out, d_in], updates, norm } = matrix, { errors, sign } = update, [size] = errors, error = size ? errors[rank] / size : 0;
      const stored = rank * (d_out + d_in), all = d_out * d_in, enough = errors.findIndex((e) => e * e <= 0.1 * size * size);
      list(tiles, ["error", "error that remains", format(error, 4)], ["kept", `share of ‖${sign}‖² kept`, percent(1 - error ** 2)],
        ["stored", "numbers stored", `${count(stored)} of ${count(all)}`], ["share", "as a share", percent(stored / all)]);
      words.textContent = size ? meaning(rank, full) : "Nothing changed in this matrix.";
      list(details, ["norm", `‖what remains‖, of ‖${sign}‖ = ${digits(size)}`, digits(errors[rank])],
        ["factors", "two factors, r (d_out + d_in)", `${rank} × (${d_out} + ${d_in})`],
        ["enough", `rank that keeps 90\u00a0% of ‖${sign}‖²`, count(enough)], ["small", `‖${sign}‖ / ‖W‖`, norm ? percent(size / norm) : "–"]);
      if (updates.lora) compare(updates.full, updates.lora);
    }

    /** What LoRA's update has in common with the full one. */
    function compare(full, lora) {
      const r = Math.min(rank, full.rank), least = Math.min(r, lora.rank), { ideal, cosine, shape } = matrix;
      const shares = ["out", "in"].map((kind, i) => {
        const shared = matrix.common[i].slice(0, r).reduce((a, b) => a + b, 0) / least, chance = format(Math.max(r, lora.rank) / shape[i]);
        return [kind, `directions ${i ? "read from (V)" : "written to (U)"} in common; by chance ${chance}`, least ? format(shared) : "–"];
      });
      list(compared, ["size", "‖BA‖ / ‖ΔW‖", full.errors[0] ? format(lora.errors[0] / full.errors[0]) : "–"], ["cosine", "cosine of BA and ΔW", format(cosine, 3)],
        ["ideal", `cosine of ΔW’s best of rank ${lora.rank} and ΔW`, format(ideal, 3)], ...shares);
      verdict.textContent = matrix.verdict;
    }

    /** An emptied chart, and what draws into it. */
    function chart(svg, from, title, below, most) {
      const { full } = matrix, y = scaleOf(0, most || 1, FOOT, TOP), up = (n) => text(y.pixel(Math.min(n, y.high))), x = scaleOf(1, full + 1, LEFT, END, true), at = (r) => text(x.pixel(r + 1));
      svg.replaceChildren(write(0, 14, title, "heading"), write((LEFT + END) / 2, FOOT + 30, below, "", "middle"));
      const path = (name, parts) => svg.append(s("path", { class: name, d: parts.join("") }));
      for (let r = from; r <= full; r = 2 * r || 1) svg.append(write(at(r), FOOT + 14, r, "", "middle"));
      for (const tick of ticksOf(y, 4)) {
        path("grid", [`M${LEFT} ${up(tick)}H${END}`]);
        svg.append(write(LEFT - 5, y.pixel(tick) + 4, short(tick), "", "end"));
      }
      const line = (name, numbers) => path(name, Array.from(numbers, (n, i) => `${i ? "L" : "M"}${at(i + from)} ${up(n)}`));
      const note = (said, name, right) => svg.append(write(right ? END : 0, 31, said, `tick ${name}`, right && "end"));
      svg.onpointerdown = svg.onpointermove = (event) => { // pressed or dragged there: the rank there
        const box = svg.getBoundingClientRect(), there = x.value(((event.clientX - box.left) * WIDE) / box.width) - 0.5;
        if (event.buttons) save({ rank: matrix.stops.findLast((stop) => stop <= there) ?? 0 });
      };
      return { at, up, path, line, note };
    }

    function drawCharts() {
      const { sign, errors } = update, [d_out, d_in] = matrix.shape, all = Object.values(matrix.updates), other = all.find((one) => one !== update);
      // each by its own size: LoRA's may be ten times that of the full one
      const of = (list, { errors: [size] }) => list.map((x) => x / (size || 1)), mine = of(errors, update), values = of(update.values, update);
      const stored = Array.from(errors, (_, r) => r / d_out + r / d_in);
      const first = chart(charts[0], 1, `singular values σᵢ / ‖${sign}‖`, "i, from the largest", Math.max(...all.map((one) => of(one.values, one)[0])));
      const second = chart(charts[1], 0, "error that remains", "rank r", 1), { at, up } = second;
      const stems = Array.from(values, (value, k) => `M${first.at(k + 1)} ${FOOT}V${first.up(value)}`);
      first.path("kept", stems.slice(0, rank));
      first.path("lost", stems.slice(rank));
      first.note(`kept: the first ${rank}`, "mine", true);
      second.line("stored", stored.filter((share) => share <= 1));
      if (other) {
        first.line("other", of(other.values, other));
        second.line("other", of(other.errors, other));
        first.note(`line: ${UPDATES[other.kind]}`, "other");
      }
      second.line("error", mine);
      charts[1].append(s("circle", { cx: at(rank), cy: up(mine[rank]), r: 4.5, class: "ring" }));
      second.note("‖what remains‖ / ‖update‖", "mine");
      second.note("– – numbers stored / all", "", true);
      [`Singular values, the largest ${format(values[0])} of ‖${sign}‖`, `Error that remains at rank ${rank}: ${format(mine[rank], 4)}`].forEach((told, i) => charts[i].setAttribute("aria-label", told));
    }

    /** Row and column under the pointer. */
    function locate(event) {
      const box = event.currentTarget.getBoundingClientRect(), at = (share, { length }) => clamp(Math.floor(share * length), 0, length - 1);
      return [at((event.clientY - box.top) / box.height, matrix.rows), at((event.clientX - box.left) / box.width, matrix.columns)];
    }

    function step(event) {
      const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -1e9], End: [0, 1e9] }[event.key];
      if (!by || event.ctrlKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook uses the same keys
      cell = [matrix.rows, matrix.columns].map(({ length }, axis) => clamp(cell[axis] + by[axis], 0, length - 1));
      tell();
    }

    /** Say the cell that is pointed at, or the one that is kept. */
    function tell(there = null) {
      const { rows, columns } = matrix, [i, j] = there ?? cell, high = 100 / rows.length, wide = 100 / columns.length;
      pictures.style.cssText = `--top: ${i * high}%; --left: ${j * wide}%; --wide: ${wide}%; --high: ${high}%`;
      read.replaceChildren(`Row ${rows[i]}, column ${columns[j]}: `, ...tables.flatMap((table, part) => [["before ", ", update ", `, of rank ${rank} `, ", remains "][part], h("b", { "data-number": PARTS[part] }, said(part, table[i * columns.length + j]))]));
      pictures.setAttribute("aria-label", `${read.textContent}. Arrow keys move.`);
      clearTimeout(spoken);
      const sentence = `${about().join(": ")}. ${read.textContent}`;
      known ??= sentence; // what is there from the start is not news
      if (!there && sentence !== known) spoken = setTimeout(() => { status.textContent = known = sentence; }, 500);
    }
    const about = () => [`${matrix.name}, ${UPDATES[update.kind]}, rank ${rank}`, [...tiles.children].map((tile) => tile.textContent).join(", ")];

    /** Pictures and charts in one. */
    function picture() {
      const side = 171, tall = (side * matrix.rows.length) / matrix.columns.length, group = (x, y, ...nodes) => s("g", { transform: `translate(${x} ${y})` }, nodes);
      const drawn = figures.map(({ canvas, name, low, high }, part) => group(part * (side + 12), 46, write(0, 0, name.textContent, "heading"),
        s("image", { y: 8, width: side, height: tall, href: canvas.toDataURL(), "image-rendering": "pixelated", preserveAspectRatio: "none" }), write(0, tall + 23, `${low.textContent} orange, ${high.textContent} blue`)));
      return s("svg", { viewBox: `-10 0 740 ${tall + 110 + HIGH}`, class: "plot" }, about().map((line, i) => write(0, 10 + 15 * i, line)), drawn, write(0, tall + 92, matrix.sample),
        charts.map((svg, i) => group(370 * i, tall + 106, [...svg.children].map((node) => node.cloneNode(true)))));
    }

    // The status has a width once it is in the page, and only there are colours.
    const stops = [onWidth(status, recolour), follow(model, ["shown", "update", "rank"], draw), onTheme(recolour), () => clearTimeout(spoken)];
    return () => { for (const stop of stops) stop(); };
  },
};

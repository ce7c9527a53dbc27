// The widget of fine-tuning runs: a map of methods and rates, each method over the amount of data, and
// cells side by side, with their loss and what they cost. See fine_tune_cells.js.

const LEFT = 44, RIGHT = 14, TOP = 24, TALL = 230, LEGEND = 20, ENTRY = 175; // the picture over the amount of data, in pixels
const ROW = 34, HEADS = 38, WORDY = 62; // a row of the map; what is above them; a cell so wide holds the range too
const OVER = 32, LOW = 104, UNDER = 20, LEAST = 128, MOST = 280, BETWEEN = 10; // loss curves side by side
const KEPT = 8, LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", COLOURS = 8;
const SHAPES = ["m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z", "m-3-3h6v6h-6z", "m0-4.2l4 7h-8z", "m0-4.6l4 4.6l-4 4.6l-4-4.6z", "m0 4.2l4-7h-8z"]; // from their middle
const shapeOf = (number) => SHAPES[number % SHAPES.length];

const put = (x, y, said, kind = "tick", more = {}) => s("text", { x: text(x), y: text(y), class: kind, ...more }, said);
const pen = (kind, d, { number }, more = {}) => s("path", { class: kind, d, style: `${/marks|band/.test(kind) ? "fill" : "stroke"}: var(--fe-${number % COLOURS})`, ...more });
const sample = (one) => [pen("line", "M0 0h22", one), pen("marks", `M11 0${shapeOf(one.number)}`, one)];
const clipped = (x, y, width, ...inside) => s("svg", { x: text(x), y: text(y), width: text(Math.max(0, width)), height: 30 }, inside);

/** An upright scale for these values, with some room, or from 0 to 1 where there are none. */
function upright(values, tall) {
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1], room = 0.06 * (high - low || 0.5);
  return scaleOf(low - room, high + room, tall, 0);
}

/** A frame with its grid; `xs` and `ys`: the values of the ticks, their axis, and how they are written. */
function frame(x, y, wide, tall, along, up, [xs, xAxis, xShow], [ys, yAxis, yShow]) {
  const line = (d) => s("path", { d, class: "grid" }), tick = (axis, value) => ({ "data-axis": axis, "data-value": value });
  return [...ys.flatMap((v) => [line(`M${text(x)} ${text(y + up.pixel(v))}h${text(wide)}`), yShow && put(x - 5, y + up.pixel(v) + 4, yShow(v), "tick end", tick(yAxis, v))]),
    ...xs.flatMap((v) => [line(`M${text(x + along.pixel(v))} ${y}v${tall}`), put(x + along.pixel(v), y + tall + 14, xShow(v), "tick mid", tick(xAxis, v))]),
    s("rect", { x: text(x), y, width: text(wide), height: tall, class: "frame" })].filter(Boolean);
}

function render({ model, el }) {
  const get = (name) => model.get(name);
  const save = (changes) => { model.set(changes); model.save_changes(); };
  const grid = gridOf(get("_methods"), get("_cells")), blocks = decode(get("_curves")), lists = [];
  let width = 640, index = 0;
  for (const cell of grid.cells) {
    cell.run = runOf(cell, index, blocks.filter(({ seed }) => seed >= index && seed < index + cell.seeds), lists);
    lists.push(cell.run.x, cell.run.at);
    index += cell.seeds;
  }

  const mine = () => grid.methods.find(({ name }) => name === get("method"));
  const chosen = () => grid.find(mine().number, get("rate"), get("amount"));
  const choose = ({ name, rate, amount }) => save({ method: name, rate, amount });
  const kept = () => get("compared").map(([name, rate, amount]) => grid.cells.find((cell) => cell.name === name && cell.rate === rate && cell.amount === amount));
  /** The cell that stands for a method: at its best rate, or at the chosen one. */
  const entry = ({ number, rows }, amount) => (get("at") === "best" ? rows.get(amount).best : grid.find(number, get("rate"), amount));
  const ranked = (amount) => grid.methods.map((one) => entry(one, amount)).filter((cell) => cell?.place).sort((a, b) => b.mean - a.mean);
  const tall = (svg, height) => svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const how = () => (get("at") === "best" ? "each method at its best rate" : `all at rate ${rateText(get("rate"))}`);
  /** What stands side by side: what is kept, or each method; and the chosen cell. */
  const beside = () => [...new Set([...(kept().length ? kept() : grid.methods.map((one) => entry(one, get("amount")))), chosen()])].filter(Boolean);
  /** Keep the chosen cell, or, if it is kept, keep it no more. */
  function keep() {
    const cell = chosen(), list = kept(), more = list.includes(cell) ? list.filter((other) => other !== cell) : [...list, cell];
    if (cell && more.length <= KEPT) save({ compared: more.map(({ name, rate, amount }) => [name, rate, amount]) });
  }

  // Controls and places

  const select = (said, name, options) => {
    const node = h("select", { onchange() { save({ [name]: node.value }); } }, options.map(([value, words]) => h("option", { value }, words)));
    return { node, name, element: h("label", {}, said, node) };
  };
  const button = (said, onclick) => h("button", { type: "button", onclick }, said), bar = (...inside) => h("div", { class: "ug-bar" }, inside);
  const amount = slider("training sentences", { min: 0, max: grid.amounts.length - 1, step: 1, value: 0, show: (i) => grouped(grid.amounts[i]), oninput: (i) => save({ amount: grid.amounts[i] }) });
  const keeps = button("", keep), none = button("Keep none", () => save({ compared: [] }));
  const selects = [select("map of", "colour", Object.entries(MEASURES).map(([name, [said]]) => [name, said])),
    select("each method", "at", [["best", "at its best rate"], ["chosen", "at the chosen rate"]])];
  const now = h("p", { class: "now", "aria-live": "polite" }), lead = h("p", { class: "lead" }), key = h("p", { class: "key" }), title = h("h5", {}), table = h("table", { class: "values" });
  const cells = s("g", { tabindex: 0, role: "application", class: "cells", onkeydown: step });
  const map = s("svg", { class: "plot map", role: "group", "aria-label": "The grid of runs" }, cells), [over, losses] = ["over", "losses"].map((name) => s("svg", { class: `plot ${name}`, role: "img" }));
  const place = h("div", {}, map), view = h("div", { class: "ug ug-tuning" }, h("h4", { class: "ug-title" }, "Method, learning rate, amount of data"),
    h("p", { class: "ug-caption" }, "Choose a cell with a click or the arrow keys; a second click (or Enter) keeps it below, to be compared. Accuracy is that on the validation part."),
    bar(amount.element), now, bar(selects[0].element), place, bar(selects[1].element), over, lead, title, bar(keeps, none), losses,
    h("div", { class: "ug-scroll" }, table), key, bar(saveButton(picture, "fine-tuning")));
  el.append(view);

  // The map

  function drawMap(list) {
    const { rates, methods } = grid, n = get("amount"), side = Math.min(110, width * 0.26), wide = (width - side) / rates.length, measure = get("colour"), [name, heading, show] = MEASURES[measure];
    const share = shareOf(grid, measure), scale = weightScale(view), strong = (on) => (on ? " on" : "");
    const inside = (cell, best) => {
      const value = cell[measure], known = Number.isFinite(value), colour = known ? scale(0.06 + 0.94 * share(value)) : null, among = list.indexOf(cell), range = measure === "accuracy" && wide >= WORDY && cell.kept.length > 1;
      const label = `${cell.said} at ${rateText(cell.rate)}: ${accuracyOf(cell)}${measure !== "accuracy" && known ? `, ${name} ${show(value)}` : ""}${best ? "; the best rate here" : ""}${among < 0 ? "" : `; below as ${LETTERS[among]}`}`;
      return [{ role: "img", "aria-label": label, "data-cell": `${cell.name},${cell.rate}`, style: colour && `fill: ${inkOn(colour)}`, onclick() { if (cell === chosen()) keep(); else choose(cell); } }, colour && `fill: ${css(colour)}`,
        put(wide / 2, range ? 16 : 24, known ? show(value) : "–", "mid value"), range && put(wide / 2, 28, `${hundred(cell.low)}–${hundred(cell.high)}`, "mid range"),
        (best || cell.lost) && put(wide - 4, 12, best ? "★" : "✕", "end mark"), among >= 0 && put(4, 12, LETTERS[among], "mark")];
    };
    cells.replaceChildren(put(0, 12, `${heading}, ${withData(n)}`, "plot-title"), put(0, HEADS - 6, "rate"), ...rates.map((r, j) => put(side + (j + 0.5) * wide, HEADS - 6, rateText(r), `tick mid${strong(r === get("rate"))}`)),
      ...methods.flatMap((one, i) => [clipped(0, HEADS + i * ROW, side - 4, s("g", { transform: `translate(0 ${ROW / 2})` }, sample(one)), put(27, ROW / 2 + 4, one.said, `tick${strong(one === mine())}`)),
        ...rates.map((r, j) => {
          const cell = grid.find(i, r, n), [props, style, ...parts] = cell ? inside(cell, cell === one.rows.get(n).best) : [{}, null, put(wide / 2, 21, "–", "tick mid")];
          return s("g", { ...props, transform: `translate(${text(side + j * wide)} ${HEADS + i * ROW})`, class: `${cell ? "cell" : "none"}${one === mine() && r === get("rate") ? " chosen" : ""}` }, s("rect", { x: 2, y: 2, width: text(Math.max(0, wide - 4)), height: ROW - 4, rx: 3, style }), parts);
        })]));
    tall(map, HEADS + methods.length * ROW + 2);
  }

  /** The arrow keys choose the next cell in their direction that was run. */
  function step(event) {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key], { methods, rates, find } = grid;
    if (!move && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (!move) return keep();
    let i = mine().number, j = rates.indexOf(get("rate")), cell = null;
    while (!cell && methods[i += move[0]] && rates[j += move[1]]) cell = find(i, rates[j], get("amount"));
    if (cell) choose(cell);
  }

  // Over the amount of data

  function drawOver() {
    const { amounts, methods } = grid, inside = width - LEFT - RIGHT, n = get("amount"), apart = Math.min(5, 18 / methods.length), columns = Math.max(1, Math.floor((width - LEFT) / ENTRY)), foot = TOP + TALL + 40;
    const rows = methods.map((one) => ({ one, list: amounts.map((of) => entry(one, of)) })), y = upright(rows.flatMap(({ list }) => list.flatMap((cell) => cell?.kept ?? [])), TALL);
    const along = scaleOf(amounts[0] / 1.3, amounts.at(-1) * 1.3, 0, inside, true);
    const shapes = [put(LEFT, TOP - 8, `accuracy over the amount of data${width < 480 ? "" : `, ${how()}`}`, "plot-title"), ...frame(LEFT, TOP, inside, TALL, along, y, [amounts, "amount", grouped], [ticksOf(y, 6), "accuracy", (v) => `${short(100 * v)}\u00a0%`]),
      s("path", { d: `M${text(LEFT + along.pixel(n))} ${TOP}v${TALL}`, class: "level" }), put(LEFT + inside, TOP + TALL + 29, "training sentences (logarithmic)", "tick end")];
    for (const { one, list } of rows.sort((a, b) => (a.one === mine()) - (b.one === mine()))) {
      const across = (cell) => text(LEFT + along.pixel(cell.amount) + (one.number - (methods.length - 1) / 2) * apart); // beside one another, so that no seed hides another
      const up = (v) => text(TOP + y.pixel(v)), each = (make) => list.map((cell, i) => (cell?.kept.length ? make(cell, list[i - 1]) : "")).join(""), cell = entry(one, n), on = one === mine();
      for (const [kind, d] of [["line", each((here, before) => `${before?.kept.length ? "L" : "M"}${across(here)} ${up(here.mean)}`)], ["spread", each((here) => `M${across(here)} ${up(here.low)}V${up(here.high)}`)],
        ["dots", each((here) => here.kept.map((v) => `M${across(here)} ${up(v)}h0`).join(""))], ["marks", each((here) => `M${across(here)} ${up(here.mean)}${shapeOf(one.number)}`)]]) shapes.push(pen(kind + (on ? " chosen" : ""), d, one, { "data-over": kind, "data-method": one.number }));
      shapes.push(clipped(LEFT + (one.number % columns) * ENTRY, foot + Math.floor(one.number / columns) * LEGEND, ENTRY - 5, s("g", { transform: "translate(0 9)" }, sample(one)),
        put(27, 13, `${one.said} ${cell ? `${result(cell)} at ${rateText(cell.rate)}` : "–"}`, on ? "tick on" : "tick")));
    }
    over.replaceChildren(...shapes);
    tall(over, foot + Math.ceil(methods.length / columns) * LEGEND + 4);
  }

  // Side by side

  /** The loss of each cell over its steps, on one axis of loss. */
  function drawLosses(list) {
    const runs = list.map((cell) => ({ cell, steps: cell.run.x, at: cell.run.at, loss: cell.run.curves.loss, check: cell.run.curves.validation?.y }));
    const y = upright(runs.flatMap(({ loss, check }) => [loss?.y, ...(loss?.range ?? []), check].flatMap((list) => [...(list ?? [])])).filter(Number.isFinite), LOW);
    const lines = Math.max(1, Math.ceil(runs.length / Math.max(1, Math.floor((width - LEFT + BETWEEN) / (LEAST + BETWEEN))))), columns = Math.ceil(runs.length / lines) || 1, wide = Math.min(MOST, (width - LEFT - 4 - BETWEEN * (columns - 1)) / columns);
    losses.replaceChildren(...runs.flatMap(({ cell, steps, at, loss, check }, i) => {
      const px = LEFT + (i % columns) * (wide + BETWEEN), py = Math.floor(i / columns) * (OVER + LOW + UNDER), one = grid.methods[cell.method], [first, last] = steps.length ? [steps[0], steps.at(-1)] : [0, 1];
      const x = scaleOf(first - (first === last), last, 0, wide), pixels = Float64Array.from(steps, x.pixel), path = (kind, d) => pen(kind, d, one, { "data-curve": kind });
      return [clipped(px, py, wide, put(0, 12, `${LETTERS[i]} ${cell.said}`, "plot-title"), put(0, 26, `${rateText(cell.rate)}, ${grouped(cell.amount)}: ${result(cell)}`)),
        ...frame(px, py + OVER, wide, LOW, x, y, [ticksOf(x, 3, 1).filter((v) => x.pixel(v) < wide - 8), `step ${i}`, short], [ticksOf(y, 4), "loss", i % columns ? null : short]),
        s("svg", { x: text(px), y: py + OVER, width: text(wide), height: LOW, "data-panel": i }, loss ? [loss.range && path("band", area(pixels, loss.range, y, 0, pixels.length)), path("line", trace(pixels, loss.y, y, 0, pixels.length))] : put(8, 20, "no curve"),
          check && path("check", trace(Float64Array.from(at, x.pixel), check, y, 0, at.length)))];
    }));
    tall(losses, lines * (OVER + LOW + UNDER));
    losses.setAttribute("aria-label", `Loss while training: ${runs.map(({ cell, check }, i) => `${LETTERS[i]} ${cell.said}${check ? `, validation at last ${digits(check.at(-1))}` : ""}`).join("; ")}`);
  }

  /** What the cells side by side came to and cost; a bar is the share of the largest here. */
  function drawTable(list) {
    const heads = ["", "method", "rate", "sentences", "accuracy", ...COSTS.map((cost) => MEASURES[cost][0])], most = Object.fromEntries(COSTS.map((cost) => [cost, Math.max(...list.map((cell) => cell[cost] || 0)) || 1]));
    const td = (k, ...inside) => h("td", { "data-column": heads[k] }, inside), range = ({ kept, low, high, lost, seeds }) => (kept.length > 1 ? `${hundred(low)} to ${hundred(high)}` : kept.length ? "one seed" : "") + (lost ? ` ${lost} of ${seeds} lost` : "");
    table.replaceChildren(h("thead", {}, h("tr", {}, heads.map((said) => h("th", { scope: "col" }, said)))), h("tbody", {}, list.map((cell, i) => h("tr", { "aria-current": String(cell === chosen()) }, td(0, LETTERS[i]),
      h("th", { scope: "row" }, s("svg", { width: 22, height: 12, viewBox: "0 -6 22 12", "aria-hidden": "true" }, sample(grid.methods[cell.method])), cell.said), td(2, rateText(cell.rate)), td(3, grouped(cell.amount)), td(4, result(cell), h("small", {}, range(cell))),
      COSTS.map((cost, k) => td(5 + k, cell[cost] >= 0 ? MEASURES[cost][2](cell[cost]) : "–", h("i", { style: `width: ${100 * ((cell[cost] || 0) / most[cost])}%` })))))));
  }

  function words() {
    const one = mine(), n = get("amount"), cell = chosen(), [first, ...more] = sentences(grid, one, get("rate"), n), list = kept(), held = list.includes(cell);
    const all = [first, ...more].join(" ");
    if (now.textContent !== all) now.replaceChildren(h("strong", {}, first), all.slice(first.length));
    lead.replaceChildren(h("strong", {}, `W${withData(n).slice(1)}, ${how()}: `), `${leading(ranked(n), entry(one, n))} In the lead: ${turns(grid.amounts.map((of) => [of, ranked(of)[0]])) || "none"}.`);
    over.setAttribute("aria-label", `Accuracy over the amount of data. ${lead.textContent}`);
    cells.setAttribute("aria-label", all);
    title.textContent = `Side by side: ${list.length ? "what you keep" : how()}, and the chosen cell`;
    keeps.textContent = held ? "Keep this cell no more" : "Keep this cell";
    for (const [node, on] of [[keeps, cell && (held || list.length < KEPT)], [none, list.length]]) node.setAttribute("aria-disabled", String(!on));
    amount.set(grid.amounts.indexOf(n));
    for (const { node, name } of selects) node.value = get(name);
    key.textContent = ["★ The best rate of its row: chosen on these validation sentences, so it flatters a little.", grid.cells.some(({ lost }) => lost) && "✕ A seed diverged: no place among the rates.", "Upright bars and bands: from the lowest seed to the highest. Lines: the mean; dashed: validation loss.", get("_apart") > 1 && `A point of a long run is the mean of up to ${get("_apart")} steps.`].filter(Boolean).join(" ");
  }

  function draw() {
    const list = beside();
    drawMap(list);
    drawOver();
    drawTable(list);
    drawLosses(list);
    words();
  }

  /** The drawings, one beneath the other. */
  function picture() {
    let y = 0;
    const parts = [map, over, losses].map((svg) => {
      const { height } = svg.viewBox.baseVal;
      y += height + 14;
      return fill(svg.cloneNode(true), { y: y - height - 14, width, height }, []);
    });
    return s("svg", { class: "plot", viewBox: `0 0 ${width} ${y}` }, parts);
  }

  const ask = onceAFrame({ draw }), again = () => ask("draw");
  const stops = [onTheme(again), onWidth(place, (here) => { width = here; draw(); }), follow(model, ["method", "rate", "amount", "compared", "colour", "at"], again)];
  return () => { for (const stop of stops) stop(); };
}

export default { render };

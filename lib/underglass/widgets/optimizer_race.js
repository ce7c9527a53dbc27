// The widget of the race: the surface as a map, heights over the step beside it (beneath it on a
// phone), and a table that tells how each runner fares. Joined after scales.js,
// race_steps.js (the race itself) and contours.js; see frame.py.

const TOP = 24, LEFT = 30, RIGHT = 14, GAP = 56, FOOT = 34; // pixels around the map and the plot
const LOW_PLOT = 120, NARROW = 560; // a narrow picture has the plot, so high, beneath the map
const SECONDS = 8; // that a race takes on the screen
const GRID = 140, LEVELS = 13; // columns that contours are found on; contours
const APART = 4; // pixels between two dots of a path, at least
const FLOOR = 1e-10; // the lowest height that a logarithmic axis reaches
const OUTSIDE = 4000; // pixels: paths that leave the picture are drawn no farther
const RATES = [-5, 1], FACTORS = [-1, 1]; // powers of ten: the ends of the sliders
const SHAPES = [ // each drawn from its middle: they tell runners apart where colours do not
  "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z", "m-3-3h6v6h-6z", "m0-4.2l4 7h-8z", "m0-4.6l4 4.6l-4 4.6l-4-4.6z", "m0 4.2l4-7h-8z",
  "m-1.2-4h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8v-2.4h2.8z", "m-4-2l2-2l2 2l2-2l2 2l-2 2l2 2l-2 2l-2-2l-2 2l-2-2l2-2z",
];
const DASHED = { Nesterov: "6 3", AdamW: "6 3" }; // whoever often runs on another's path lets it show through

const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const colourOf = (i) => `var(--or-${i})`;
const plain = (x) => (Number.isFinite(x) ? short(Number(x.toPrecision(3))) : digits(x));
const hundredth = (x) => (Math.abs(x) < 1000 ? format(x, 2) : plain(x));

/** A runner's line and mark, as in the picture. */
const sample = (i) => s("svg", { width: 30, height: 12, viewBox: "0 -6 30 12", "aria-hidden": "true" },
  s("path", { d: "M0 0h30", fill: "none", style: `stroke: ${colourOf(i)}`, "stroke-width": 2, "stroke-dasharray": DASHED[RUNNERS[i]] }),
  s("path", { d: `M15 0${SHAPES[i]}`, style: `fill: ${colourOf(i)}` }));

/**
 * A path that grows with the race: how it looks at step t is the beginning of its text, so that a
 * frame of the race has nothing to compute. Dots stand at the steps, where these are far apart.
 * @param {(t: number) => number} x, y pixels at step t
 */
function strand(last, x, y, shape, dotted, marked) {
  const px = new Float64Array(last + 1), py = new Float64Array(last + 1);
  const ends = { line: new Uint32Array(last + 1), dots: new Uint32Array(last + 1), marks: new Uint32Array(last + 1) };
  let line = "", dots = "", marks = "", before = "", dotX = Infinity, dotY = 0;
  for (let t = 0; t <= last; t++) {
    const [a, b] = [clamp(x(t), -OUTSIDE, OUTSIDE) || 0, clamp(y(t), -OUTSIDE, OUTSIDE) || 0], here = `${text(a)} ${text(b)}`;
    [px[t], py[t]] = [a, b];
    if (here !== before) line += (t ? "L" : "M") + here; // who rests adds nothing
    before = here;
    if (dotted && !(Math.abs(a - dotX) + Math.abs(b - dotY) < APART)) {
      dots += `M${here}h0`;
      [dotX, dotY] = [a, b];
    }
    if (marked(t)) marks += `M${here}${shape}`;
    [ends.line[t], ends.dots[t], ends.marks[t]] = [line.length, dots.length, marks.length];
  }
  return { parts: { line, dots, marks }, ends, px, py };
}

/** How a runner fares at step t, in words. */
function fares({ x, y, heights, below, last, diverged }, t, [left, right, bottom, top]) {
  if (diverged && t >= last) return `diverged at step ${last}`;
  if (below[t] >= 0) return `arrived at step ${below[t]}`;
  if (x[t] < left || x[t] > right || y[t] < bottom || y[t] > top) return "outside the picture";
  if (heights[t] > heights[0]) return "higher than its start";
  if (t >= 10 && Math.hypot(x[t] - x[t - 10], y[t] - y[t - 10]) < 0.005) return "hardly moves";
  return t ? "on its way" : "at the start";
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name);
    const save = (changes) => { model.set(changes); model.save_changes(); };
    const ground = () => GROUNDS[get("surface")], about = () => get("_surfaces")[get("surface")];
    const start = () => (get("start").length ? get("start") : about().start);
    const rateOf = (name) => get("rates")[name] ?? about().rates[name];
    const selected = () => get("selected") || get("optimizers")[0] || "SGD";
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    const bytes = get("_noise"), noise = Float64Array.from(new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)));
    let width = 640, plan = null, runs = new Map(), frame = 0, at = 0, told = 0;

    // ------------------------------------------------------------ controls
    const choice = h("select", { onchange: () => save({ surface: choice.value, start: [], rates: {}, factor: 1, step: null }) },
      Object.entries(get("_surfaces")).map(([name, { title }]) => h("option", { value: name }, title)));
    const log = h("input", { type: "checkbox", onchange: () => save({ log_height: log.checked }) });
    const words = h("p", { class: "ug-caption about" });
    const play = h("button", { type: "button", class: "ug-primary play", onclick: () => save({ playing: !get("playing") }) }, "Play");
    const one = h("button", { type: "button", onclick: () => halt(Math.min(current() + 1, get("steps"))) }, "One step");
    const again = h("button", { type: "button", onclick: restart }, "Restart");
    const step = slider("step", { min: 0, max: get("steps"), step: 1, value: 0, oninput: halt });
    const runner = h("select", { "aria-label": "runner whose rate is set", onchange: () => save({ selected: runner.value }) }, RUNNERS.map((name) => h("option", {}, name)));
    const power = (x) => Number((10 ** x).toPrecision(2));
    const rate = slider("rate", { min: RATES[0], max: RATES[1], step: 0.02, value: 0, show: (x) => plain(power(x)), oninput: (x) => save({ rates: { ...get("rates"), [selected()]: power(x) } }) });
    const factor = slider("all rates ×", { min: FACTORS[0], max: FACTORS[1], step: 0.02, value: 0, show: (x) => plain(power(x)), oninput: (x) => save({ factor: power(x) }) });
    const beta1 = slider("β₁ (momentum)", { min: 0, max: 0.99, step: 0.01, value: 0, show: plain, oninput: (x) => save({ betas: [x, get("betas")[1]] }) });
    const beta2 = slider("β₂ (alpha)", { min: 0, max: 0.999, step: 0.001, value: 0, show: plain, oninput: (x) => save({ betas: [get("betas")[0], x] }) });
    const decay = slider("weight decay", { min: 0, max: 0.5, step: 0.01, value: 0, show: plain, oninput: (x) => save({ weight_decay: x }) });
    const length = slider("steps of a race", { min: 10, max: 500, step: 10, value: 200, oninput: (x) => save({ steps: x, step: null }) });
    const reset = h("button", { type: "button", onclick: () => save({ start: [], rates: {}, factor: 1, betas: [0.9, 0.99], weight_decay: 0, step: null }) }, "Reset settings");
    const note = h("p", { class: "key" }), status = h("p", { class: "ug-hidden", role: "status" });

    // ------------------------------------------------------------ picture and table
    const svg = s("svg", { role: "group", "aria-label": "Race", class: "plot" });
    const map = s("svg", { x: LEFT, y: TOP, "aria-hidden": "true" }), hills = s("g", {}), flags = s("path", { class: "flag" }), origin = s("path", { class: "origin" });
    const plot = s("svg", { y: TOP, "aria-hidden": "true" }), axes = s("g", { "aria-hidden": "true" }), cursor = s("path", { class: "cursor" });
    const drop = s("path", { class: "drop" }), grip = s("rect", { x: LEFT, y: TOP, class: "grip", tabindex: 0, role: "slider", "aria-label": "Start: arrow keys move it, Home puts it back" });
    const scrub = s("rect", { y: TOP, class: "scrub" });
    const nodes = RUNNERS.map((name, i) => {
      const pen = (kind, more = {}) => s("path", { class: kind, style: `stroke: ${colourOf(i)}`, "stroke-linejoin": "round", "stroke-linecap": "round", "data-runner": name, "data-part": kind, ...more });
      const pens = () => ({ line: pen("line", { "stroke-dasharray": DASHED[name] }), dots: pen("dots"), marks: pen("marks", { style: `fill: ${colourOf(i)}` }) });
      const head = () => s("path", { class: "head", d: `M0 0${SHAPES[i]}`, style: `fill: ${colourOf(i)}`, "data-runner": name, "data-part": "head" });
      return { name, map: pens(), plot: pens(), mapHead: head(), plotHead: head() };
    });
    const inMap = s("g", {}), inPlot = s("g", {});
    map.append(hills, origin, flags, inMap, drop);
    plot.append(cursor, inPlot);
    svg.append(axes, map, plot, scrub, grip);
    const rows = RUNNERS.map((name, i) => {
      const check = h("input", { type: "checkbox", "aria-label": `${name} runs`, onchange: () => save({ optimizers: RUNNERS.filter((other) => (other === name ? check.checked : get("optimizers").includes(other))) }) });
      const pick = h("button", { type: "button", class: "rate", title: `set the rate of ${name}`, onclick: () => { save({ selected: name }); rate.input.focus(); } }, "");
      const cells = Object.fromEntries(["height", "place", "fares"].map((column) => [column, h("td", { "data-column": column }, "")]));
      return { name, check, pick, cells, row: h("tr", { "data-runner": name }, h("th", { scope: "row" }, h("label", {}, check, sample(i), name)), h("td", { "data-column": "rate" }, pick), Object.values(cells)) };
    });
    const table = h("table", { class: "values" }, h("caption", { class: "ug-hidden" }, "The runners at the step shown"),
      h("thead", {}, h("tr", {}, ["runner", "rate", "height", "place (x, y)", "how it fares"].map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows.map(({ row }) => row)));
    const place = h("div", { class: "place" }, svg);
    el.append(h("div", { class: "ug ug-race" }, h("h4", { class: "ug-title" }, "Optimizer race"),
      h("p", { class: "ug-caption" }, "Click the map, or drag across it, to drop a new start. Dots are steps; a runner's mark stands at steps 4, 8, 16, 32 and so on."),
      h("div", { class: "ug-bar" }, h("label", {}, "surface", choice), h("label", {}, log, "logarithmic heights")), words, place,
      h("div", { class: "ug-bar run" }, play, one, again, step.element),
      h("div", { class: "settings" }, h("div", { class: "of" }, h("label", {}, "rate of", runner), rate.element), factor.element, beta1.element, beta2.element, decay.element, length.element),
      note, table, status, h("div", { class: "ug-bar" }, reset, saveButton(picture, "race"))));
    rate.element.firstChild.remove(); // its name stands in the list before it

    // ------------------------------------------------------------ the race
    const current = () => (frame ? Math.floor(at) : Math.min(get("step") ?? Infinity, get("steps")));
    const active = () => nodes.filter(({ name }) => get("optimizers").includes(name));

    /** Run it anew, and lay out what `show` then reveals. */
    function race() {
      const [beta1Now, beta2Now] = get("betas"), steps = get("steps"), sigma = about().noise;
      const drawn = sigma ? noise.map((x) => x * sigma) : null;
      runs = new Map(active().map(({ name }) => {
        const options = { rate: rateOf(name) * get("factor"), beta1: beta1Now, beta2: beta2Now, decay: get("weight_decay") };
        return [name, run(name, ground(), start(), options, drawn, steps)];
      }));
      scales();
      for (const one of nodes) {
        const found = runs.get(one.name), i = RUNNERS.indexOf(one.name);
        one.strands = null;
        if (!found) continue;
        const { x, y, time, height } = plan, apart = Math.max(2, Math.round(steps / 5));
        one.strands = {
          map: strand(found.last, (t) => x.pixel(found.x[t]), (t) => y.pixel(found.y[t]), SHAPES[i], true, (t) => t > 2 && (t & (t - 1)) === 0),
          plot: strand(found.last, time.pixel, (t) => height.pixel(Math.max(found.heights[t], height.floor)), SHAPES[i], false, (t) => t % apart === Math.round((apart * i) / RUNNERS.length)),
        };
      }
      arrange();
      controls();
      show();
    }

    /** Who is selected runs in front. */
    function arrange() {
      const order = active().sort((a, b) => Number(a.name === selected()) - Number(b.name === selected())), key = order.map(({ name }) => name).join();
      if (inMap.dataset.key === key) return;
      inMap.dataset.key = key;
      const pens = (part, head) => [...order.flatMap((one) => Object.values(one[part])), ...order.map((one) => one[head])];
      inMap.replaceChildren(...pens("map", "mapHead"));
      inPlot.replaceChildren(...pens("plot", "plotHead"));
      for (const one of nodes) for (const part of ["map", "plot"]) one[part].line.classList.toggle("chosen", one.name === selected());
    }

    /** The axes of the plot follow the heights that there are. */
    function scales() {
      let [low, high] = [Infinity, 0];
      for (const { heights, last } of runs.values()) {
        for (let t = 0; t <= last; t++) {
          if (heights[t] < low) low = heights[t];
          if (heights[t] > high) high = heights[t];
        }
      }
      const first = ground().height(...start()), onLog = get("log_height");
      high = Math.min(high || 1, Math.max(first, GOAL) * (onLog ? 1e3 : 1.5)); // who diverges leaves the plot
      low = onLog ? clamp(low / 2, FLOOR, high / 100) : 0;
      plan.height = scaleOf(low, high * (onLog ? 2 : 1.05), plan.deep, 0, onLog);
      plan.height.floor = onLog ? low : -Infinity;
      plan.time = scaleOf(0, get("steps"), 0, plan.long, false);
      const ticks = [ticksOf(plan.height, Math.max(3, plan.deep / 34)), ticksOf(plan.time, plan.long / 56, 1)], key = [...ticks, low, high, onLog].join();
      if (plan.key !== key) {
        plan.key = key;
        axes.replaceChildren(...plan.fixed, s("text", { x: plan.from, y: plan.top - 8, class: "plot-title" }, `height${onLog ? " (logarithmic)" : ""}`),
          ...ticks[0].flatMap((z) => tick(plan.from, plan.top + plan.height.pixel(z), `h${plan.long}`, z, "height")),
          ...ticks[1].flatMap((t) => tick(plan.from + plan.time.pixel(t), plan.top + plan.deep, `v${-plan.deep}`, t, "step")));
      }
      const [x, y] = start();
      drop.setAttribute("d", `M${text(plan.x.pixel(x))} ${text(plan.y.pixel(y))}m-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0z`);
    }

    /** A tick with its line across; numbers of y axes stand at the left, of x axes beneath. */
    function tick(x, y, across, value, axis) {
      const side = axis === "height" || axis === "y";
      return [s("path", { d: `M${text(x)} ${text(y)}${across}`, class: "grid" }),
        s("text", { x: text(side ? x - 5 : x), y: text(side ? y + 4 : y + 14), class: "tick", "text-anchor": side ? "end" : "middle", "data-axis": axis, "data-value": value }, short(value))];
    }

    /** Where everything stands, and the surface itself. */
    function draw() {
      const narrow = width < NARROW, [left, right, bottom, top] = about().window;
      const wide = (narrow ? width - RIGHT : Math.round(width * 0.6)) - LEFT, tall = Math.round((wide * (top - bottom)) / (right - left));
      const from = narrow ? LEFT + 14 : LEFT + wide + GAP, under = narrow ? TOP + tall + FOOT + TOP : TOP;
      plan = { wide, tall, from, top: under, long: width - RIGHT - from, deep: narrow ? LOW_PLOT : tall, x: scaleOf(left, right, 0, wide), y: scaleOf(bottom, top, tall, 0) };
      const ticks = [...ticksOf(plan.x, wide / 60).flatMap((x) => tick(LEFT + plan.x.pixel(x), TOP + tall, "v4", x, "x")), ...ticksOf(plan.y, tall / 50).flatMap((y) => tick(LEFT, TOP + plan.y.pixel(y), "h-4", y, "y"))];
      plan.fixed = [...ticks, s("text", { x: LEFT, y: TOP - 8, class: "plot-title" }, "the map: y over x"),
        s("rect", { x: LEFT, y: TOP, width: wide, height: tall, class: "frame" }), s("rect", { x: from, y: under, width: plan.long, height: plan.deep, class: "frame" }),
        s("text", { x: width - RIGHT, y: under + plan.deep + 28, class: "tick", "text-anchor": "end" }, "step")];
      const size = (node, values) => { for (const [name, value] of Object.entries(values)) node.setAttribute(name, String(value)); };
      for (const node of [map, grip]) size(node, { width: wide, height: tall });
      for (const node of [plot, scrub]) size(node, { x: from, y: under, width: plan.long, height: plan.deep });
      svg.setAttribute("viewBox", `0 0 ${width} ${under + plan.deep + FOOT}`);
      contours();
      race();
    }

    function contours() {
      const { height, spread } = ground(), columns = GRID, rows = Math.round((GRID * plan.tall) / plan.wide), { x, y, wide, tall } = plan;
      const heights = new Float64Array(columns * rows); // their roots, which are nearly straight between two points
      for (let n = 0; n < heights.length; n++) heights[n] = Math.sqrt(height(x.value(((n % columns) * wide) / (columns - 1)), y.value((Math.floor(n / columns) * tall) / (rows - 1))));
      const most = heights.reduce((a, b) => Math.max(a, b)), spot = (i, j) => `${text((i * wide) / (columns - 1))} ${text((j * tall) / (rows - 1))}`;
      const levels = Array.from({ length: LEVELS - 1 }, (_, n) => most * ((n + 1) / LEVELS) ** (spread / 2));
      const shapes = outlines(heights, columns, rows, levels, spot).map((d) => s("path", { d, class: "contour", "fill-opacity": 0.045, "stroke-opacity": 0.35 })).reverse();
      hills.replaceChildren(...shapes);
      const cross = (places, mark) => places.map(([a, b]) => `M${text(x.pixel(a))} ${text(y.pixel(b))}${mark}`).join("");
      flags.setAttribute("d", cross(about().lowest, "m-5-5l10 10m0-10l-10 10"));
      origin.setAttribute("d", cross([[0, 0]], "m-5 0h10m-5-5v10"));
    }

    // ------------------------------------------------------------ one step of it
    const put = (node, said) => { if (node.textContent !== said) node.textContent = said; };

    /** Reveal the race up to the current step. Called for every frame of it. */
    function show() {
      const t = current();
      for (const one of nodes) {
        const found = runs.get(one.name);
        if (!found) continue;
        const here = Math.min(t, found.last);
        for (const part of ["map", "plot"]) {
          const { parts, ends, px, py } = one.strands[part];
          for (const name in parts) one[part][name].setAttribute("d", parts[name].slice(0, ends[name][here]));
          one[`${part}Head`].setAttribute("transform", `translate(${text(px[here])} ${text(py[here])}) scale(1.5)`);
        }
      }
      for (const { name, cells } of rows) {
        const found = runs.get(name), here = Math.min(t, found?.last ?? 0);
        put(cells.height, found ? plain(found.heights[here]) : "–");
        put(cells.place, found ? `${hundredth(found.x[here])}, ${hundredth(found.y[here])}` : "–");
        put(cells.fares, found ? fares(found, here, about().window) : "does not run");
        Object.assign(cells.place.dataset, found ? { step: here, x: found.x[here], y: found.y[here], height: found.heights[here] } : {});
      }
      cursor.setAttribute("d", `M${text(plan.time.pixel(t))} 0v${plan.deep}`);
      if (Number(step.input.value) !== t || step.input.dataset.of !== String(get("steps"))) {
        step.input.max = step.input.dataset.of = String(get("steps"));
        step.set(t);
      }
      if (!frame) tell();
    }

    /** Say how it stands once nothing has changed for a moment; not at every frame. */
    function tell() {
      clearTimeout(told);
      told = setTimeout(() => {
        const said = rows.filter(({ name }) => runs.has(name)).map(({ name, cells }) => `${name}: height ${cells.height.textContent}, ${cells.fares.textContent}`);
        put(status, `Step ${current()} of ${get("steps")}. ${said.join("; ") || "Nobody runs."}`);
      }, 400);
    }

    function controls() {
      choice.value = get("surface");
      log.checked = get("log_height");
      put(words, `${about().formula}. ${about().about}`);
      runner.value = selected();
      const mine = rateOf(selected());
      rate.set(clamp(Math.log10(mine || 1e-9), ...RATES));
      rate.input.setAttribute("aria-label", `rate of ${selected()}`);
      for (const [control, value, shown] of [[rate, null, mine], [factor, Math.log10(get("factor")), get("factor")], [beta1, get("betas")[0]], [beta2, get("betas")[1]], [decay, get("weight_decay")], [length, get("steps")]]) {
        if (value !== null) control.set(value);
        if (shown === undefined) continue; // the slider stands at a power of ten, the number beside it is exact
        control.element.lastChild.textContent = plain(shown);
        control.input.setAttribute("aria-valuetext", plain(shown));
      }
      for (const { name, check, pick, row } of rows) {
        check.checked = get("optimizers").includes(name);
        row.classList.toggle("off", !check.checked);
        row.classList.toggle("chosen", name === selected());
        put(pick, plain(rateOf(name) * get("factor")));
        pick.dataset.number = String(rateOf(name) * get("factor"));
        pick.setAttribute("aria-pressed", String(name === selected()));
      }
      origin.toggleAttribute("hidden", !get("weight_decay"));
      put(note, (get("weight_decay")
        ? "Weight decay pulls toward (0, 0), marked +: AdamW and Lion shrink the weights by rate × decay a step; the others add decay × weight to the slope, and RMSProp and Adam then divide that as well. Nobody stops at the lowest point, marked ×."
        : "No weight decay: AdamW is Adam, and runs on its path. The lowest point is marked ×.") + " Arrived: the height stays below 0.01. Diverged: it is beyond 10⁸.");
      const [x, y] = start();
      for (const [name, value] of [["valuemin", about().window[0]], ["valuemax", about().window[1]], ["valuenow", x], ["valuetext", `x ${hundredth(x)}, y ${hundredth(y)}, height ${plain(ground().height(x, y))}`]]) grip.setAttribute(`aria-${name}`, String(value));
    }

    // ------------------------------------------------------------ playing
    /** Stand at a step. */
    function halt(to) {
      stop();
      save({ step: to >= get("steps") ? null : to, playing: false });
    }

    function restart() {
      if (frame) at = 0;
      else save({ step: 0 });
    }

    function stop() {
      cancelAnimationFrame(frame);
      frame = 0;
      put(play, "Play");
    }

    function follows() {
      if (!get("playing")) { if (frame) { const here = current(); stop(); save({ step: here >= get("steps") ? null : here }); show(); } return; }
      if (frame) return;
      if (still.matches) { halt(Infinity); return; }
      at = current() >= get("steps") ? 0 : current();
      put(play, "Pause");
      let before = 0, saved = 0;
      const next = (now) => {
        if (before) at = Math.min(at + ((now - before) * get("steps")) / (1000 * SECONDS), get("steps"));
        before = now;
        if (at >= get("steps")) { halt(Infinity); show(); return; }
        frame = requestAnimationFrame(next);
        show();
        if (now - saved < 250) return; // others hear of it four times a second
        saved = now;
        save({ step: Math.floor(at) });
      };
      frame = requestAnimationFrame(next);
    }

    // ------------------------------------------------------------ pointer and keys
    const inside = (value, low, high) => clamp(Number(value.toFixed(2)), low, high);
    function moveTo(x, y) {
      const [left, right, bottom, top] = about().window;
      save({ start: [inside(x, left, right), inside(y, bottom, top)] });
    }
    let box = svg.getBoundingClientRect(); // as it was when the pointer went down: asking again is dear
    /** Where the pointer is, in pixels of the picture. */
    const pixels = (event) => { if (event.type === "pointerdown") box = svg.getBoundingClientRect(); return [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * width) / box.width]; };
    const dropAt = (event) => { const [x, y] = pixels(event); moveTo(plan.x.value(x - LEFT), plan.y.value(y - TOP)); };
    const scrubTo = (event) => halt(Math.round(clamp(plan.time.value(pixels(event)[0] - plan.from), 0, get("steps"))));
    for (const [node, use] of [[grip, dropAt], [scrub, scrubTo]]) {
      node.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        node.setPointerCapture(event.pointerId);
        if (node === grip) node.focus({ preventScroll: true });
        event.preventDefault();
        use(event);
      });
      node.addEventListener("pointermove", (event) => { if (node.hasPointerCapture(event.pointerId)) use(event); });
    }
    grip.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const by = event.shiftKey ? 0.01 : 0.1, [x, y] = start();
      const way = { ArrowRight: [by, 0], ArrowLeft: [-by, 0], ArrowUp: [0, by], ArrowDown: [0, -by] }[event.key];
      if (way) moveTo(x + way[0], y + way[1]);
      else if (event.key === "Home") save({ start: [] });
      else return;
      event.preventDefault();
      event.stopPropagation(); // a notebook moves between its cells with the same keys
    });

    // ------------------------------------------------------------ saving, following
    /** The drawing with names beneath it, as a picture of its own. */
    function picture() {
      const copy = /** @type {SVGElement} */ (svg.cloneNode(true)), [, , , high] = svg.getAttribute("viewBox").split(" ").map(Number);
      for (const node of copy.querySelectorAll(".grip, .scrub, [hidden]")) node.remove();
      const columns = Math.max(1, Math.floor((width - LEFT) / 150));
      active().forEach(({ name }, n) => {
        const mark = sample(RUNNERS.indexOf(name)), [x, y] = [LEFT + (n % columns) * 150, high + 4 + Math.floor(n / columns) * 20];
        for (const [key, value] of [["x", x], ["y", y - 6]]) mark.setAttribute(key, String(value));
        copy.append(mark, s("text", { x: x + 36, y: y + 4, class: "tick" }, `${name}, ${plain(rateOf(name) * get("factor"))}`));
      });
      copy.setAttribute("viewBox", `0 0 ${width} ${high + 10 + 20 * Math.ceil(active().length / columns)}`);
      return copy;
    }

    const ask = onceAFrame({ show, race, draw });
    const stops = [onWidth(place, (here) => { width = here; draw(); }),
      follow(model, ["surface"], () => ask("draw")), follow(model, ["start", "optimizers", "selected", "rates", "factor", "betas", "weight_decay", "steps", "log_height"], () => ask("race")),
      follow(model, ["step"], () => { if (!frame) ask("show"); }), follow(model, ["playing"], follows), () => clearTimeout(told), stop];
    if (get("playing")) follows();
    return () => { for (const end of stops) end(); };
  },
};

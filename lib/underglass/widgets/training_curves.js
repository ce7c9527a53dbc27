// The widget of training curves: loss above, learning rate and gradient norm beneath, over one axis
// of steps; a table below is the legend, and tells the numbers of one step. See curves.js for data.

const LEFT = 54, RIGHT = 14, TOP = 24, BETWEEN = 30, LEGEND = 20; // pixels around the panels
const PANELS = [["loss", 240, "loss"], ["rate", 62, "learning rate"], ["gradient", 62, "gradient norm"]];
const COLUMNS = [["loss", "training loss"], ["smoothed", "smoothed"], ["validation", "validation loss"], ["rate", "learning rate"], ["gradient", "gradient norm"]];
const COLOURS = 8, SHAPES = [ // marks tell runs apart where colours do not; each drawn from its middle
  "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z", "m-3-3h6v6h-6z", "m0-4.2l4 7h-8z", "m0-4.6l4 4.6l-4 4.6l-4-4.6z", "m0 4.2l4-7h-8z",
  "m-1.2-4h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8v-2.4h2.8z", "m-4-2l2-2l2 2l2-2l2 2l-2 2l2 2l-2 2l-2-2l-2 2l-2-2l2-2z", "m-4 0l2-3.5h4l2 3.5l-2 3.5h-4z",
];
const FASTEST = 1.25; // of a notch of the wheel, or a press of + or −
const SMOOTHEST = 0.99;

const colourOf = (index) => `var(--tc-${index % COLOURS})`;
const shapeOf = (index) => SHAPES[(index + Math.floor(index / COLOURS)) % SHAPES.length];
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

/** A run's line and mark, as in the picture. */
const sample = (index, dashed) => [
  s("path", { d: "M0 0h26", fill: "none", style: `stroke: ${colourOf(index)}`, "stroke-width": 2, "stroke-dasharray": dashed ? "5 3" : null }),
  s("path", { d: `M13 0${shapeOf(index)}`, style: `fill: ${dashed ? "var(--ug-bg)" : colourOf(index)}; stroke: ${colourOf(index)}` })];

/** Where a value comes from: the step itself, or the last one before it that has one. */
function readAt(curve, x, step) {
  let i = firstFrom(x, step + 0.5) - 1;
  return i < 0 || !curve ? null : { i, step: x[i], value: curve.y[i] };
}

/** What is wrong with the numbers of a run, in words, and where: the first step of each curve. */
function gapsOf(run) {
  const gaps = [];
  for (const [name, said] of [["loss", "training loss"], ["validation", "validation loss"], ["gradient", "gradient norm"]]) {
    const curve = run.curves[name], bad = [];
    // a missing gradient norm is no news, an infinite one is
    curve?.y.forEach((value, i) => { if (name === "gradient" ? Math.abs(value) === Infinity : !Number.isFinite(value)) bad.push(i); });
    if (!bad.length) continue;
    const [first, last] = [curve.x[bad[0]], curve.x[bad.at(-1)]], seeds = run.seeds > 1 ? " in at least one seed" : "";
    gaps.push({ name, step: first, words: `${said} is not finite${seeds} at ${bad.length} of ${curve.y.length} steps, ${first === last ? `step ${first}` : `steps ${first} to ${last}`}: drawn as a gap` });
  }
  return gaps;
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name);
    const save = (changes) => { model.set(changes); model.save_changes(); };
    let width = 640, runs = [], known = new Map(), parts = [], views = [], plan = null, hover = null, steps = null;

    // ------------------------------------------------------------ controls and places
    const svg = s("svg", { role: "group", "aria-label": "Training curves", class: "plot" });
    const backs = s("g", { "aria-hidden": "true" }), curves = s("g", { "aria-hidden": "true" }), cross = s("path", { class: "cross" }), dots = s("g", {});
    const drag = s("rect", { class: "drag", y: TOP, width: 0 });
    const ground = s("rect", { x: LEFT, y: TOP, class: "ground", tabindex: 0, role: "slider", "aria-label": "Step; arrow keys read, plus and minus zoom, 0 shows all" });
    svg.append(backs, curves, cross, dots, drag, ground);
    const smoothing = slider("smoothing β", { min: 0, max: SMOOTHEST, step: 0.01, value: get("smoothing"), show: (x) => x.toFixed(2), oninput: (x) => save({ smoothing: x }) });
    const tick = (label, name) => {
      const input = h("input", { type: "checkbox", onchange() { save({ [name]: input.checked }); } });
      return { input, name, element: h("label", {}, input, label) };
    };
    const ticks = [tick("log loss", "log_loss"), tick("log steps", "log_step")];
    const band = h("select", { onchange() { save({ band: band.value }); } },
      h("option", { value: "range" }, "lowest to highest"), h("option", { value: "deviation" }, "± standard deviation"));
    const bandLabel = h("label", {}, "band over seeds", band);
    const reset = h("button", { type: "button", onclick: () => save({ zoom: [] }) }, "Whole run");
    const now = h("p", { class: "now" }), notes = h("ul", { class: "notes" }), table = h("table", { class: "values" }), key = h("p", { class: "key" });
    const place = h("div", { class: "place" }, svg);
    const view = h("div", { class: "ug ug-curves" }, h("h4", { class: "ug-title" }, "Training"),
      h("p", { class: "ug-caption" }, "Point to read a step, click to keep it. Drag across the picture to enlarge a range of steps; click a name to hide its run."),
      h("div", { class: "ug-bar" }, smoothing.element, ticks.map((one) => one.element), bandLabel), place,
      h("div", { class: "ug-bar" }, now, reset), h("div", { class: "ug-scroll" }, table), key, notes,
      h("div", { class: "ug-bar" }, saveButton(picture, "training")));
    el.append(view);

    // ------------------------------------------------------------ data
    function load() {
      const arrived = ["_old", "_recent", "_new"].map(get), fresh = arrived[0] !== views[0] || arrived[1] !== views[1];
      parts = arrived.map((part, i) => (part === views[i] ? parts[i] : decode(part)));
      views = arrived;
      const blocks = parts.flat();
      let index = 0;
      const before = runs, lists = [];
      runs = get("_runs").map((about) => {
        const mine = blocks.filter(({ seed }) => seed >= index && seed < index + about.seeds);
        const size = JSON.stringify([about, mine.map((b) => [b.seed, b.rows, b.checks])]), old = known.get(about.name);
        const run = !fresh && old?.size === size ? old : { ...runOf(about, index, mine, lists), size, smoothed: {} };
        run.gaps ??= gapsOf(run);
        lists.push(run.x, run.at);
        index += about.seeds;
        return run;
      });
      known = new Map(runs.map((run) => [run.name, run]));
      if (runs.length !== before.length || runs.some((run, i) => run.name !== before[i].name || run.seeds !== before[i].seeds)) arrange();
      const gaps = runs.flatMap((run) => run.gaps.map(({ words }) => [run.name, words]));
      if (notes.dataset.said !== String(gaps)) {
        notes.replaceChildren(...gaps.map(([name, words]) => h("li", {}, isolate(name), `: ${words}.`)));
        notes.dataset.said = String(gaps);
      }
    }

    /** Nodes that stay as long as the runs do: a row of the table each, and their curves. */
    function arrange() {
      const head = h("tr", {}, h("th", { scope: "col" }, "run"), COLUMNS.map(([name, said]) => h("th", { scope: "col", "data-column": name }, said)));
      const rows = runs.map((run, i) => {
        run = { name: run.name };
        const button = h("button", { type: "button", class: "run", title: run.name, onclick: () => toggle(run.name) },
          s("svg", { width: 26, height: 12, viewBox: "0 -6 26 12", "aria-hidden": "true" }, sample(i)), isolate(run.name));
        const cells = COLUMNS.map(([name]) => h("td", { "data-column": name }, document.createTextNode(""), h("small", {})));
        return { button, cells, note: "", row: h("tr", {}, h("th", { scope: "row" }, button), cells) };
      });
      table.replaceChildren(h("thead", {}, head), h("tbody", {}, rows.map(({ row }) => row)));
      const line = (i, kind, more = {}) => s("path", { class: kind, style: `${kind === "band" || kind === "mark" ? "fill" : "stroke"}: ${colourOf(i)}`, "stroke-linejoin": "round", "stroke-linecap": "round", ...more });
      plan = { rows, head, panels: PANELS.map(([name, tall, title]) => {
        const place = s("svg", { x: LEFT, "data-panel": name, height: tall });
        const lines = runs.map((run, i) => {
          const one = { band: line(i, "band"), raw: line(i, "raw"), line: line(i, "line") };
          if (name === "loss") Object.assign(one, { checkBand: line(i, "band"), check: line(i, "check", { "stroke-dasharray": "5 3" }), point: line(i, "point") });
          Object.assign(one, { mark: line(i, "mark"), gap: line(i, "gap") });
          for (const [kind, node] of Object.entries(one)) { node.dataset.curve = kind; node.dataset.run = String(i); }
          return one;
        });
        place.append(...["band", "checkBand", "raw", "line", "check", "point", "mark", "gap"].flatMap((kind) => lines.map((one) => one[kind]).filter(Boolean)));
        return { name, tall, title, place, lines };
      }) };
      curves.replaceChildren(...plan.panels.map((panel) => panel.place));
      dots.replaceChildren();
    }

    const shown = () => runs.filter((run) => !get("hidden").includes(run.name));
    const toggle = (name) => save({ hidden: get("hidden").includes(name) ? get("hidden").filter((x) => x !== name) : [...get("hidden"), name] });

    /** A curve as it is drawn: smoothed, with the edges of its band. */
    function drawn(run, name) {
      const curve = run.curves[name], beta = name === "rate" || name === "validation" ? 0 : get("smoothing");
      if (!curve) return null;
      const had = run.smoothed[name];
      if (had?.beta === beta && had.band === get("band") && had.curve === curve) return had;
      const edges = curve[get("band")]?.map((edge) => smooth(edge, beta));
      return (run.smoothed[name] = { beta, band: get("band"), curve, x: curve.x, raw: curve.y, y: smooth(curve.y, beta), edges });
    }

    // ------------------------------------------------------------ the picture
    function ends(visible, log) {
      let [low, high] = [Infinity, -Infinity];
      for (const { x, at } of visible) for (const list of [x, at]) {
        const from = log ? firstFrom(list, 1) : 0;
        if (from < list.length) [low, high] = [Math.min(low, list[from]), Math.max(high, list.at(-1))];
      }
      if (low > high) [low, high] = [log ? 1 : 0, 10];
      return low === high ? (log ? [low / 2, high * 2] : [low - 0.5, high + 0.5]) : [low, high];
    }

    /** From the lowest to the highest that can be drawn, and a little room. */
    function rangeOf(list, log) {
      let [low, high] = [Infinity, -Infinity];
      const least = log ? 0 : -Infinity;
      for (const { curve, from, to } of list) {
        for (const values of new Set([curve.raw, curve.y, ...(curve.edges ?? [])])) {
          for (let i = from; i < to; i++) {
            const value = values[i];
            if (value < low && value > least) low = value;
            if (value > high && value < Infinity) high = value;
          }
        }
      }
      if (!(low <= high)) return log ? [0.1, 1] : [0, 1];
      if (log) return high > low ? [low * (low / high) ** 0.04, high * (high / low) ** 0.04] : [low / 1.1, high * 1.1];
      const room = (high - low) * 0.04 || Math.abs(high) * 0.05 || 1;
      return [low - room, high + room];
    }

    function draw() {
      const visible = shown(), log = get("log_step"), zoom = get("zoom"), inside = width - LEFT - RIGHT, all = ends(visible, log);
      const [low, high] = zoom.length && !(log && zoom[1] < 1) ? [log ? Math.max(zoom[0], Math.min(1, zoom[1] / 2)) : zoom[0], zoom[1]] : all;
      const x = scaleOf(low, high, 0, inside, log), axes = [];
      const lists = visible.flatMap((run) => [run.x, run.at]);
      if (!steps || !lists.every((list, i) => list === steps.lists[i]) || lists.length !== steps.lists.length) {
        steps = lists.length ? union(lists).slice() : new Float64Array(0);
        steps.lists = lists;
      }
      const places = new Map();
      /** Where a list of steps lies, and which of them to draw: those in sight, and one on either side. */
      const laid = (list) => {
        if (!places.has(list)) {
          const from = Math.max(log ? firstFrom(list, 1) : 0, firstFrom(list, low) - 1), to = Math.min(list.length, firstFrom(list, high) + 1);
          const pixels = new Float64Array(list.length);
          for (let i = from; i < to; i++) pixels[i] = x.pixel(list[i]);
          places.set(list, { pixels, from, to });
        }
        return places.get(list);
      };
      const panels = plan.panels.filter(({ name }) => name === "loss" || visible.some((run) => run.curves[name]));
      let top = TOP;
      for (const panel of plan.panels) {
        panel.scale = null;
        panel.place.toggleAttribute("hidden", !panels.includes(panel));
        for (const one of panels.includes(panel) ? [] : panel.lines) for (const node of Object.values(one)) { node.setAttribute("d", ""); node.laid = null; }
      }
      for (const panel of panels) {
        const { name, tall, place, lines } = panel, log = name === "loss" && get("log_loss"), marked = name === "loss";
        const of = (run, curve) => { const c = drawn(run, curve); return c && { curve: c, ...laid(c.x) }; };
        const here = runs.map((run) => visible.includes(run) ? { line: of(run, name), check: name === "loss" ? of(run, "validation") : null } : {});
        const y = panel.scale = scaleOf(...rangeOf(here.flatMap((one) => [one.line, one.check]).filter(Boolean), log), tall, 0, log);
        panel.top = top;
        place.setAttribute("y", String(top));
        place.setAttribute("width", String(inside));
        const where = [low, high, x.log, width, y.low, y.high, y.log].join();
        lines.forEach((nodes, i) => {
          const { line, check } = here[i];
          const set = (node, path) => nodes[node].setAttribute("d", path);
          /** Draw what is new: most changes leave most curves where they are. */
          const lay = (node, one, values, make) => {
            const had = nodes[node].laid;
            if (had?.values === values && (!values || had.where === where)) return;
            nodes[node].laid = { values, where };
            set(node, values ? make(one.pixels, values, y, one.from, one.to) : "");
          };
          // what is faint or small is drawn a little coarser: a change of everything stays quick
          const by = (wide) => (pixels, values, y, from, to) => trace(pixels, values, y, from, to, wide);
          lay("band", line, line?.curve.edges, area);
          lay("raw", line, line?.curve.beta ? line.curve.raw : undefined, by(marked ? 2 : 3));
          lay("line", line, line?.curve.y, by(marked ? 1 : 2));
          set("mark", line && marked ? marks(line.pixels, line.curve.y, y, line.from, line.to, (100 * (i + 0.5)) / runs.length, 100, shapeOf(i)) : "");
          set("gap", marked && line ? runs[i].gaps.filter(({ name, step }) => name !== "gradient" && step >= low && step <= high).map(({ step }) => `M${text(x.pixel(step) - 4)} 3l8 8m0-8l-8 8`).join("") : "");
          if (!marked) return;
          lay("checkBand", check, check?.curve.edges, area);
          lay("check", check, check?.curve.y, by(1));
          set("point", check ? marks(check.pixels, check.curve.y, y, check.from, check.to, -1, 9, shapeOf(i)) : "");
        });
        axes.push(...axis(panel, y, top, inside, x, panel === panels.at(-1)));
        top += tall + BETWEEN;
      }
      if (!steps.length) axes.push(s("text", { x: LEFT + inside / 2, y: TOP + 120, class: "nothing", "text-anchor": "middle" }, runs.length && !visible.length ? "all runs are hidden" : "no steps yet"));
      Object.assign(plan, { x, low, high, all, height: top - BETWEEN + 38, bottom: top - BETWEEN });
      backs.replaceChildren(...axes);
      svg.setAttribute("viewBox", `0 0 ${width} ${plan.height}`);
      for (const node of [ground, drag]) node.setAttribute("height", String(plan.bottom - TOP));
      ground.setAttribute("width", String(inside));
      controls(visible);
      point();
    }

    function axis({ tall, title }, y, top, inside, x, last) {
      const across = ticksOf(x, inside / 70, 1), shapes = [s("text", { x: LEFT, y: top - 8, class: "plot-title" }, title + (y.log ? " (logarithmic)" : ""))];
      for (const value of ticksOf(y, Math.max(3.5, tall / 34))) {
        shapes.push(s("path", { d: `M${LEFT} ${text(top + y.pixel(value))}h${inside}`, class: "grid" }),
          s("text", { x: LEFT - 6, y: text(top + y.pixel(value) + 4), class: "tick", "text-anchor": "end", "data-axis": title, "data-value": value }, short(value)));
      }
      for (const value of across) {
        shapes.push(s("path", { d: `M${text(LEFT + x.pixel(value))} ${top}v${tall}`, class: "grid" }));
        if (last) shapes.push(s("text", { x: text(LEFT + x.pixel(value)), y: top + tall + 15, class: "tick", "text-anchor": "middle", "data-axis": "step", "data-value": value }, short(value)));
      }
      if (last) shapes.push(s("text", { x: LEFT + inside, y: top + tall + 31, class: "tick", "text-anchor": "end" }, `step${x.log ? " (logarithmic)" : ""}`));
      return [...shapes, s("rect", { x: LEFT, y: top, width: inside, height: tall, class: "frame" })];
    }

    function controls(visible) {
      smoothing.set(get("smoothing"));
      for (const { input, name } of ticks) input.checked = get(name);
      const grouped = runs.some((run) => run.seeds > 1), zoomed = get("zoom").length > 0;
      bandLabel.toggleAttribute("hidden", !grouped);
      band.value = get("band");
      reset.toggleAttribute("hidden", !zoomed);
      table.toggleAttribute("hidden", !runs.length);
      const there = { smoothed: get("smoothing") > 0 };
      for (const [name] of COLUMNS) there[name] ??= name === "loss" || runs.some((run) => run.curves[name]);
      for (const cell of [...plan.head.children].slice(1)) cell.toggleAttribute("hidden", !there[cell.dataset.column]);
      plan.rows.forEach(({ button, row, cells }, i) => {
        button.setAttribute("aria-pressed", String(visible.includes(runs[i])));
        row.classList.toggle("off", !visible.includes(runs[i]));
        cells.forEach((cell, k) => cell.toggleAttribute("hidden", !there[COLUMNS[k][0]]));
      });
      const words = [runs.some((run) => run.curves.validation) ? "Solid: training; dashed, with hollow marks: validation." : "",
        get("smoothing") ? "Faint: as recorded; bold: smoothed." : "",
        grouped ? `Runs of several seeds: their mean, and a band ${bandWords()}.` : "",
        get("log_loss") && visible.some((run) => ["loss", "validation"].some((name) => run.curves[name]?.least <= 0)) ? "A loss of 0 or less has no place on a logarithmic axis: a gap." : "",
        get("log_step") && visible.some((run) => run.x[0] < 1 || run.at[0] < 1) ? "Step 0 has no place on a logarithmic axis." : ""];
      key.textContent = words.filter(Boolean).join(" ");
    }
    const bandWords = () => (get("band") === "range" ? "from the lowest to the highest" : "of one standard deviation either way");

    // ------------------------------------------------------------ reading one step
    const last = () => steps[Math.max(0, firstFrom(steps, plan.high + 0.5) - 1)];
    const current = () => hover ?? get("step") ?? last();

    /** The crosshair and the numbers of the step it stands on. */
    function point() {
      const step = current(), heard = [];
      if (step === undefined) {
        now.textContent = "no steps yet";
        cross.setAttribute("d", "");
        dots.replaceChildren();
        ground.setAttribute("aria-valuetext", "no steps yet");
        for (const { cells } of plan.rows) for (const cell of cells) put(cell, "–", "");
        return;
      }
      const at = plan.x.pixel(step), inSight = at >= -0.5 && at <= width - LEFT - RIGHT + 0.5, where = [];
      runs.forEach((run, i) => {
        const on = plan.rows[i].button.getAttribute("aria-pressed") === "true", said = [];
        COLUMNS.forEach(([name, title], k) => {
          const cell = plan.rows[i].cells[k];
          if (cell.hasAttribute("hidden")) return;
          const curve = name === "smoothed" ? drawn(run, "loss") : run.curves[name], found = readAt(curve, name === "validation" ? run.at : run.x, step);
          if (!found || (Number.isNaN(found.value) && (name === "rate" || name === "gradient"))) { put(cell, "–", ""); return; }
          const edges = name === "smoothed" ? null : run.curves[name][get("band")], count = run.curves[name]?.count?.[found.i];
          const more = [edges && edges[0][found.i] < edges[1][found.i] ? `${digits(edges[0][found.i])} to ${digits(edges[1][found.i])}` : "", count < run.seeds ? `${count} of ${run.seeds} seeds` : "", found.step !== step ? `at ${found.step}` : ""].filter(Boolean).join(", ");
          put(cell, digits(found.value), more);
          said.push(`${title} ${digits(found.value)}${more ? ` (${more})` : ""}`);
          if (on && inSight && name !== "smoothed") where.push([name, i, found]);
        });
        if (on) heard.push(`${run.name}: ${said.join(", ") || "nothing yet"}`);
      });
      now.textContent = `Step ${step}${hover === null && get("step") === null ? ", the last" : ""}${get("zoom").length ? ` · steps ${short(Math.round(plan.low))} to ${short(Math.round(plan.high))} enlarged` : ""}`;
      for (const [name, value] of [["valuemin", steps[0]], ["valuemax", steps.at(-1)], ["valuenow", step], ["valuetext", `step ${step}. ${heard.join("; ")}`]]) ground.setAttribute(`aria-${name}`, String(value));
      cross.setAttribute("d", inSight ? plan.panels.filter((p) => p.scale).map((p) => `M${text(LEFT + at)} ${p.top}v${p.tall}`).join("") : "");
      dot(where);
    }

    function dot(where) {
      const wanted = [];
      for (const [name, i, found] of where) {
        const panel = plan.panels.find((p) => p.name === (name === "validation" ? "loss" : name)), at = plan.x.pixel(found.step);
        if (!panel.scale || !drawable(found.value, panel.scale.log) || !(at >= 0)) continue;
        wanted.push([LEFT + at, panel.top + panel.scale.pixel(found.value), i, name]);
      }
      while (dots.childElementCount < wanted.length) dots.append(s("circle", { r: 4, class: "dot" }));
      while (dots.childElementCount > wanted.length) dots.lastChild.remove();
      wanted.forEach(([cx, cy, i, name], n) => {
        const circle = dots.children[n];
        circle.setAttribute("cx", text(cx));
        circle.setAttribute("cy", text(cy));
        circle.style.fill = colourOf(i);
        Object.assign(circle.dataset, { run: i, dot: name });
      });
    }

    function put(cell, value, more) {
      if (cell.firstChild.data !== value) cell.firstChild.data = value;
      if (cell.lastChild.textContent !== more) cell.lastChild.textContent = more;
    }

    // ------------------------------------------------------------ pointer, wheel and keys
    const pixelOf = (event) => { const box = svg.getBoundingClientRect(); return clamp(((event.clientX - box.left) * width) / box.width - LEFT, 0, width - LEFT - RIGHT); };
    /** The recorded step nearest to a place in the picture. */
    function stepAt(pixel) {
      const value = plan.x.value(pixel), i = firstFrom(steps, value), from = firstFrom(steps, plan.low), to = firstFrom(steps, plan.high + 1e-9) - 1;
      if (to < from) return null;
      const near = (k) => Math.abs(plan.x.pixel(steps[k]) - pixel);
      return steps[clamp(i > 0 && (i >= steps.length || near(i - 1) < near(i)) ? i - 1 : i, from, to)];
    }
    let held = null;
    ground.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !steps.length) return;
      held = pixelOf(event);
      ground.setPointerCapture(event.pointerId);
      ground.focus({ preventScroll: true });
      event.preventDefault();
    });
    ground.addEventListener("pointermove", (event) => {
      if (!steps.length) return;
      const here = pixelOf(event);
      if (held !== null) {
        drag.setAttribute("x", text(LEFT + Math.min(held, here)));
        drag.setAttribute("width", text(Math.abs(here - held)));
      }
      hover = stepAt(here);
      ask("point");
    });
    ground.addEventListener("pointerup", (event) => {
      if (held === null) return;
      const [from, to] = [Math.min(held, pixelOf(event)), Math.max(held, pixelOf(event))], step = stepAt(to);
      letGo();
      if (to - from < 5) { if (step !== null) save({ step: step === get("step") ? null : step }); }
      else zoomTo(plan.x.value(from), plan.x.value(to));
    });
    const letGo = () => { held = null; drag.setAttribute("width", "0"); };
    ground.addEventListener("pointercancel", letGo);
    ground.addEventListener("pointerleave", () => { if (held === null) { hover = null; ask("point"); } });
    ground.addEventListener("dblclick", () => save({ zoom: [] }));
    ground.addEventListener("wheel", (event) => {
      // a page scrolls on under the pointer, unless the reader has taken the picture in hand
      if (!(event.ctrlKey || event.metaKey || document.activeElement === ground || view.getRootNode().activeElement === ground)) return;
      if (!steps.length || (event.deltaY > 0 && !get("zoom").length)) return;
      event.preventDefault();
      zoomBy(event.deltaY < 0 ? FASTEST : 1 / FASTEST, pixelOf(event));
    }, { passive: false });

    function zoomTo(low, high) {
      const whole = [Math.max(0, Math.round(low)), Math.round(high)];
      if (whole[1] <= whole[0]) whole[1] = whole[0] + 1;
      const part = (plan.x.pixel(whole[1]) - plan.x.pixel(whole[0])) / (plan.x.pixel(plan.all[1]) - plan.x.pixel(plan.all[0]));
      save({ zoom: part > 0.97 ? [] : whole }); // nearly all is all
    }
    function zoomBy(factor, pixel) {
      const inside = width - LEFT - RIGHT, [low, high] = [pixel - pixel / factor, pixel + (inside - pixel) / factor].map((p) => clamp(plan.x.value(p), ...plan.all));
      zoomTo(low, high);
    }
    ground.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !steps.length) return;
      const from = firstFrom(steps, current()), far = Math.max(1, Math.round(steps.length / 10));
      const to = { ArrowRight: from + 1, ArrowUp: from + 1, ArrowLeft: from - 1, ArrowDown: from - 1, PageUp: from + far, PageDown: from - far, Home: 0, End: Infinity }[event.key];
      const middle = clamp(plan.x.pixel(current()), 0, width - LEFT - RIGHT);
      if (to !== undefined) { hover = null; save({ step: steps[clamp(to, 0, steps.length - 1)] }); }
      else if (event.key === "+" || event.key === "=") zoomBy(FASTEST ** 2, middle);
      else if (event.key === "-") zoomBy(1 / FASTEST ** 2, middle);
      else if (event.key === "0" || event.key === "Escape") save({ zoom: [] });
      else return;
      event.preventDefault();
      event.stopPropagation(); // a notebook moves between its cells with the same keys
    });

    // ------------------------------------------------------------ saving, following
    /** The drawing with names beneath it, as a picture of its own. */
    function picture() {
      const copy = /** @type {SVGElement} */ (svg.cloneNode(true)), visible = shown();
      for (const node of copy.querySelectorAll(".ground, .drag, [hidden]")) node.remove();
      visible.forEach((run, n) => {
        const i = runs.indexOf(run);
        copy.append(s("g", { transform: `translate(${LEFT} ${plan.height + LEGEND * n + 6})` }, sample(i), s("text", { x: 34, y: 4, class: "tick" }, run.name + (run.seeds > 1 ? ` (${run.seeds} seeds: mean, band ${bandWords()})` : ""))));
      });
      copy.setAttribute("viewBox", `0 0 ${width} ${plan.height + LEGEND * visible.length}`);
      return copy;
    }

    const ask = onceAFrame({ point, draw, load: () => { load(); draw(); } });
    load();
    if (!plan) arrange();
    const stops = [onWidth(place, (here) => { width = here; draw(); }), follow(model, ["_runs", "_old", "_recent", "_new"], () => ask("load")), follow(model, ["smoothing", "log_loss", "log_step", "band", "hidden", "zoom"], () => ask("draw")),
      follow(model, ["step"], () => ask("point"))];
    return () => { for (const stop of stops) stop(); };
  },
};

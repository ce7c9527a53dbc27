// The widget of learning rates: on the left the training curve of the chosen rate, on the right the
// valley, final loss over the rate; one axis of loss for both, so that a curve ends at the height of
// its point in the valley. See curves.js for the curves, rate_grid.py for the data.

const LEFT = 46, RIGHT = 14, TOP = 24, BELOW = 36, BETWEEN = 22; // pixels around the panels
const TALL = 300, ROW = 11; // of a panel, and of an optimizer's row of crosses above the valley
const WIDE = 560; // from here on the panels stand side by side
const SMOOTHEST = 0.99, NEAR = 0.05; // a rate is in the valley if its loss is at most 5 % above the best
const COLOURS = 8, SHAPES = [ // marks tell optimizers apart where colours do not; each drawn from its middle
  "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z", "m-3-3h6v6h-6z", "m0-4.2l4 7h-8z", "m0-4.6l4 4.6l-4 4.6l-4-4.6z", "m0 4.2l4-7h-8z",
  "m-1.2-4h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8v-2.4h2.8z", "m-4-2l2-2l2 2l2-2l2 2l-2 2l2 2l-2 2l-2-2l-2 2l-2-2l2-2z", "m-4 0l2-3.5h4l2 3.5l-2 3.5h-4z",
];

const colourOf = (index) => `var(--rf-${index % COLOURS})`;
const shapeOf = (index) => SHAPES[(index + Math.floor(index / COLOURS)) % SHAPES.length];
const rateText = (rate) => short(Number(rate.toPrecision(4)));
const ordinal = (n) => n + (["th", "st", "nd", "rd"][n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] ?? "th");
const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
const listed = (list) => (list.length < 2 ? list.join("") : `${list.slice(0, -1).join(", ")} and ${list.at(-1)}`);

/** The place in `rates` of the one nearest to `rate`, by their ratio. @param {{rate: number}[]} rates */
function nearest(rates, rate) {
  const far = rates.map((one) => Math.abs(Math.log(one.rate / rate)));
  return far.indexOf(Math.min(...far));
}

/**
 * What the final losses of one optimizer say: of each rate mean, lowest and highest of the seeds that
 * reached the end, and its place; of them all the best, and the rates around it that are nearly as good.
 * A rate at which a seed diverged has no place.
 * @param {{rate: number, finals: (number | null)[], diverged: (number | null)[]}[]} rates
 */
function judge(rates) {
  const judged = rates.map(({ rate, finals, diverged }) => {
    const kept = finals.filter((x) => x !== null), lost = diverged.filter((x) => x !== null).sort((a, b) => a - b);
    return { rate, kept, lost, seeds: finals.length, mean: kept.length ? mean(kept) : NaN, low: Math.min(...kept), high: Math.max(...kept) };
  });
  const whole = judged.filter((one) => !one.lost.length);
  for (const one of whole) one.place = 1 + whole.filter((other) => other.mean < one.mean).length;
  const best = judged.findIndex((one) => one.place === 1);
  if (best < 0) return { rates: judged, best };
  const good = (one) => one?.place && one.mean <= judged[best].mean + NEAR * Math.abs(judged[best].mean);
  let [from, to] = [best, best];
  while (good(judged[from - 1])) from--;
  while (good(judged[to + 1])) to++;
  const edge = rates.length === 1 ? "only" : best === 0 ? "smallest" : best === rates.length - 1 ? "largest" : "";
  return { rates: judged, best, from, to, edge };
}

/** What is to be said of one rate: sentences, of which the first lacks the optimizer's name. */
function sentences({ rates, best, from, to, edge }, at, measure, first) {
  const { rate, kept, lost, seeds, mean, low, high, place } = rates[at], said = [];
  const steps = [...new Set(lost)], when = `step${steps.length > 1 ? "s" : ""} ${listed(steps)}`;
  const among = seeds === 1 ? "" : lost.length === seeds ? ` in all ${seeds} seeds` : ` in ${lost.length} of ${seeds} seeds`;
  if (!kept.length) said.push(` at rate ${rateText(rate)} diverged at ${when}${among}.`);
  else {
    const spread = seeds > 1 ? `, mean of ${lost.length ? `the other ${kept.length} of ` : ""}${seeds} seeds (lowest ${digits(low)}, highest ${digits(high)})` : "";
    said.push(` at rate ${rateText(rate)}: final ${measure} loss ${digits(mean)}${spread}.`);
    if (lost.length) said.push(`Diverged at ${when}${among}.`);
  }
  if (place) said.push(`${place === 1 ? "The best" : ordinal(place)} of ${rates.length} rate${rates.length > 1 ? "s" : ""}.`);
  else said.push("No place among the rates: a seed was lost.");
  if (place && mean >= first) said.push(`It ends no lower than it began (${digits(first)}).`);
  if (best < 0) return [...said, "No rate of this grid brought every seed to the end."];
  const valley = from === to ? rateText(rates[from].rate) : `${rateText(rates[from].rate)} to ${rateText(rates[to].rate)}`;
  said.push(at < from ? `Below the valley (${valley}): too small, it crawls.` : at > to ? `Above the valley (${valley}): too large.` : `In the valley (${valley}).`);
  if (edge === "only") said.push("There is no other rate to compare it with.");
  else if (edge) said.push(`The best rate is the ${edge} of the grid: the optimum may lie beyond its edge.`);
  return said;
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name);
    const save = (changes) => { model.set(changes); model.save_changes(); };
    let width = 640, optimizers = [], plan = null;

    const chosen = () => optimizers.find(({ name }) => name === get("optimizer")) ?? optimizers[0];
    const visible = () => optimizers.filter((one) => one === chosen() || !get("hidden").includes(one.name));
    const rateShown = (i) => optimizers.length && `${rateText(chosen().rates[i].rate)} (${i + 1} of ${chosen().rates.length})`;
    const choose = (one) => save({ optimizer: one.name, rate: one.rates[nearest(one.rates, get("rate"))].rate });
    const toggle = (name) => save({ hidden: get("hidden").includes(name) ? get("hidden").filter((x) => x !== name) : [...get("hidden"), name] });

    // ------------------------------------------------------------ controls and places
    const svg = s("svg", { role: "img", "aria-label": "Training curves, and final loss over the learning rate", class: "plot" });
    const backs = s("g", {}), level = s("path", { class: "level" }), ring = s("circle", { r: 7, class: "ring" }), ground = s("rect", { class: "ground" });
    const left = { place: s("svg", { "data-panel": "curves" }), fan: s("g", {}), band: s("path", { class: "band", "data-curve": "band" }), line: s("path", { class: "line", "data-curve": "line" }),
      check: s("path", { class: "check", "data-curve": "check", "stroke-dasharray": "5 3" }), point: s("path", { class: "point", "data-curve": "point" }), lost: s("path", { class: "lost", "data-curve": "lost" }) };
    left.place.append(left.fan, left.band, left.line, left.check, left.point, left.lost);
    const right = { place: s("svg", { "data-panel": "valley" }), lost: s("g", {}) };
    svg.append(backs, left.place, right.place, right.lost, level, ring, ground);
    const rate = slider("learning rate", { min: 0, max: 0, step: 1, value: 0, show: rateShown, oninput: (i) => save({ rate: chosen().rates[i].rate }) });
    const best = h("button", { type: "button", onclick() { if (chosen().best >= 0) save({ rate: chosen().rates[chosen().best].rate }); } }, "Best rate");
    const optimizer = h("select", { onchange: () => choose(optimizers[optimizer.selectedIndex]) });
    const compare = h("select", { onchange() { save({ compare: compare.value }); } },
      h("option", { value: "rates" }, "the other rates"), h("option", { value: "optimizers" }, "other optimizers at their best"));
    const smoothing = slider("smoothing β", { min: 0, max: SMOOTHEST, step: 0.01, value: 0, show: (x) => x.toFixed(2), oninput: (x) => save({ smoothing: x }) });
    const tick = (label, name) => {
      const input = h("input", { type: "checkbox", onchange() { save({ [name]: input.checked }); } });
      return { input, name, element: h("label", {}, input, label) };
    };
    const ticks = [tick("log loss", "log_loss"), tick("enlarge the bottom", "bottom")];
    const now = h("p", { class: "now", "aria-live": "polite" }), key = h("p", { class: "key" }), table = h("table", { class: "values" }), numbers = h("table", { class: "numbers" });
    const about = h("summary", {}), place = h("div", { class: "place" }, svg);
    el.append(h("div", { class: "ug ug-rates" }, h("h4", { class: "ug-title" }, "Which learning rate?"),
      h("p", { class: "ug-caption" }, "Choose an optimizer and drag its rate, on the slider or in the valley. The curve ends at its place in the valley. Ticks in the table show and hide optimizers."),
      h("div", { class: "ug-bar rate" }, h("label", {}, "optimizer", optimizer), rate.element, best), now, place,
      h("div", { class: "ug-bar" }, smoothing.element, ticks.map((one) => one.element), h("label", {}, "behind it", compare)),
      h("div", { class: "ug-scroll" }, table), key, h("details", {}, about, h("div", { class: "ug-scroll" }, numbers)),
      h("div", { class: "ug-bar" }, saveButton(picture, "learning-rate"))));

    // ------------------------------------------------------------ data
    function load() {
      const blocks = decode(get("_curves")), lists = [];
      let index = 0;
      optimizers = get("_grid").map(({ name, rates }, number) => {
        const runs = rates.map(({ finals }) => {
          const mine = blocks.filter(({ seed }) => seed >= index && seed < index + finals.length);
          const run = runOf({ name, seeds: finals.length }, index, mine, lists);
          lists.push(run.x, run.at);
          index += finals.length;
          return run;
        });
        return { name, number, runs, ...judge(rates) };
      });
      optimizer.replaceChildren(...optimizers.map(({ name }) => h("option", { dir: "auto" }, name)));
      plan = { nodes: optimizers.map(nodesOf), rows: optimizers.map(rowOf) };
      right.place.replaceChildren(...["band", "line", "dots", "marks", "above"].flatMap((kind) => plan.nodes.map((one) => one[kind])));
      right.lost.replaceChildren(...plan.nodes.map((one) => one.lost));
      table.replaceChildren(h("thead", {}, h("tr", {}, ["shown", "best rate", "final loss there", "valley"].map((said) => h("th", { scope: "col" }, said)))),
        h("tbody", {}, plan.rows.map(({ row }) => row)));
    }

    /** Everything of one optimizer in the valley. */
    const nodesOf = ({ number }) => Object.fromEntries(["band", "line", "dots", "marks", "above", "lost"].map((kind) => [kind,
      s("path", { class: kind, "data-valley": kind, "data-optimizer": number, style: `${kind === "band" || kind === "marks" ? "fill" : "stroke"}: ${colourOf(number)}` })]));

    /** An optimizer's row of the table, which is the legend too. */
    function rowOf(one) {
      const box = h("input", { type: "checkbox", onchange: () => toggle(one.name) });
      const label = h("label", { title: one.name }, box, s("svg", { width: 26, height: 12, viewBox: "0 -6 26 12", "aria-hidden": "true" }, sample(one.number)), isolate(one.name));
      const { best, from, to, edge, rates } = one, top = rates[best];
      const cells = best < 0 ? [["none", "diverged at every rate"], ["–"], ["–"]] : [
        [rateText(top.rate), edge && `${edge} of the grid`],
        [digits(top.mean), top.seeds > 1 && `${digits(top.low)} to ${digits(top.high)}`],
        from === to ? [rateText(top.rate), "this rate alone"] : [`${rateText(rates[from].rate)} to ${rateText(rates[to].rate)}`, `a factor of ${short(Number((rates[to].rate / rates[from].rate).toPrecision(2)))}`]];
      return { box, row: h("tr", {}, h("th", { scope: "row" }, label), cells.map(([value, more], k) => h("td", {}, value, more && h("small", { class: k ? null : "warm" }, more)))) };
    }
    const sample = (number) => [s("path", { d: "M0 0h26", style: `stroke: ${colourOf(number)}`, "stroke-width": 2 }), s("path", { d: `M13 0${shapeOf(number)}`, style: `fill: ${colourOf(number)}` })];

    /** A run's curve as it is drawn: smoothed, with the edges of its band. */
    function smoothed(run) {
      const beta = get("smoothing"), curve = run.curves.loss;
      if (run.drawn?.beta === beta || !curve) return run.drawn;
      const y = smooth(curve.y, beta);
      return (run.drawn = { beta, x: run.x, y, edges: curve.range?.map((edge) => smooth(edge, beta)), least: y.reduce((a, b) => (b < a ? b : a), Infinity) });
    }

    // ------------------------------------------------------------ the picture
    /** One axis of loss for both panels: from the lowest to where the runs begin; what is higher is cut off. */
    function losses(shown, log) {
      let [low, high] = [Infinity, -Infinity];
      const take = (x) => { if (drawable(x, log)) { low = Math.min(low, x); high = Math.max(high, x); } };
      for (const { rates, runs } of shown) {
        for (const { kept } of rates) kept.forEach(take);
        for (const run of runs) { const least = smoothed(run)?.least; if (drawable(least, log)) low = Math.min(low, least); }
      }
      if (drawable(get("_first"), log) && get("_first") > low) high = get("_first");
      if (!(low <= high)) return log ? [0.1, 1] : [0, 1];
      if (get("bottom")) high = log ? low * (high / low) ** 0.25 : low + (high - low) / 4;
      if (log) return high > low ? [low * (low / high) ** 0.04, high * (high / low) ** 0.06] : [low / 1.1, high * 1.1];
      const room = high - low || Math.abs(high) * 0.1 || 1;
      return [low - room * 0.04, high + room * 0.06];
    }

    function draw() {
      const shown = visible(), one = chosen(), at = nearest(one.rates, get("rate")), log = get("log_loss");
      const lost = shown.filter(({ rates }) => rates.some((r) => r.lost.length)), strip = lost.length * ROW;
      const wide = width >= WIDE, inside = width - LEFT - RIGHT, part = wide ? Math.round((inside - BETWEEN) * 0.52) : inside;
      Object.assign(left, { x: LEFT, y: TOP + (wide ? strip : 0), width: part });
      Object.assign(right, { x: wide ? LEFT + part + BETWEEN : LEFT, y: wide ? left.y : left.y + TALL + BELOW + TOP + strip, width: wide ? inside - part - BETWEEN : inside });
      const y = scaleOf(...losses(shown, log), TALL, 0, log), rates = shown.flatMap((o) => o.rates.map((r) => r.rate)), lists = shown.flatMap(({ runs }) => runs.map((run) => run.x)).filter((x) => x.length);
      const steps = [Math.min(...lists.map((x) => x[0])), Math.max(...lists.map((x) => x.at(-1)))];
      const [slow, fast] = [Math.min(...rates), Math.max(...rates)], room = Math.max(1.25, (fast / slow) ** 0.05);
      left.scale = scaleOf(steps[0] - (steps[0] === steps[1]), Math.max(...steps), 0, left.width);
      right.scale = scaleOf(slow / room, fast * room, 0, right.width, true);
      Object.assign(plan, { y, wide, height: right.y + TALL + BELOW });
      for (const panel of [left, right]) for (const [name, value] of [["x", panel.x], ["y", panel.y], ["width", panel.width], ["height", TALL]]) panel.place.setAttribute(name, String(value));
      for (const [name, value] of [["x", right.x], ["y", right.y - strip], ["width", right.width], ["height", TALL + strip]]) ground.setAttribute(name, String(value));
      svg.setAttribute("viewBox", `0 0 ${width} ${plan.height}`);
      backs.replaceChildren(...axes(strip));
      curves(one, at, shown, y);
      valley(shown, one, lost, y);
      point(one, at, y);
      controls(one, at, shown);
    }

    /** The frames, their ticks, and the line of the loss at the start. */
    function axes(strip) {
      const { y, wide } = plan, shapes = [], first = y.pixel(get("_first")), begun = drawable(get("_first"), y.log) && first >= 0 && first <= TALL;
      for (const panel of [left, right]) {
        const { scale, x, width, y: top } = panel, valley = panel === right, title = valley ? "the valley: final loss" : "loss while training";
        shapes.push(s("text", { x, y: valley || wide ? top - strip - 8 : top - 8, class: "plot-title" }, title + (y.log ? " (log)" : "")));
        for (const value of ticksOf(y, 8)) {
          shapes.push(s("path", { d: `M${x} ${text(top + y.pixel(value))}h${width}`, class: "grid" }));
          if (!valley || !wide) shapes.push(s("text", { x: x - 6, y: text(top + y.pixel(value) + 4), class: "tick", "text-anchor": "end", "data-axis": valley ? "final" : "loss", "data-value": value }, short(value)));
        }
        for (const value of ticksOf(scale, width / (valley ? 52 : 64), valley ? 0 : 1)) {
          shapes.push(s("path", { d: `M${text(x + scale.pixel(value))} ${top}v${TALL}`, class: "grid" }),
            s("text", { x: text(x + scale.pixel(value)), y: top + TALL + 15, class: "tick", "text-anchor": "middle", "data-axis": valley ? "rate" : "step", "data-value": value }, short(value)));
        }
        if (begun) shapes.push(s("path", { d: `M${x} ${text(top + first)}h${width}`, class: "begun" }));
        shapes.push(s("text", { x: x + width, y: top + TALL + 31, class: "tick", "text-anchor": "end" }, valley ? "learning rate (logarithmic)" : "step"), s("rect", { x, y: top, width, height: TALL, class: "frame" }));
      }
      if (begun) shapes.push(s("text", { x: left.x + left.width - 4, y: text(left.y + first + 13), class: "tick", "text-anchor": "end" }, "loss at the start"));
      if (strip) shapes.push(s("text", { x: right.x, y: right.y - strip / 2 + 4, class: "tick" }, "diverged"));
      return shapes;
    }

    /** A path is made again only if its numbers or its axes have changed. */
    function lay(node, values, where, make) {
      if (node.laid && node.laid.values === values && node.laid.where === where) return;
      node.laid = { values, where };
      node.setAttribute("d", values ? make() : "");
    }

    /** The chosen run, and what is drawn behind it. */
    function curves(one, at, shown, y) {
      const where = [left.width, left.scale.low, left.scale.high, y.low, y.high, y.log].join(), run = one.runs[at];
      const pixelsOf = (list) => {
        if (list.laid?.where !== where) list.laid = { where, pixels: Float64Array.from(list, left.scale.pixel) };
        return list.laid.pixels;
      };
      const path = (curve, wide) => trace(pixelsOf(curve.x), curve.y, y, 0, curve.x.length, wide);
      const behind = get("compare") === "rates" ? one.runs.map((other) => [other, one]) : shown.filter((o) => o !== one && o.best >= 0).map((o) => [o.runs[o.best], o]);
      while (left.fan.childElementCount < behind.length) left.fan.append(s("path", { "data-curve": "behind" }));
      while (left.fan.childElementCount > behind.length) left.fan.lastChild.remove();
      behind.forEach(([other, { number }], i) => {
        const node = left.fan.children[i], curve = smoothed(other);
        lay(node, curve, where, () => path(curve, 2));
        node.setAttribute("class", get("compare") === "rates" ? "faint" : "other");
        node.style.stroke = colourOf(number);
        node.style.display = other === run ? "none" : "";
        node.style.strokeDasharray = get("compare") === "rates" && i < at ? "1 3" : "";
        node.dataset.optimizer = number;
        node.dataset.rate = get("compare") === "rates" ? one.rates[i].rate : "";
      });
      const curve = smoothed(run), check = run.curves.validation;
      lay(left.band, curve?.edges, where, () => area(pixelsOf(curve.x), curve.edges, y, 0, curve.x.length));
      lay(left.line, curve, where, () => path(curve, 1));
      lay(left.check, check, where, () => path(check, 1));
      lay(left.point, check, where, () => marks(pixelsOf(check.x), check.y, y, 0, check.x.length, -1, 9, shapeOf(one.number)));
      left.lost.setAttribute("d", [...new Set(one.rates[at].lost)].map((step) => `M${text(Math.min(left.scale.pixel(step), left.width - 5) - 4)} 4l8 8m0-8l-8 8`).join(""));
      left.band.style.fill = left.line.style.stroke = left.check.style.stroke = left.point.style.stroke = left.lost.style.stroke = colourOf(one.number);
    }

    /** Final losses over the rate: of each optimizer mean, band, seeds, and what is off the axis. */
    function valley(shown, one, lost, y) {
      const x = right.scale, where = [right.width, x.low, x.high, y.low, y.high, y.log].join();
      const mine = Object.values(plan.nodes[one.number]);
      if (right.place.lastChild !== mine.at(-2)) right.place.append(...mine.slice(0, -1)); // above the others; the crosses have a place of their own
      optimizers.forEach((o) => {
        const nodes = plan.nodes[o.number], on = shown.includes(o), row = lost.indexOf(o);
        for (const node of Object.values(nodes)) { node.style.display = on ? "" : "none"; node.classList.toggle("chosen", o === one); }
        if (!on) return;
        const pixels = Float64Array.from(o.rates, (r) => x.pixel(r.rate)), of = (name) => Float64Array.from(o.rates, (r) => (r.place ? r[name] : NaN)), n = pixels.length;
        const cut = (name) => of(name).map((loss) => Math.min(loss, y.high)); // a line to what is above ends at the top, at its own rate
        const seeds = o.rates.flatMap((r, i) => r.kept.map((final) => [pixels[i], final])).filter(([, final]) => drawable(final, y.log));
        lay(nodes.band, o, where, () => area(pixels, [cut("low"), cut("high")], y, 0, n));
        lay(nodes.line, o, where, () => trace(pixels, cut("mean"), y, 0, n));
        lay(nodes.marks, o, where, () => marks(pixels, of("mean"), y, 0, n, -1, 0.1, shapeOf(o.number)));
        lay(nodes.dots, o, where, () => seeds.map(([px, final]) => `M${text(px)} ${text(y.pixel(final))}h0`).join(""));
        lay(nodes.above, o, where, () => seeds.filter(([, final]) => final > y.high).map(([px]) => `M${text(px - 4)} 9l4-5l4 5`).join(""));
        const strip = right.y - lost.length * ROW + (row + 0.5) * ROW;
        lay(nodes.lost, o, [where, strip, right.x].join(), () => o.rates.map((r, i) => r.lost.map((_, k) =>
          `M${text(right.x + pixels[i] + (k - (r.lost.length - 1) / 2) * 5 - 2)} ${text(strip - 2)}l4 4m0-4l-4 4`).join("")).join(""));
      });
    }

    /** The chosen rate on the valley. */
    function point(one, at, y) {
      const { rate, mean } = one.rates[at], x = right.x + right.scale.pixel(rate), seen = drawable(mean, y.log) && mean <= y.high, up = right.y + (seen ? y.pixel(mean) : 0);
      level.setAttribute("d", `M${text(x)} ${right.y}v${TALL}${seen ? `M${right.x} ${text(up)}H${text(x)}` : ""}`);
      for (const [name, value] of [["cx", text(x)], ["cy", text(up)]]) ring.setAttribute(name, value);
      ring.style.display = seen ? "" : "none";
    }

    function controls(one, at, shown) {
      const { rates, best: top } = one, said = sentences(one, at, get("_measure"), get("_first")), words = one.name + said.join(" ");
      rate.input.max = String(rates.length - 1);
      rate.set(at);
      optimizer.selectedIndex = one.number;
      best.setAttribute("aria-disabled", String(top < 0 || at === top));
      smoothing.set(get("smoothing"));
      compare.value = get("compare");
      for (const { input, name } of ticks) input.checked = get(name);
      if (now.dataset.said !== words) {
        now.replaceChildren(h("strong", {}, isolate(one.name), said[0]), ` ${said.slice(1).join(" ")}`);
        now.dataset.said = words;
      }
      plan.rows.forEach(({ box, row }, i) => {
        box.checked = shown.includes(optimizers[i]);
        box.disabled = optimizers[i] === one;
        row.classList.toggle("off", !box.checked);
        row.setAttribute("aria-current", String(optimizers[i] === one));
      });
      const many = rates.some((r) => r.seeds > 1), measure = get("_measure") === "validation" ? "the last validation loss" : "the mean over the last tenth of the training losses";
      const keyed = [`Final loss: ${measure}.`, many ? "Line: the mean over seeds; band: from the lowest to the highest; dots: the seeds." : "", `Valley: the rates around the best whose loss is at most ${NEAR * 100} % above it.`,
        "Cross: a seed that diverged.", shown.some((o) => o.rates.some((r) => r.high > plan.y.high)) ? "Arrow: a seed that ended above the picture." : "",
        get("compare") === "rates" && rates.length > 1 ? "Faint: the other rates, the smaller ones dotted." : "",
        one.runs[at].curves.validation ? "Dashed: validation." : "", get("smoothing") ? "Training curves are smoothed." : ""].filter(Boolean).join(" ");
      if (key.textContent !== keyed) key.textContent = keyed;
      tell(one, at);
    }

    /** The numbers of every rate of the chosen optimizer. */
    function tell(one, at) {
      if (numbers.of !== one) {
        numbers.of = one;
        about.replaceChildren("All rates of ", isolate(one.name), " in numbers");
        const cell = (value) => h("td", {}, Number.isFinite(value) ? digits(value) : "–");
        numbers.replaceChildren(h("thead", {}, h("tr", {}, ["rate", "mean", "lowest", "highest", "place", "diverged at"].map((said) => h("th", { scope: "col" }, said)))),
          h("tbody", {}, one.rates.map((r) => h("tr", {}, h("th", { scope: "row" }, rateText(r.rate)), cell(r.mean), cell(r.low), cell(r.high), h("td", {}, String(r.place ?? "–")), h("td", {}, r.lost.join(", ") || "–")))));
      }
      [...numbers.tBodies[0].rows].forEach((row, i) => row.setAttribute("aria-current", String(i === at)));
    }

    // ------------------------------------------------------------ dragging in the valley
    let held = false;
    function drag(event) {
      const box = svg.getBoundingClientRect(), pixel = ((event.clientX - box.left) * width) / box.width - right.x, { rates } = chosen();
      const to = rates[nearest(rates, right.scale.value(pixel))].rate;
      if (to !== get("rate")) save({ rate: to });
    }
    ground.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = true;
      ground.setPointerCapture(event.pointerId);
      drag(event);
    });
    ground.addEventListener("pointermove", (event) => { if (held) drag(event); });
    for (const end of ["pointerup", "pointercancel"]) ground.addEventListener(end, () => { held = false; });

    // ------------------------------------------------------------ saving, following
    /** The drawing with the optimizers' names beneath it, as a picture of its own. */
    function picture() {
      const copy = /** @type {SVGElement} */ (svg.cloneNode(true)), shown = visible(), one = chosen(), under = plan.height + 6;
      for (const node of copy.querySelectorAll(".ground, [style*='display: none']")) node.remove();
      shown.forEach((other, n) => {
        const { name, number, best, rates } = other, drawn = other === one ? `, drawn: rate ${rateText(rates[nearest(rates, get("rate"))].rate)}` : "";
        copy.append(s("g", { transform: `translate(${LEFT} ${under + 20 * n})` }, sample(number),
          s("text", { x: 34, y: 4, class: "tick" }, name + (best < 0 ? "" : `, best rate ${rateText(rates[best].rate)}`) + drawn)));
      });
      copy.setAttribute("viewBox", `0 0 ${width} ${under + 20 * shown.length}`);
      return copy;
    }

    const ask = onceAFrame({ draw, load: () => { load(); draw(); } });
    load();
    const stops = [onWidth(place, (here) => { width = here; draw(); }), follow(model, ["_grid", "_curves", "_measure", "_first"], () => ask("load")),
      follow(model, ["optimizer", "rate", "compare", "hidden", "smoothing", "log_loss", "bottom"], () => ask("draw"))];
    return () => { for (const stop of stops) stop(); };
  },
};

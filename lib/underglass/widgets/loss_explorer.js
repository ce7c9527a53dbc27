// One next token: logits that can be moved, the loss and its gradient that follow.
// Joined after shared.js (see frame.py). The formulas are those of underglass.losses.

const LARGEST = 99; // of a logit; as in loss_explorer.py
const PLOT = { width: 340, height: 236, left: 40, right: 12, top: 14, bottom: 38 };
const CURVE = Array.from({ length: 141 }, (_, i) => 1 / (1 + Math.exp(7 - i / 10))); // p, dense at both ends
const LAST = 6, PAST = 60; // losses of earlier steps that are told, and drawn

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

/** log Σ exp(x), the largest taken off first, so that no power overflows. */
function logSumExp(x) {
  const top = Math.max(...x);
  return top + Math.log(sum(x.map((one) => Math.exp(one - top))));
}

/**
 * Everything that is shown of one next token.
 * @param {{logits: number[], target: number, temperature: number, label_smoothing: number}} state
 */
function lossOf({ logits, target, temperature, label_smoothing: smoothing }) {
  const size = logits.length, scaled = logits.map((z) => z / temperature), all = logSumExp(scaled);
  const logP = scaled.map((z) => z - all), p = logP.map(Math.exp);
  const q = logits.map((_, i) => (i === target ? 1 - smoothing : 0) + smoothing / size);
  const logQ = q.map((share) => (share > 0 ? Math.log(share) : 0)); // 0 log 0 is 0
  const loss = -sum(q.map((share, i) => share * logP[i]));
  const entropy = -sum(q.map((share, i) => share * logQ[i]));
  const divergence = sum(q.map((share, i) => (share > 0 ? share * (logQ[i] - logP[i]) : 0)));
  const gradient = p.map((share, i) => (share - q[i]) / temperature);
  // The loss when p of the true token alone is moved, the others keeping their shares of the rest.
  const rest = logSumExp(scaled.filter((_, i) => i !== target)) - all;
  const others = -sum(q.map((share, i) => (i === target ? 0 : share * (logP[i] - rest))));
  const restQ = sum(q.filter((_, i) => i !== target));
  const along = (share) => others - q[target] * Math.log(share) - (restQ ? restQ * Math.log1p(-share) : 0);
  return { p, q, loss, entropy, divergence, gradient, along };
}

/** The logit that gives token `i` the probability `share`, the others staying where they are. */
function logitFor(share, i, { logits, temperature }) {
  const others = logSumExp(logits.filter((_, j) => j !== i).map((z) => z / temperature));
  return temperature * (Math.log(share / (1 - share)) + others);
}

/** 0.1234; a share that is not nothing but rounds to it as 3e−7, a huge number as 1.2e+9. */
function show(number, digits = 4) {
  const size = Math.abs(number);
  if (size === Infinity) return number < 0 ? "−∞" : "∞";
  if (size >= 1e6 || (size > 0 && size < 0.5 * 10 ** -digits)) return number.toExponential(size < 1 ? 0 : 2).replaceAll("-", "−");
  return format(number, digits);
}

/** The smallest round number that is at least `size`; a quarter of it is round too. */
function niceLimit(size) {
  const power = 10 ** Math.floor(Math.log10(size));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((limit) => limit >= size * 0.9999) ?? size;
}

const label = (token) => (token.trim() === "" ? "␣" : token);

/** Write a number where it is read, and all its digits beside it. */
function put(node, number, digits) {
  const text = show(number, digits);
  if (node.textContent !== text) node.textContent = text;
  node.dataset.value = String(number);
}

/** A slider over powers of ten. */
function logSlider(name, low, high, digits, oninput) {
  return slider(name, { min: Math.log10(low), max: Math.log10(high), step: 0.01, value: 0,
    show: (x) => format(10 ** x, digits), oninput: (x) => oninput(Number((10 ** x).toPrecision(3))) });
}

/** Text in a picture; tests and screen readers get it from the table. */
const write = (x, y, text, name = "", anchor = "start") => s("text", { x, y, class: name, "text-anchor": anchor, style: "unicode-bidi: isolate" }, text);

/** The loss over the probability of the true token, where we are on it, and where we came from. */
function drawCurve(svg, result, target, name, trail) {
  const { width, height, left, right, top, bottom } = PLOT, share = result.p[target];
  const most = niceLimit(Math.max(4, 1.04 * result.loss, ...trail.map((one) => 1.04 * one.loss)));
  const x = (p) => left + p * (width - left - right), y = (loss) => height - bottom - (Math.min(loss, 1.2 * most) / most) * (height - top - bottom);
  const shapes = [];
  for (let i = 0; i <= 4; i++) {
    const at = (most * i) / 4;
    shapes.push(s("path", { d: `M${left} ${y(at)}H${width - right}`, class: "grid" }), write(left - 5, y(at) + 4, String(Number(at.toPrecision(3))), "tick", "end"),
      s("path", { d: `M${x(i / 4)} ${top}V${height - bottom}`, class: "grid" }), write(x(i / 4), height - bottom + 14, String(i / 4), "tick", "middle"));
  }
  const points = [...CURVE, share].sort((a, b) => a - b).map((p) => [x(p), y(result.along(clamp(p, 1e-12, 1 - 1e-12)))]).filter(([, at]) => at >= top - 1);
  shapes.push(s("path", { d: `M${x(0)} ${y(result.entropy)}H${x(1)}`, class: "lowest", "stroke-dasharray": "5 4" }),
    write(x(0) + 4, y(result.entropy) - 5, "lowest: H(q)", "tick"),
    s("path", { d: `M${points.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L")}`, class: "curve" }),
    ...trail.slice(0, -1).map((one) => s("circle", { cx: x(one.share), cy: y(one.loss), r: 3, class: "past" })),
    s("circle", { cx: x(share), cy: y(result.loss), r: 5.5, class: "dot" }),
    write(x(0.5), height - 6, `probability of ${name}`, "tick", "middle"));
  svg.replaceChildren(...shapes);
  svg.setAttribute("aria-label", `Loss over the probability of ${name}: at ${show(share)} the loss is ${show(result.loss)}; it can fall to ${show(result.entropy)}`);
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name);
    const save = (changes) => { model.set(changes); model.save_changes(); };
    const names = get("tokens").map(label), group = `target-${Math.random().toString(36).slice(2)}`;
    let limit = 0, trail = [], spoken = 0, first = true;

    const read = () => Object.fromEntries(["logits", "target", "temperature", "label_smoothing", "rate"].map((name) => [name, get(name)]));
    const move = (i, z) => save({ logits: get("logits").map((old, j) => (j === i ? clamp(Number(z.toFixed(3)), -LARGEST, LARGEST) : old)) });

    // ------------------------------------------------------------ one row for each token
    const rows = names.map((name, i) => {
      const choice = h("input", { type: "radio", name: group, "aria-label": `true token: ${name}`, onchange() { save({ target: i }); } });
      const input = h("input", { type: "range", step: 0.01, "aria-label": `logit of ${name}` });
      input.addEventListener("input", () => move(i, Number(input.value)));
      input.addEventListener("keydown", (event) => {
        const step = { ArrowUp: 0.1, ArrowRight: 0.1, ArrowDown: -0.1, ArrowLeft: -0.1, PageUp: 1, PageDown: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        move(i, get("logits")[i] + step * (event.shiftKey ? 10 : 1));
      });
      const push = h("span", { class: "push", "aria-hidden": "true" });
      const bar = h("span", { class: "bar" }), goal = h("span", { class: "goal" }), signed = h("span", { class: "bar" });
      const track = h("div", { class: "track shares", "aria-hidden": "true" }, bar, goal);
      const set = (event) => {
        const box = track.getBoundingClientRect();
        move(i, logitFor(clamp((event.clientX - box.left) / box.width, 0.001, 0.999), i, read()));
      };
      track.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        event.preventDefault();
        track.setPointerCapture(event.pointerId);
        set(event);
      });
      track.addEventListener("pointermove", (event) => { if (track.hasPointerCapture(event.pointerId)) set(event); });
      const number = (kind) => h("span", { class: "number", "data-number": kind });
      const numbers = { logit: number("logit"), p: number("p"), q: number("q"), gradient: number("gradient") };
      const arrow = h("span", { class: "arrow" });
      const element = h("div", { role: "row", class: "row", "data-token": i },
        h("div", { role: "rowheader", class: "name" }, h("label", { title: get("tokens")[i] }, choice, isolate(name))),
        h("div", { role: "cell", class: "cell logit" }, h("div", { class: "rail" }, input, push), numbers.logit),
        h("div", { role: "cell", class: "cell share" }, track, numbers.p),
        h("div", { role: "cell", class: "cell goals" }, numbers.q),
        h("div", { role: "cell", class: "cell gap" }, h("div", { class: "track signed", "aria-hidden": "true" }, signed), numbers.gradient, arrow));
      return { element, choice, input, push, bar, goal, signed, numbers, arrow };
    });
    const head = (title, formula, ...more) => h("div", { role: "columnheader" }, h("strong", {}, title), " ", h("span", { class: "formula" }, formula), ...more);
    const table = h("div", { role: "table", class: "tokens", "aria-label": "Tokens" },
      h("div", { role: "row", class: "row heads" }, head("true token", ""), head("logit", "z"), head("probability", "p = softmax(z / T)"), head("target", "q"), head("gradient", "(p − q) / T")),
      ...rows.map((row) => row.element));

    // ------------------------------------------------------------ controls, the numbers, the curve
    const heat = logSlider("temperature T", 0.1, 10, 2, (temperature) => save({ temperature }));
    const smooth = slider("label smoothing ε", { min: 0, max: 1, step: 0.01, value: 0, show: (x) => format(x), oninput: (x) => save({ label_smoothing: x }) });
    const rate = logSlider("learning rate", 0.01, 10, 2, (value) => save({ rate: value }));
    const said = (kind) => h("b", { "data-number": kind });
    const totals = { loss: said("loss"), bits: said("bits"), perplexity: said("perplexity"), entropy: said("entropy"), divergence: said("divergence"), lowest: said("lowest") };
    const parts = { entropy: h("span", { class: "part entropy" }), divergence: h("span", { class: "part divergence" }) };
    const why = h("p", { class: "why" }), walk = h("p", { class: "walk" });
    const numbers = h("div", { class: "totals" },
      h("p", { class: "main" }, "cross-entropy ", h("span", { class: "formula" }, "−Σ q log p"), " = ", totals.loss, " nats"),
      h("p", {}, "= ", totals.bits, " bits; perplexity ", h("span", { class: "formula" }, "e", h("sup", {}, "loss")), " = ", totals.perplexity),
      h("div", { class: "stack", "aria-hidden": "true" }, parts.entropy, parts.divergence),
      h("p", {}, h("i", { class: "key entropy" }), "entropy ", h("span", { class: "formula" }, "H(q)"), " ", totals.entropy, " + ", h("i", { class: "key divergence" }), h("span", { class: "formula" }, "KL(q‖p)"), " ", totals.divergence),
      h("p", {}, "lowest possible loss: ", totals.lowest), why, walk);
    const plot = s("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", class: "plot" });
    const status = h("div", { class: "ug-hidden", role: "status" });
    const view = h("div", { class: "ug ug-loss" }, h("h4", { class: "ug-title" }, "The loss of one next token"),
      h("p", { class: "ug-caption" }, "Move a logit, drag a probability, or choose another true token. The mark under a slider is where a step of gradient descent would take it."),
      table, h("div", { class: "ug-bar" }, h("button", { type: "button", class: "ug-primary", onclick: () => step(1) }, "Take a step"),
        h("button", { type: "button", onclick: () => step(10) }, "Take 10"), rate.element),
      h("div", { class: "ug-bar" }, heat.element, smooth.element),
      h("div", { class: "below" }, numbers, h("figure", { class: "picture" }, plot)),
      h("div", { class: "ug-bar" }, h("button", { type: "button", onclick() { limit = 0; trail = []; save({ ...get("_start") }); draw(); } }, "Reset"), saveButton(picture, "loss")), status);
    el.append(view);

    /** Gradient descent on the logits: z − rate · (p − q) / T, `count` times. */
    function step(count) {
      const state = read(), mark = (logits) => {
        const { loss, p } = lossOf({ ...state, logits });
        return { logits, loss, share: p[state.target] };
      };
      if (!trail.length) trail = [mark(state.logits)];
      for (let n = 0; n < count; n++) {
        const { logits } = trail.at(-1), { gradient } = lossOf({ ...state, logits });
        trail.push(mark(logits.map((z, i) => clamp(z - state.rate * gradient[i], -LARGEST, LARGEST))));
      }
      save({ logits: trail.at(-1).logits });
    }

    /** What the reader moved by hand, or Python, is no longer where the steps led. */
    function forget(state) {
      const { target, temperature, label_smoothing } = state, key = [target, temperature, label_smoothing].join();
      const end = trail.at(-1);
      if (end && (String(end.logits) !== String(state.logits) || trail.key !== undefined && trail.key !== key)) trail = [];
      trail.key = key;
    }

    function draw() {
      const state = read(), { logits, target, temperature } = state, result = lossOf(state), place = (z) => (z + limit) / (2 * limit);
      forget(state);
      limit = Math.max(limit, niceLimit(Math.max(6, ...logits.map(Math.abs))));
      rows.forEach((row, i) => {
        const z = logits[i], next = clamp(z - state.rate * result.gradient[i], -limit, limit), gap = result.gradient[i];
        row.choice.checked = i === target;
        row.element.classList.toggle("true", i === target);
        row.input.min = String(-limit);
        row.input.max = String(limit);
        row.input.value = String(z);
        row.input.setAttribute("aria-valuetext", `${show(z, 2)}, probability ${show(result.p[i])}`);
        put(row.numbers.logit, z, 2);
        put(row.numbers.p, result.p[i]);
        put(row.numbers.q, result.q[i]);
        put(row.numbers.gradient, gap);
        row.bar.style.width = `${100 * result.p[i]}%`;
        row.goal.style.left = `${100 * result.q[i]}%`;
        const long = 50 * Math.abs(gap * temperature); // the scale ends at ±1/T
        row.signed.style.width = `${long}%`;
        row.signed.style.left = `${gap < 0 ? 50 - long : 50}%`;
        row.signed.classList.toggle("negative", gap < 0);
        const up = Math.abs(gap) < 5e-5 ? "" : gap < 0 ? "↑" : "↓";
        row.arrow.textContent = up;
        row.arrow.title = row.arrow.ariaLabel = up && (gap < 0 ? "a step raises this logit" : "a step lowers this logit");
        const [from, to] = [z, next].map(place).sort((a, b) => a - b);
        row.push.style.left = `calc(8px + ${from} * (100% - 16px))`; // where the thumb's middle is
        row.push.style.width = `calc(${to - from} * (100% - 16px))`;
        row.push.classList.toggle("negative", gap < 0); // the colour of its gradient
      });
      heat.set(Math.log10(temperature));
      smooth.set(state.label_smoothing);
      rate.set(Math.log10(state.rate));
      put(totals.loss, result.loss);
      put(totals.bits, result.loss / Math.LN2);
      put(totals.perplexity, Math.exp(result.loss), 2);
      put(totals.entropy, result.entropy);
      put(totals.divergence, result.divergence);
      put(totals.lowest, result.entropy);
      const whole = Math.max(result.loss, 1e-9);
      parts.entropy.style.width = `${(100 * result.entropy) / whole}%`;
      parts.divergence.style.width = `${(100 * Math.max(0, result.divergence)) / whole}%`;
      why.textContent = explain(state, result);
      tellWalk();
      drawCurve(plot, result, target, names[target], trail.slice(-PAST));
      clearTimeout(spoken);
      if (!first) { // once the reader pauses, not at every pixel of a drag
        spoken = setTimeout(() => {
          status.textContent = `Loss ${show(result.loss)}. ${names.map((name, i) => `${name}: probability ${show(result.p[i])}, gradient ${show(result.gradient[i])}`).join("; ")}.`;
        }, 500);
      }
      first = false;
    }

    /** What the lowest loss asks of the logits. */
    function explain({ temperature, label_smoothing: smoothing, target }, { q }) {
      if (smoothing === 0) return "No finite logits reach it: the true one would have to be infinitely far above the others.";
      const gap = temperature * Math.log(q[target] / q[target ? 0 : 1]);
      if (smoothing === 1) return "It is reached where p = q: where all logits are the same. Which token is true no longer counts.";
      return `It is reached where p = q: where the true logit is ${show(gap, 2)} above all the others. Beyond that the loss rises again.`;
    }

    function tellWalk() {
      const losses = trail.map((one) => one.loss), count = losses.length - 1;
      walk.textContent = count < 1 ? "No step taken yet." : `Loss after ${count} step${count === 1 ? "" : "s"}: ${losses.length > LAST ? "… → " : ""}${losses.slice(-LAST).map((loss) => show(loss)).join(" → ")}${trail.at(-1).logits.some((z) => Math.abs(z) === LARGEST) ? `; logits stop at ±${LARGEST}` : ""}`;
    }

    /** The table and the curve as one drawing. */
    function picture() {
      const state = read(), result = lossOf(state), LINE = 24, top = 62, width = 720, shapes = [];
      const foot = top + LINE * names.length + 16, columns = [12, 170, 235, 420, 490];
      ["token", "logit z", "probability p", "target q", "gradient (p − q) / T"].forEach((text, n) => shapes.push(write(columns[n], 44, text, "strong")));
      names.forEach((name, i) => {
        const y = top + LINE * i, gap = result.gradient[i], long = 65 * Math.abs(gap * state.temperature), short = [...name].length > 18 ? `${[...name].slice(0, 17).join("")}…` : name;
        shapes.push(write(12, y + 12, short, i === state.target ? "strong" : ""), write(170, y + 12, show(state.logits[i], 2)),
          s("rect", { x: 235, y, width: 110 * result.p[i], height: 15, class: "p" }), s("rect", { x: 234 + 110 * result.q[i], y: y - 2, width: 2.5, height: 19, class: "q" }), write(354, y + 12, show(result.p[i])),
          write(420, y + 12, show(result.q[i])), s("path", { d: `M555 ${y - 2}v19`, class: "grid" }),
          s("rect", { x: gap < 0 ? 555 - long : 555, y, width: long, height: 15, class: gap < 0 ? "negative" : "positive" }), write(632, y + 12, show(gap)));
      });
      const told = [`cross-entropy ${show(result.loss)} nats, ${show(result.loss / Math.LN2)} bits`, `perplexity ${show(Math.exp(result.loss), 2)}`,
        `H(q) ${show(result.entropy)} + KL(q‖p) ${show(result.divergence)}`, `temperature ${show(state.temperature, 2)}, label smoothing ${show(state.label_smoothing, 2)}`];
      shapes.push(...told.map((text, n) => write(12, foot + 30 + 22 * n, text)));
      const curve = s("svg", { x: 370, y: foot, width: PLOT.width, height: PLOT.height, viewBox: plot.getAttribute("viewBox") }, ...[...plot.children].map((node) => node.cloneNode(true)));
      const height = foot + PLOT.height + 8;
      return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "saved" }, write(12, 20, "The loss of one next token", "strong"), ...shapes, curve);
    }

    const stops = [
      follow(model, ["logits", "target", "temperature", "label_smoothing", "rate"], draw),
      () => clearTimeout(spoken),
    ];
    draw();
    return () => { for (const stop of stops) stop(); };
  },
};

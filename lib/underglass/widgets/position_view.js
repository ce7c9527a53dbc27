// How a position becomes numbers: the sinusoidal code, and the rotary turn of queries and keys.
// Joined after shared.js (see frame.py). The formulas are those of underglass.positions.

const LEFT = 46, RIGHT = 14; // margins of every plot, so that one position stands in one column
const MOST_DIALS = 16; // more pairs than these are drawn as a selection
const KEPT = ["warm", "good", "bad", "soft"]; // colours of the curves that stay
const FAR = [1, 4, 16, 64]; // distances told in words

/** Radians a position: base^(−2i/d) for each pair i. */
const frequencies = (d, base) => Array.from({ length: d / 2 }, (_, i) => base ** ((-2 * i) / d));

/** P[p, 2i] = sin(p f_i), P[p, 2i+1] = cos(p f_i); row after row, as in underglass.positions. */
function sinusoidal(length, d, base) {
  const code = new Float64Array(length * d), turns = frequencies(d, base);
  for (let p = 0; p < length; p++) {
    for (let i = 0; i < d / 2; i++) {
      code[p * d + 2 * i] = Math.sin(p * turns[i]);
      code[p * d + 2 * i + 1] = Math.cos(p * turns[i]);
    }
  }
  return code;
}

/** The pair (x_i, x_{i + d/2}) turned by `position` times its frequency, as RotaryPositions does. */
function rotate(x, position, turns) {
  const half = x.length / 2, turned = new Float64Array(x.length);
  for (let i = 0; i < half; i++) {
    const [cos, sin] = [Math.cos(position * turns[i]), Math.sin(position * turns[i])];
    turned[i] = x[i] * cos - x[i + half] * sin;
    turned[i + half] = x[i + half] * cos + x[i] * sin;
  }
  return turned;
}

function inner(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/**
 * rotate(query, m) · rotate(key, n) for n − m from 1 − length to length − 1. Turning both by the
 * same angle changes no dot product, so a pair's part is (q·k) cos + (k×q) sin of n − m steps.
 */
function scoresByDistance(query, key, length, turns) {
  const half = turns.length, scores = new Float64Array(2 * length - 1);
  for (let i = 0; i < half; i++) {
    const along = query[i] * key[i] + query[i + half] * key[i + half];
    const across = query[i + half] * key[i] - query[i] * key[i + half];
    for (let step = 0; step < length; step++) {
      const even = along * Math.cos(step * turns[i]), odd = across * Math.sin(step * turns[i]);
      scores[length - 1 + step] += even + odd;
      if (step) scores[length - 1 - step] += even - odd;
    }
  }
  return scores;
}

/** A query and a key before any rotation: alike, or two that have little to do with each other. */
function contents(name, d) {
  const wave = (step, start) => Float64Array.from({ length: d }, (_, i) => Math.sin(step * i + start));
  if (name === "alike") return [new Float64Array(d).fill(1), new Float64Array(d).fill(1)];
  const [query, other] = [wave(3, 1), wave(5, 2)];
  return [query, query.map((x, i) => 0.5 * x + other[i])];
}

/** Whole numbers from `low` to `high`, about `count` of them, at a round step. */
function roundSteps(low, high, count) {
  const rough = Math.max(1, (high - low) / count), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= rough) ?? rough;
  const steps = [];
  for (let x = Math.ceil(low / step) * step; x <= high; x += step) steps.push(x);
  return steps;
}

const whole = (number) => String(number).replace("-", "−");

const hundredths = (x) => Math.round(x * 100) / 100; // of a pixel; toFixed takes ten times longer

/** Lines through points. @param {number} count @param {(i: number) => number} x, y */
function line(count, x, y) {
  let path = "";
  for (let i = 0; i < count; i++) path += `${i ? "L" : "M"}${hundredths(x(i))} ${hundredths(y(i))}`;
  return path;
}

/** The frame of a plot: title above, ticks at the left, zero line. */
function plotFrame({ top, height, width, title, low, high, ticks }) {
  const y = (value) => top + height - ((value - low) / (high - low)) * height;
  const shapes = [s("text", { x: LEFT, y: top - 9, class: "plot-title" }, ...[title].flat())];
  for (const tick of ticks) {
    shapes.push(s("path", { d: `M${LEFT} ${y(tick)}H${width - RIGHT}`, class: tick === 0 ? "zero" : "grid" }),
      s("text", { x: LEFT - 6, y: y(tick) + 4, class: "tick", "text-anchor": "end" }, whole(tick)));
  }
  return { y, shapes };
}

function xAxis(values, x, y, name, width) {
  return [...values.map((value) => s("text", { x: x(value), y: y + 14, class: "tick", "text-anchor": "middle" }, whole(value))),
    s("text", { x: width - RIGHT, y: y + 29, class: "tick", "text-anchor": "end" }, name)];
}

/** The heat map, its curves, and the dot products of one position with all others. */
function sinusoidalPicture(move) {
  const svg = s("svg", { role: "group", "aria-label": "Sinusoidal positions", class: "plot" });
  // On the screen the heat map is a canvas under the drawing; as an image it is only saved, for
  // packing it takes longer than all the rest.
  const canvas = h("canvas", { class: "pixels", "aria-hidden": "true" });
  const image = s("image", { x: LEFT, preserveAspectRatio: "none", "image-rendering": "pixelated" });
  const ground = s("rect", { x: LEFT, class: "ground" });
  const cell = s("g", {}), rest = s("g", { role: "img" });
  const heat = s("g", { tabindex: 0, role: "application", class: "heat" }, image, ground, cell);
  svg.append(rest, heat);
  let plan = null, held = false, drawn = "";

  const locate = (event) => {
    const box = svg.getBoundingClientRect(), { length, d, width, top, height } = plan;
    const within = (value, most) => Math.max(0, Math.min(most, Math.floor(value)));
    const y = ((event.clientY - box.top) * plan.total) / box.height;
    return {
      position: within(((((event.clientX - box.left) * width) / box.width - LEFT) / (width - LEFT - RIGHT)) * length, length - 1),
      dimension: y > top && y < top + height ? within(((y - top) / height) * d, d - 1) : null,
    };
  };
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    held = true;
    svg.setPointerCapture(event.pointerId);
    if (event.target instanceof Element && heat.contains(event.target)) heat.focus({ preventScroll: true });
    event.preventDefault();
    move(locate(event), true);
  });
  svg.addEventListener("pointermove", (event) => move(locate(event), held));
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { held = false; });
  svg.addEventListener("pointerleave", () => move(null, false));
  heat.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
      PageUp: [0, -8], PageDown: [0, 8], Home: [-Infinity, 0], End: [Infinity, 0] }[event.key];
    if (!steps) return;
    event.preventDefault();
    const within = (value, most) => Math.max(0, Math.min(most, value));
    move({ position: within(plan.position + steps[0], plan.length - 1), dimension: within(plan.dimension + steps[1], plan.d - 1) }, true);
  });

  function paint(code, length, d, scale) {
    canvas.width = length;
    canvas.height = d;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const pixels = context.createImageData(length, d), whole = new Uint32Array(pixels.data.buffer);
    const colours = Uint32Array.from({ length: 201 }, (_, i) => { // red is the lowest byte
      const [r, g, b] = scale(i / 100 - 1);
      return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
    });
    for (let p = 0; p < length; p++) {
      for (let i = 0; i < d; i++) whole[i * length + p] = colours[Math.round(code[p * d + i] * 100) + 100];
    }
    context.putImageData(pixels, 0, 0);
  }

  function draw({ code, key, length, d, width, position, dimension, kept, scale }) {
    const top = 26, height = Math.max(128, Math.min(224, 7 * d)), inside = width - LEFT - RIGHT;
    const curves = top + height + 66, curvesHeight = 92, dots = curves + curvesHeight + 46, dotsHeight = 110;
    plan = { length, d, width, top, height, position, dimension, total: dots + dotsHeight + 36 };
    const x = (p) => LEFT + ((p + 0.5) * inside) / length, row = (i) => top + (i * height) / d;
    svg.setAttribute("viewBox", `0 0 ${width} ${plan.total}`);
    if (key !== drawn) paint(code, length, d, scale); // the colours change with the code only
    drawn = key;
    for (const [name, value] of Object.entries({ y: top, width: inside, height })) {
      for (const node of [image, ground]) node.setAttribute(name, String(value));
    }
    canvas.style.cssText = `left: ${LEFT}px; top: ${top}px; width: ${inside}px; height: ${height}px`;
    const [cw, ch] = [inside / length, height / d];
    cell.replaceChildren(
      s("rect", { x: LEFT, y: row(dimension), width: inside, height: ch, class: "band" }),
      s("rect", { x: x(position) - cw / 2, y: top, width: cw, height, class: "band" }),
      s("rect", { x: x(position) - cw / 2 - 1, y: row(dimension) - 1, width: cw + 2, height: ch + 2, class: "cell-halo" }),
      s("rect", { x: x(position) - cw / 2 - 1, y: row(dimension) - 1, width: cw + 2, height: ch + 2, class: "cell-edge" }));
    const steps = roundSteps(0, length - 1, inside / 60);
    const legend = [-1, 0, 1].flatMap((value, n) => [
      s("rect", { x: width - RIGHT - 104 + 38 * n, y: top - 18, width: 11, height: 11, class: "swatch", style: `fill: ${css(scale(value))}` }),
      s("text", { x: width - RIGHT - 89 + 38 * n, y: top - 9, class: "tick" }, whole(value))]);
    const shapes = [s("text", { x: LEFT, y: top - 9, class: "plot-title" }, width < 480 ? "The code" : "The code: one column for each position"), ...legend,
      ...roundSteps(0, d - 1, 5).map((i) => s("text", { x: LEFT - 6, y: row(i + 0.5) + 4, class: "tick", "text-anchor": "end" }, String(i))),
      s("text", { x: 11, y: top + height / 2, class: "tick", "text-anchor": "middle", transform: `rotate(-90 11 ${top + height / 2})` }, "dimension"),
      ...xAxis(steps, x, top + height, "position", width)];

    const lines = [...kept.filter((i) => i !== dimension).map((i) => [i, KEPT[kept.indexOf(i) % KEPT.length]]), [dimension, "accent"]];
    const waves = plotFrame({ top: curves, height: curvesHeight, width, title: ["Rows of it as curves: ", ...lines.map(([i, colour], n) => s("tspan", { class: colour }, `${n ? ", " : ""}${i}`))], low: -1.05, high: 1.05, ticks: [-1, 0, 1] });
    shapes.push(...waves.shapes, s("path", { d: `M${x(position)} ${curves}v${curvesHeight}`, class: "here" }));
    for (const [i, colour] of lines) {
      const y = (p) => waves.y(code[p * d + i]);
      shapes.push(s("path", { d: line(length, x, y), class: `curve ${colour}`, "data-dimension": i }),
        s("circle", { cx: x(position), cy: y(position), r: 4, class: `dot ${colour}` }));
    }

    const own = code.subarray(position * d, (position + 1) * d);
    const products = Array.from({ length }, (_, p) => inner(own, code.subarray(p * d, (p + 1) * d)));
    const low = Math.min(0, ...products), high = d / 2;
    const fall = plotFrame({ top: dots, height: dotsHeight, width, title: `P[${position}] · P[every position]`, low: low - 0.03 * high, high: high * 1.04, ticks: [0, high / 2, high] });
    shapes.push(...fall.shapes, s("path", { d: `M${x(position)} ${dots}v${dotsHeight}`, class: "here" }),
      s("path", { d: `${line(length, x, (p) => fall.y(products[p]))}L${x(length - 1)} ${fall.y(0)}L${x(0)} ${fall.y(0)}Z`, class: "area", "fill-opacity": 0.15 }),
      s("path", { d: line(length, x, (p) => fall.y(products[p])), class: "curve accent", "data-products": "" }),
      s("circle", { cx: x(position), cy: fall.y(products[position]), r: 4, class: "dot accent" }),
      ...xAxis(steps, x, dots + dotsHeight, "position", width));
    rest.replaceChildren(...shapes);
    rest.setAttribute("aria-label", `Curves at position ${position}: ${lines.map(([i]) => `dimension ${i} ${format(code[position * d + i])}`).join(", ")}. `
      + `Its product with position ${steps.map((p) => `${p}: ${format(products[p])}`).join(", ")}`);
    return products;
  }
  /** The drawing with the heat map inside it, for as long as it takes to save. */
  function complete() {
    image.setAttribute("href", canvas.toDataURL());
    setTimeout(() => image.removeAttribute("href"));
    return svg;
  }
  return { svg, canvas, heat, draw, complete };
}

/** One dial for each pair, and the score for every distance. */
function rotaryPicture() {
  const svg = s("svg", { role: "group", "aria-label": "Rotary positions", class: "plot" });
  const arrow = (cx, cy, [a, b], reach, name) => {
    const [dx, dy] = [a * reach, -b * reach], length = Math.hypot(dx, dy);
    if (length < 0.5) return [];
    const [ux, uy] = [dx / length, dy / length], head = Math.min(8, length), [tx, ty] = [cx + dx, cy + dy];
    const [bx, by] = [tx - ux * head, ty - uy * head];
    return [s("path", { d: `M${cx} ${cy}L${bx} ${by}`, class: `shaft ${name}` }),
      s("path", { d: `M${tx} ${ty}L${bx - uy * head * 0.45} ${by + ux * head * 0.45}L${bx + uy * head * 0.45} ${by - ux * head * 0.45}Z`, class: `head ${name}` })];
  };

  function draw({ d, width, length, turns, query, key, turnedQuery, turnedKey, scores, distance }) {
    const half = d / 2, count = Math.min(half, MOST_DIALS);
    const rows = Math.ceil(count / Math.max(3, Math.floor((width - 8) / 76))), columns = Math.ceil(count / rows);
    const chosen = Array.from({ length: count }, (_, n) => (count === 1 ? 0 : Math.round((n * (half - 1)) / (count - 1))));
    const wide = Math.min(110, (width - 8) / columns), tall = 104, radius = 29;
    const largest = Math.max(...[query, key].flatMap((v) => Array.from({ length: half }, (_, i) => Math.hypot(v[i], v[i + half]))));
    const reach = radius / largest, shapes = [];
    shapes.push(s("text", { x: 4, y: 17, class: "plot-title" }, count < half ? `${count} of ${half} pairs` : "Each pair of numbers on its dial"));
    chosen.forEach((i, n) => {
      const cx = 4 + wide * ((n % columns) + 0.5), cy = 78 + tall * Math.floor(n / columns);
      const [a, b] = [turnedQuery, turnedKey].map((v) => [v[i], v[i + half]]), share = a[0] * b[0] + a[1] * b[1];
      const angle = Math.atan2(a[0] * b[1] - a[1] * b[0], share), from = Math.atan2(a[1], a[0]), r = radius * 0.45;
      const at = (t) => `${(cx + r * Math.cos(t)).toFixed(2)} ${(cy - r * Math.sin(t)).toFixed(2)}`;
      shapes.push(s("g", { role: "img", "data-pair": i, "data-share": share,
        "aria-label": `Pair ${i}, dimensions ${i} and ${i + half}: query (${format(a[0])}, ${format(a[1])}), key (${format(b[0])}, ${format(b[1])}), product ${format(share)}` },
      s("title", {}, `A step turns this pair by ${format(turns[i], 4)} radians`),
      s("text", { x: cx, y: cy - radius - 6, class: "tick", "text-anchor": "middle" }, `${i} & ${i + half}`),
      s("circle", { cx, cy, r: radius, class: "dial" }),
      s("path", { d: `M${cx} ${cy}L${at(from)}A${r} ${r} 0 0 ${angle > 0 ? 0 : 1} ${at(from + angle)}Z`, class: "sector", "fill-opacity": 0.18 }),
      ...arrow(cx, cy, b, reach, "accent"), ...arrow(cx, cy, a, reach * 0.98, "warm"),
      s("text", { x: cx, y: cy + radius + 15, class: "share", "text-anchor": "middle" }, format(share))));
    });

    const top = 78 + tall * (rows - 1) + radius + 66, height = 130, inside = width - LEFT - RIGHT, most = length - 1;
    const [least, best] = [Math.min(0, ...scores), Math.max(0, ...scores)], room = 0.06 * (best - least || 1);
    const ticks = [...new Set([least, 0, best].map((v) => Math.round(v)))].filter((v) => v >= least - room && v <= best + room);
    const frame = plotFrame({ top, height, width, title: "Score for every distance", low: least - room, high: best + room, ticks });
    const x = (delta) => LEFT + ((delta + most + 0.5) * inside) / (2 * most + 1);
    const far = roundSteps(-most, most, inside / 70);
    shapes.push(s("g", { role: "img", "aria-label": `Score at distance ${far.map((k) => `${whole(k)}: ${format(scores[k + most])}`).join(", ")}` },
      ...frame.shapes, s("path", { d: `M${x(0)} ${top}v${height}`, class: "grid" }),
      s("path", { d: `M${x(distance)} ${top}v${height}`, class: "here" }),
      s("path", { d: line(scores.length, (i) => x(i - most), (i) => frame.y(scores[i])), class: "curve accent", "data-scores": "" }),
      s("circle", { cx: x(distance), cy: frame.y(scores[distance + most]), r: 5, class: "dot warm" }),
      ...xAxis(far, x, top + height, "key position − query position", width)));
    svg.setAttribute("viewBox", `0 0 ${width} ${top + height + 36}`);
    svg.replaceChildren(...shapes);
  }
  return { svg, draw };
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name);
    const save = (changes) => { model.set(changes); model.save_changes(); };
    let width = 0, seen = null, asked = 0, spoken = 0, first = true;

    // Controls
    const kinds = { sinusoidal: "Sinusoidal", rotary: "Rotary" };
    const buttons = Object.entries(kinds).map(([kind, text]) => h("button", { type: "button", "data-kind": kind, onclick: () => save({ kind }) }, text));
    const range = (label, name, max, min = 0, step = 1) => slider(label, { min, max, step, value: get(name), oninput: (value) => save({ [name]: value }) });
    const most = get("max_len") - 1;
    const position = range("position p", "position", most), dimension = range("dimension", "dimension", get("d_model") - 1);
    const m = range("query position", "query_position", most), n = range("key position", "key_position", most);
    const both = slider("move both", { min: 0, max: most, step: 1, value: 0, show: () => `${get("query_position")}, ${get("key_position")}`, oninput: (start) => {
      const [query, key] = [get("query_position"), get("key_position")], low = Math.min(query, key);
      save({ query_position: query - low + start, key_position: key - low + start });
    } });
    const size = slider("dimensions d", { min: 2, max: 128, step: 2, value: get("d_model"), oninput: (d) => save({ d_model: d,
      dimension: Math.min(get("dimension"), d - 1), kept: get("kept").filter((i) => i < d) }) });
    const baseText = () => String(Number(get("base").toPrecision(6)));
    const base = slider("base", { min: 1, max: 6, step: 0.05, value: Math.log10(get("base")), show: () => baseText(),
      oninput: (x) => save({ base: Number((10 ** x).toPrecision(2)) }) });
    const content = h("select", { onchange() { save({ content: content.value }); } },
      h("option", { value: "alike" }, "the same, all ones"), h("option", { value: "different" }, "two different vectors"));
    const contentLabel = h("label", { class: "wide" }, "query and key", content);
    const keep = h("button", { type: "button", onclick() {
      const kept = keptHere(), i = get("dimension");
      save({ kept: kept.includes(i) ? kept.filter((x) => x !== i) : [...kept, i].slice(-KEPT.length) });
    } });
    const chips = h("span", { class: "chips" });

    const keptHere = () => get("kept").filter((i) => i < get("d_model"));

    // Pictures and words
    const move = (cell, press) => {
      seen = cell;
      if (press && cell) save({ position: cell.position, dimension: cell.dimension ?? get("dimension") });
      ask();
    };
    const waves = sinusoidalPicture(move), dials = rotaryPicture();
    const caption = h("p", { class: "ug-caption" }), reading = h("p", { class: "reading" }), far = h("p", { class: "reading far" });
    const status = h("div", { class: "ug-hidden", role: "status" });
    const legend = h("p", { class: "legend" }, h("span", { class: "warm" }, "→ query"), " ", h("span", { class: "accent" }, "→ key"), "  under each dial: its part of the score");
    const place = h("div", { class: "place" }, waves.canvas, waves.svg, dials.svg);
    const curves = h("div", { class: "ug-bar" }, keep, chips);
    const reset = h("button", { type: "button", onclick: () => save(get("_start")) }, "Reset");
    const controls = h("div", { class: "controls" }, position.element, dimension.element, m.element, n.element, both.element, contentLabel, size.element, base.element);
    const view = h("div", { class: "ug ug-positions" }, h("h4", { class: "ug-title" }, "Where a token stands, as numbers"),
      h("div", { class: "ug-bar", role: "group", "aria-label": "kind of code" }, ...buttons), caption, controls, reading, far, legend, place, curves,
      h("div", { class: "ug-bar" }, reset, saveButton(() => (get("kind") === "rotary" ? dials.svg : waves.complete()), "positions")), status);
    el.append(view);
    let scale = signedScale(view), theme = 0;
    const cache = new Map();
    /** Tables that a move of the cursor does not change are made once. */
    const once = (name, key, make) => {
      if (cache.get(name)?.key !== key) cache.set(name, { key, made: make() });
      return cache.get(name).made;
    };

    function drawWaves() {
      const [length, d, b] = [get("max_len"), get("d_model"), get("base")], key = `${length} ${d} ${b}`;
      const at = { position: get("position"), dimension: Math.min(get("dimension"), d - 1) };
      const code = once("code", key, () => sinusoidal(length, d, b));
      const products = waves.draw({ code, key: `${key} ${theme}`, length, d, width, kept: keptHere(), scale, ...at });
      const tell = (p, i) => {
        const name = i % 2 ? "cos" : "sin", angle = p * b ** ((i % 2 - i) / d);
        return [`P[${p}, ${i}] = ${name}(${p} / ${baseText()}`, h("sup", {}, `${i - (i % 2)}/${d}`), `) = ${name}(${format(angle, 3)}) = ${format(code[p * d + i], 3)}`];
      };
      const p = seen?.position ?? at.position, i = seen?.dimension ?? at.dimension;
      reading.replaceChildren(...tell(p, i));
      const apart = FAR.map((k) => [k, at.position + k < length ? at.position + k : at.position - k]).filter(([, other]) => other >= 0);
      far.textContent = seen && seen.position !== at.position
        ? `P[${at.position}] · P[${seen.position}] = ${format(products[seen.position], 3)}: ${Math.abs(seen.position - at.position)} apart`
        : `P[${at.position}] · P[${at.position}] = ${format(products[at.position], 3)}; ${apart.map(([k, other]) => `${k} apart: ${format(products[other], 3)}`).join("; ")}`;
      waves.heat.setAttribute("aria-label", `Heat map; arrow keys move. Position ${at.position}, dimension ${at.dimension}: ${format(code[at.position * d + at.dimension], 3)}`);
      return `P[${at.position}, ${at.dimension}] = ${format(code[at.position * d + at.dimension], 3)}. ${far.textContent}`;
    }

    function drawDials() {
      const [length, d, b, from, to] = ["max_len", "d_model", "base", "query_position", "key_position"].map(get);
      const turns = frequencies(d, b), [query, key] = contents(get("content"), d);
      const [turnedQuery, turnedKey] = [rotate(query, from, turns), rotate(key, to, turns)];
      const scores = once("scores", `${length} ${d} ${b} ${get("content")}`, () => scoresByDistance(query, key, length, turns));
      dials.draw({ d, width, length, turns, query, key, turnedQuery, turnedKey, scores, distance: to - from });
      reading.textContent = `query at ${from} · key at ${to} = ${format(inner(turnedQuery, turnedKey), 3)}`;
      far.textContent = `distance ${whole(to - from)}: move both, and the dials turn but the score stays`;
      return `${reading.textContent}, distance ${whole(to - from)}`;
    }

    function draw() {
      if (!width) return;
      const rotary = get("kind") === "rotary", d = get("d_model");
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.kind === get("kind")));
      for (const part of [position.element, dimension.element, waves.svg, waves.canvas, curves]) part.toggleAttribute("hidden", rotary);
      for (const part of [m.element, n.element, both.element, contentLabel, dials.svg, legend]) part.toggleAttribute("hidden", !rotary);
      const angle = (p) => [`${p} / base`, h("sup", {}, "2i/d")];
      caption.replaceChildren(...(rotary
        ? ["Nothing is added: numbers i and i + d/2 of a query or key are one arrow, turned by ", ...angle("position"),
          ". The score sees only the angles between arrows, so only how far apart query and key stand."]
        : ["P[p, 2i] = sin(", ...angle("p"), ") and P[p, 2i+1] = cos of the same: fast waves on top, slow ones below. "
          + "Move p: the lowest curve moves along and keeps its shape, for it depends on the distance only."]));
      size.set(d);
      base.set(Math.log10(get("base")));
      position.set(get("position"));
      dimension.input.max = String(d - 1);
      dimension.set(Math.min(get("dimension"), d - 1));
      m.set(get("query_position"));
      n.set(get("key_position"));
      both.input.max = String(most - Math.abs(get("query_position") - get("key_position")));
      both.set(Math.min(get("query_position"), get("key_position")));
      content.value = get("content");
      const kept = keptHere();
      keep.textContent = kept.includes(get("dimension")) ? `Drop the curve of dimension ${get("dimension")}` : `Keep the curve of dimension ${get("dimension")}`;
      const names = kept.join(" ");
      if (chips.dataset.kept !== names) {
        chips.dataset.kept = names;
        chips.replaceChildren(...kept.map((i, at) => h("button", { type: "button", class: `chip ${KEPT[at % KEPT.length]}`, "aria-label": `drop dimension ${i}`,
          onclick: () => save({ kept: get("kept").filter((x) => x !== i) }) }, `${i} ×`)));
      }
      const words = rotary ? drawDials() : drawWaves();
      clearTimeout(spoken);
      if (!first) spoken = setTimeout(() => { status.textContent = words; }, 500); // once the reader pauses
      first = false;
    }
    /** Several traits may change at once; one drawing serves them all, before the next frame. */
    const ask = () => {
      if (asked) return;
      asked = 1;
      queueMicrotask(() => { asked = 0; draw(); });
    };

    const recolour = () => { scale = signedScale(view); theme += 1; draw(); };
    // A live notebook may draw first and put the drawing into its page later; only there has it a
    // width, and colours.
    let dressed = view.isConnected;
    const measure = new ResizeObserver(() => {
      const now = Math.round(place.clientWidth), first = !dressed && view.isConnected;
      if (!now || (now === width && !first)) return;
      width = now;
      dressed = true;
      if (first) recolour();
      else draw();
    });
    width = Math.round(place.clientWidth) || 640;
    draw();
    measure.observe(place);
    const names = ["kind", "max_len", "d_model", "base", "position", "dimension", "kept", "query_position", "key_position", "content"];
    const stops = [follow(model, names, ask), onTheme(recolour),
      () => measure.disconnect(), () => clearTimeout(spoken)];
    return () => { for (const stop of stops) stop(); };
  },
};

// ResidualView: one token through every layer, and the logit lens at each step.
// Joined after shared.js, scales.js and token_text.js (see frame.py); how the numbers are packed: residual_view_steps.py.

const WIDE = 350, LEFT = 60, END = 346, TOP = 30, FOOT = 160, HIGH = 198; // of a chart
const PLANE = { wide: 340, high: 120, edge: 12 }; // the picture of one addition
const LEAST = 1e-5; // the lowest probability of the chart: the same for all tokens, to compare them
const PAUSE = 500; // milliseconds before what has changed is said

const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const count = (n) => n.toLocaleString("en");
const degrees = (angle) => `${format((angle * 180) / Math.PI, 0)}°`;
const write = (x, y, said, name = "tick", anchor = "start") => s("text", { x: text(x), y: text(y), class: name, "text-anchor": anchor, style: "unicode-bidi: isolate" }, said);
const range = (n) => Array.from({ length: n }, (_, i) => i);

/** A length: four digits. */
const long = (x) => (x >= 1e-3 && x < 1e4 ? x.toPrecision(4) : digits(x));
/** An angle in words: additions may point along the stream, away from all that is in it, or against it. */
const sense = (angle) => (angle < Math.PI / 3 ? "along it" : angle > (2 * Math.PI) / 3 ? "against it" : "across it");

/** What is known of every step of every token. @param {(name: string) => any} get */
function unpack(get) {
  const { steps, candidates, moved } = get("_shape"), names = get("_names"), written = get("_text").map((id) => seen(names[id]));
  const read = (view, Kind) => new Kind(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const ids = read(get("_ids"), Uint32Array), numbers = read(get("_numbers"), Float32Array), length = written.length;
  const each = candidates + 2 * moved, wide = 5 + candidates + 4 * moved;
  const at = (step, position) => {
    const place = step * length + position, mine = ids.subarray(place * each, (place + 1) * each), all = numbers.subarray(place * wide, (place + 1) * wide);
    const tokenOf = (id) => ({ id, token: seen(names[id]) }), lists = range(4).map((k) => all.subarray(5 + candidates + k * moved, 5 + candidates + (k + 1) * moved));
    const change = (way) => range(moved).map((k) => ({ ...tokenOf(mine[candidates + way * moved + k]), before: lists[2 * way][k], after: lists[2 * way + 1][k] }));
    return { size: all[0], added: all[1], cosine: all[2], next: all[3], rank: all[4], top: range(candidates).map((k) => ({ ...tokenOf(mine[k]), p: all[5 + k] })),
      raised: change(0).filter(({ before, after }) => after > before), lowered: change(1).filter(({ before, after }) => after < before) };
  };
  const walk = (position) => range(steps).map((step) => ({ ...at(step, position), ...named(step) })).map((one, step, all) => ({ ...one, ...turned(all[step - 1]?.size, one) }));
  return { written, walk, kept: new Map() };
}

/** Which part of which block a step is. */
function named(step) {
  if (!step) return { kind: "embedding", name: "embedding", brief: "embedding" };
  const block = (step - 1) >> 1, kind = step % 2 ? "attention" : "feed-forward";
  return { kind, block, name: `block ${block} ${kind}`, brief: `${block} ${kind}` };
}

/** The angle at which something was added to a vector of this length, and by how much it turned it. */
function turned(before, { added, cosine }) {
  if (before === undefined) return {};
  const angle = Math.acos(clamp(cosine, -1, 1));
  return { before, angle, turn: Math.atan2(added * Math.sin(angle), before + added * cosine) };
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name), save = (changes) => { model.set(changes); model.save_changes(); };
    const { written, walk, kept } = unpack(get), { steps, candidates, vocabulary, width } = get("_shape"), last = steps - 1;
    const pathOf = (position) => kept.get(position) ?? kept.set(position, walk(position)).get(position);
    let here, beside, now, spoken = 0, known = null;

    const chips = written.map((token, i) => h("span", { role: "option", class: "chip", "data-at": i, onclick: () => save({ position: i }) }, isolate(token)));
    const strip = h("div", { class: "strip", role: "listbox", "aria-label": "tokens of the text", onkeydown: (event) => keys(event, ["ArrowLeft", "ArrowRight"], "position", chips) }, chips);
    const sentence = h("p", { class: "sentence" }), keep = h("button", { type: "button", onclick: () => save({ other: get("other") === null ? get("position") : null }) });
    const charts = range(2).map(() => s("svg", { role: "img", class: "plot", viewBox: `0 0 ${WIDE} ${HIGH}`, onclick: choose }));
    const rows = range(steps).map((step) => {
      const { name, brief, kind } = named(step), cells = range(candidates + 2).map(() => h("td")), pick = h("button", { type: "button", "aria-label": name, onclick: () => save({ step }) }, brief);
      return { pick, cells, element: h("tr", { class: kind }, h("th", { scope: "row" }, pick), cells) };
    });
    const heads = ["after block", "next token", "rank", ...range(candidates).map((k) => (k ? `${k + 1}.` : "1. candidate"))].map((said) => h("th", { scope: "col" }, said));
    const table = h("table", { class: "lens" }, h("thead", {}, h("tr", {}, heads)), h("tbody", { onkeydown: (event) => keys(event, ["ArrowUp", "ArrowDown"], "step", rows.map(({ pick }) => pick)) }, rows.map(({ element }) => element)));
    const plane = s("svg", { role: "img", class: "plane", viewBox: `0 0 ${PLANE.wide} ${PLANE.high}` }), heading = h("h5"), facts = h("dl"), moves = h("div", { class: "moves" });
    const status = h("div", { class: "ug-hidden", role: "status" });
    const view = h("div", { class: "ug ug-residual" }, h("h4", { class: "ug-title" }, "One token through every layer"),
      h("p", { class: "ug-caption" }, `Choose a token, then a step. Its vector of ${width} numbers runs from the embedding to the last block, and each part adds to it.`),
      strip, sentence, h("div", { class: "charts" }, charts), h("h5", {}, "Logit lens: the next token, if the model stopped here"), h("div", { class: "ug-scroll" }, table),
      h("div", { class: "detail" }, h("div", {}, heading, plane, facts), moves), h("div", { class: "ug-bar" }, keep, saveButton(picture, "residual-view")), status);
    el.append(view);

    function keys(event, [back, on], trait, nodes) {
      const at = get(trait), to = { [back]: at - 1, [on]: at + 1, Home: 0, End: nodes.length - 1 }[event.key];
      if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook uses the same keys
      save({ [trait]: clamp(to, 0, nodes.length - 1) });
      nodes[get(trait)].focus();
    }

    /** The step that was clicked in a chart. */
    function choose(event) {
      const box = event.currentTarget.getBoundingClientRect(), x = ((event.clientX - box.left) * WIDE) / box.width;
      save({ step: clamp(Math.round(((x - LEFT) * steps) / (END - LEFT) - 0.5), 0, last) });
    }
    const across = (step) => LEFT + ((step + 0.5) * (END - LEFT)) / steps;

    function draw() {
      const position = get("position"), other = get("other");
      here = pathOf(position);
      beside = other === null || other === position ? null : pathOf(other);
      now = here[get("step")];
      chips.forEach((chip, i) => {
        chip.setAttribute("aria-selected", String(i === position));
        chip.tabIndex = i === position ? 0 : -1;
        chip.classList.toggle("other", i === other);
        chip.classList.toggle("next", i === position + 1);
      });
      say(position);
      keep.replaceChildren(...(other === null ? ["Compare with another token"] : ["Forget token ", `${other}, `, ...quoted(written[other])]));
      drawLengths();
      drawNext();
      drawTable(position);
      drawStep();
      tell();
    }

    function say(position) {
      const { next, rank } = here[last], number = (kind, said) => h("b", { "data-number": kind }, said);
      const coming = written[position + 1] === undefined ? ["Nothing is known to come next."] : ["Next comes ", ...quoted(written[position + 1]), ": the model gives it ", number("next", percent(next)), ", rank ", number("rank", count(rank)), ` of ${count(vocabulary)}.`];
      const other = get("other"), dashed = other === null ? [] : beside ? [` Dashed: token ${other}, `, ...quoted(written[other]), "."] : [" Now choose another token."];
      sentence.replaceChildren(`Token ${position}, `, ...quoted(written[position]), ". ", ...coming, ...dashed);
    }

    /** An emptied chart with its axes, and what draws into it. */
    function chart(svg, title, scale, ticks) {
      svg.replaceChildren(s("rect", { class: "chosen", x: text(across(get("step")) - (END - LEFT) / steps / 2), y: TOP - 6, width: text((END - LEFT) / steps), height: FOOT - TOP + 10 }), write(0, 14, title, "heading"));
      for (const [tick, said] of ticks) svg.append(s("path", { class: "grid", d: `M${LEFT} ${text(scale.pixel(tick))}H${END}` }), write(LEFT - 5, scale.pixel(tick) + 4, said, "tick", "end"));
      const every = steps > 31 ? 4 : 1;
      svg.append(write(Math.min(across(0), across(1.5) - 28), FOOT + 16, "emb.", "tick", "middle"), write((LEFT + END) / 2, FOOT + 32, "block: attention, then feed-forward", "tick", "middle"));
      for (let block = 0; 2 * block + 2 < steps; block += every) svg.append(write(across(2 * block + 1.5), FOOT + 16, block, "tick", "middle"));
      const up = (x) => text(scale.pixel(clamp(x, scale.low, scale.high)));
      return { up, line(name, path, value) { svg.append(s("path", { class: name, d: path.map((one, i) => `${i ? "L" : "M"}${text(across(i))} ${up(value(one))}`).join("") })); } };
    }

    function drawLengths() {
      const paths = beside ? [here, beside] : [here], most = Math.max(...paths.flat().flatMap(({ size, added }) => [size, added])) || 1, scale = scaleOf(0, most, FOOT, TOP), half = ((END - LEFT) / steps) * 0.32;
      const { up, line } = chart(charts[0], "length of the stream, and of what is added", scale, ticksOf(scale, 4).map((x) => [x, short(x)]));
      here.forEach(({ added, kind }, i) => i && charts[0].append(s("path", { class: `bar ${kind}`, d: `M${text(across(i) - half)} ${FOOT}V${up(added)}H${text(across(i) + half)}V${FOOT}Z` })));
      if (beside) line("beside", beside, ({ size }) => size);
      line("stream", here, ({ size }) => size);
      charts[0].setAttribute("aria-label", `Length of the stream: ${long(here[0].size)} after the embedding, ${long(here[last].size)} after the last block`);
    }

    function drawNext() {
      const scale = scaleOf(LEAST, 1, FOOT, TOP, true), ticks = [LEAST, 1e-3, 0.1, 1].map((x) => [x, `${x === LEAST ? "≤ " : ""}${short(Number((100 * x).toPrecision(3)))}\u00a0%`]);
      const { up, line } = chart(charts[1], "probability of the next token; ● its rank is 1", scale, ticks);
      const known = !Number.isNaN(here[0].next);
      if (beside && !Number.isNaN(beside[0].next)) line("beside", beside, ({ next }) => next);
      if (known) line("stream", here, ({ next }) => next);
      if (known) here.forEach(({ next, rank }, i) => charts[1].append(s("circle", { class: rank === 1 ? "ring first" : "ring", cx: text(across(i)), cy: up(next), r: 3.5 })));
      charts[1].setAttribute("aria-label", known ? `Probability of the next token: ${percent(here[0].next)} after the embedding, ${percent(here[last].next)} after the last block` : "Nothing is known to come next");
    }

    function drawTable(position) {
      const id = get("_text")[position + 1];
      rows.forEach(({ pick, cells, element }, step) => {
        const { next, rank, top } = here[step], chosen = step === get("step");
        pick.tabIndex = chosen ? 0 : -1;
        pick.setAttribute("aria-pressed", String(chosen));
        element.classList.toggle("now", chosen);
        cells[0].textContent = percent(next);
        cells[1].textContent = Number.isNaN(rank) ? "–" : count(rank);
        top.forEach((one, k) => {
          const cell = cells[k + 2], is = one.id === id;
          cell.className = is ? "guess true" : "guess";
          cell.style.setProperty("--share", `${(100 * one.p).toFixed(1)}%`);
          cell.replaceChildren(isolate(cut(one.token, 12)), is ? h("span", { class: "tick" }, " ✓", h("span", { class: "ug-hidden" }, "comes next")) : "", " ", h("small", {}, percent(one.p)));
        });
      });
    }

    function drawStep() {
      const { name, size, added, before, angle, turn } = now, list = (...lines) => facts.replaceChildren(...lines.map(([kind, said, number]) => h("div", {}, h("dt", {}, said, " "), h("dd", { "data-number": kind }, number))));
      heading.textContent = name[0].toUpperCase() + name.slice(1);
      if (before === undefined) list(["size", "length of the embedding", long(size)]);
      else list(["before", "length of the stream before", long(before)], ["added", "length of what is added", long(added)], ["angle", "at an angle to the stream of", `${degrees(angle)}, ${sense(angle)}`], ["turn", "which turns the stream by", degrees(turn)], ["size", "length of the stream after", long(size)]);
      drawPlane();
      moves.replaceChildren(changes("raised", "Raises most", now.raised), changes("lowered", "Lowers most", now.lowered));
    }

    function changes(kind, title, tokens) {
      const lines = tokens.map(({ token, before, after }) => h("li", {}, isolate(token), " ", h("span", {}, `${percent(before)} → ${percent(after)}`)));
      return h("div", { class: kind }, h("h5", {}, title), lines.length ? h("ul", {}, lines) : h("p", {}, now.before === undefined ? "It is the first: nothing was said before." : "Nothing."));
    }

    /** The stream before, what is added, and their sum: two vectors lie in a plane, at their true angle. */
    function drawPlane() {
      const { before = 0, added, angle = 0, size, kind } = now, start = before ? [before, 0] : [0, 0], end = before ? [before + added * Math.cos(angle), added * Math.sin(angle)] : [size, 0];
      const xs = [0, start[0], end[0]], low = Math.min(...xs), { wide, high, edge } = PLANE, scale = Math.min((wide - 2 * edge) / (Math.max(...xs) - low || 1), (high - 2 * edge - 18) / (end[1] || 1e-9));
      const at = ([x, y]) => [edge + (x - low) * scale, high - edge - y * scale], arrow = (name, from, to) => {
        const [[x, y], [u, v]] = [at(from), at(to)], length = Math.hypot(u - x, v - y), [a, b] = [(u - x) / (length || 1), (v - y) / (length || 1)], head = Math.min(9, length / 2);
        return [s("path", { class: `arrow ${name}`, d: `M${text(x)} ${text(y)}L${text(u)} ${text(v)}` }), s("path", { class: `tip ${name}`, d: `M${text(u)} ${text(v)}L${text(u - head * a - head * 0.45 * b)} ${text(v - head * b + head * 0.45 * a)}L${text(u - head * a + head * 0.45 * b)} ${text(v - head * b - head * 0.45 * a)}Z` })];
      };
      const keys = before ? [["soft", "before"], [kind, "added"], ["sum", "after"]] : [["sum", "the embedding"]];
      plane.replaceChildren(...(before ? [arrow("soft", [0, 0], start), arrow(kind, start, end)] : []).flat(), ...arrow("sum", [0, 0], end), ...keys.map(([name, said], i) => s("g", { class: `key ${name}` }, write(2 + 70 * i, 12, said))));
      plane.setAttribute("aria-label", before ? `${now.name} adds a vector of length ${long(added)} at ${degrees(angle)} to one of length ${long(before)}; the sum has length ${long(size)}` : `The embedding has length ${long(size)}`);
    }

    /** What has changed, said once the reader pauses. */
    function tell() {
      const { name, top: [first], next, rank } = now, coming = Number.isNaN(next) ? "" : `, next token ${percent(next)}, rank ${count(rank)}`;
      const said = `${sentence.textContent} After ${name}: ${first.token} ${percent(first.p)}${coming}.`;
      clearTimeout(spoken);
      known ??= said; // what is there from the start is not news
      if (said !== known) spoken = setTimeout(() => { status.textContent = known = said; }, PAUSE);
    }

    /** Both charts, and the lens as a table of words. */
    function picture() {
      const group = (x, y, svg) => s("g", { transform: `translate(${x} ${y})` }, [...svg.children].map((node) => node.cloneNode(true))), top = HIGH + 60, columns = [0, 150, 215, ...range(candidates).map((k) => 275 + 92 * k)];
      const row = (i, said) => said.map((one, k) => write(columns[k], top + 18 * i, one, k ? "tick" : "heading"));
      return s("svg", { viewBox: `-8 0 752 ${top + 18 * steps + 12}`, class: "plot" }, write(0, 14, sentence.textContent), group(0, 26, charts[0]), group(380, 26, charts[1]), row(0, heads.map((head) => head.textContent)),
        here.map(({ name, next, rank, top: guesses }, i) => row(i + 1, [name, percent(next), Number.isNaN(rank) ? "–" : count(rank), ...guesses.map(({ token, p }) => `${cut(token, 8)} ${percent(p)}`)])));
    }

    const ask = onceAFrame({ draw });
    draw();
    const stops = [follow(model, ["position", "step", "other"], () => ask("draw")), () => clearTimeout(spoken)];
    return () => { for (const stop of stops) stop(); };
  },
};

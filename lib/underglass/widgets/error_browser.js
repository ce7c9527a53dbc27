// Predictions to be read one by one: filters, a list that turns its pages, the sentence that is open,
// and the accuracy of every slice. Joined after attention_drawing.js, which draws the attention.

const EDGES = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1]; // a tuned model is surer than 0.9 nearly always
const Z = 1.959963984540054; // 95 % of a normal distribution lie within so many standard deviations
const MANY = 8, FEW = 5, NARROW = 520; // rows of a page; those where the widget is narrow; and what is narrow
const PAUSE = 250; // milliseconds on one sentence before its attention is drawn
const OUTCOMES = ["all", "right", "wrong"];
const ORDERS = { loss: "surest errors first", surest: "surest first", unsure: "least sure first", longest: "longest first", shortest: "shortest first", given: "as given" };
const KEYS = { loss: (one) => one.truth, surest: (one) => -one.confidence, unsure: (one) => one.confidence,
  longest: (one) => -one.length, shortest: (one) => one.length, given: () => 0 };
const FILTERS = { outcome: "wrong", slice: "", label: null, least: 0.5, most: 1, search: "", whole_words: false, only_attention: false, order: "loss" };

/** Wilson's 95 % interval of a share: where the true accuracy may well lie, given `right` of `count`. */
function wilson(right, count) {
  const p = right / count, z = (Z * Z) / count, middle = (p + z / 2) / (1 + z);
  const half = (Z / (1 + z)) * Math.sqrt((p * (1 - p)) / count + z / (4 * count));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** In small letters, each letter in its own place: a few capitals have two small letters. */
const fold = (text) => {
  const small = text.toLowerCase();
  return small.length === text.length ? small : text.replace(/./gsu, (c) => (c.toLowerCase().length === c.length ? c.toLowerCase() : c));
};

const LETTER = /[\p{L}\p{M}\p{N}]/u;
/** Where `query` begins in `text`, both folded. @param {boolean} whole whether only as whole words */
function places(text, query, whole, all = true) {
  const found = [];
  for (let at = query ? text.indexOf(query) : -1; at >= 0; at = text.indexOf(query, at + query.length)) {
    const before = LETTER.test(query[0]) && LETTER.test(text[at - 1] ?? ""), after = LETTER.test(query.at(-1)) && LETTER.test(text[at + query.length] ?? "");
    if (!(whole && (before || after))) found.push(at);
    if (!all && found.length) break;
  }
  return found;
}

/** The predictions as the page works with them. @param {(name: string) => any} get */
function predictionsOf(get) {
  const labels = get("_labels"), numbers = get("_probabilities"), slices = get("_slices").map(({ members }) => new Set(members));
  const attended = new Map(get("_attended").map(({ at }, k) => [at, k]));
  return get("_texts").map((text, at) => {
    const label = labels.getUint8(at), probability = numbers.getFloat64(8 * at, true), guess = probability > 0.5 ? 1 : 0;
    const confidence = Math.max(probability, 1 - probability), bin = EDGES.findLastIndex((edge, i) => i < EDGES.length - 1 && confidence >= edge);
    return { at, text, folded: fold(text), length: [...text].length, label, probability, guess, right: guess === label, confidence, bin,
      truth: label ? probability : 1 - probability, slices: slices.flatMap((members, k) => (members.has(at) ? [k] : [])), attended: attended.get(at) };
  });
}

/** How many, how many of them right, and the sum of their confidences. */
const tally = () => ({ count: 0, right: 0, sure: 0 });
const add = (sum, one) => { sum.count++; sum.right += one.right ? 1 : 0; sum.sure += one.confidence; };

const percent = (share, digits = 1) => `${format(100 * share, digits)}\u00a0%`;
const sureness = (x) => (x < 1 && x >= 0.9995 ? "> 0.999" : format(x, 3)); // what is not certain never reads 1.000
const edgeText = (x) => String(Number(x.toFixed(4)));
const said = (text) => (text.trim() === "" ? "(empty)" : text);

/** Text with every place of what is searched marked. */
function marked(text, at, length) {
  const parts = [];
  let from = 0;
  for (const start of at) {
    parts.push(text.slice(from, start), h("mark", {}, text.slice(start, start + length)));
    from = start + length;
  }
  return [...parts, text.slice(from)];
}

/** Attention as AttentionView takes it: 16 bits a weight, from the byte that holds its square root. */
function unpackAttention(view, from, size) {
  const packed = new DataView(new ArrayBuffer(2 * size));
  for (let i = 0; i < size; i++) packed.setUint16(2 * i, Math.round(65535 * (view.getUint8(from + i) / 255) ** 2), true);
  return packed;
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name);
    const save = (changes) => { model.set(changes); model.save_changes(); };
    const classes = get("_classes"), slices = get("_slices"), notes = get("_notes"), reasons = get("_reasons"), attended = get("_attended");
    const all = predictionsOf(get), sorted = {}, seen = new Set();
    const errors = all.filter((one) => !one.right).length;
    let rows = MANY, listed = [], shownOne = null, focus = false, hits = { key: "" }, table = null, unfolded = false, drawn = null, waiting = 0, speaking = 0, known = null;

    // ------------------------------------------------------------ controls
    const button = (text, onclick, props = {}) => h("button", { type: "button", onclick, ...props }, text);
    const pick = (label, options, onchange) => {
      const node = h("select", { onchange: () => onchange(node.selectedIndex) }, options.map((text) => h("option", {}, text)));
      return { node, element: h("label", {}, label, node) };
    };
    const check = (label, trait) => {
      const node = h("input", { type: "checkbox", onchange: () => save({ [trait]: node.checked }) });
      return { node, trait, element: h("label", {}, node, label) };
    };
    const outcomes = OUTCOMES.map((name) => button("", () => save({ outcome: name }), { "data-outcome": name }));
    const search = h("input", { type: "search", placeholder: "search the texts", "aria-label": "search the texts", oninput: () => save({ search: search.value }) });
    const checks = [check("whole words", "whole_words"), ...(attended.length ? [check(`only with attention (${attended.length})`, "only_attention")] : [])];
    const slice = pick("slice", ["every sentence", ...slices.map(({ name }) => name)], (i) => save({ slice: i ? slices[i - 1].name : "" }));
    const label = pick("labelled", ["either way", ...classes], (i) => save({ label: i ? i - 1 : null }));
    const least = pick("confidence from", EDGES.slice(0, -1).map(String), (i) => save({ least: EDGES[i], most: Math.max(get("most"), EDGES[i + 1]) }));
    const most = pick("to", EDGES.slice(1).map(String), (i) => save({ most: EDGES[i + 1], least: Math.min(get("least"), EDGES[i]) }));
    const order = pick("order", Object.values(ORDERS), (i) => save({ order: Object.keys(ORDERS)[i] }));

    // ------------------------------------------------------------ list, reader, table
    const summary = h("p", { class: "summary" }), status = h("div", { class: "ug-hidden", role: "status" });
    const list = h("ul", { role: "listbox", "aria-label": "sentences that are listed", class: "list" });
    const options = Array.from({ length: MANY }, (_, k) => {
      const node = { mark: h("b"), words: h("bdi", { dir: "auto" }), fill: h("i"), told: h("span", { class: "told" }) };
      node.element = h("li", { role: "option", onclick: () => open(listed[page() * rows + k]) },
        node.mark, h("span", { class: "words" }, node.words), h("span", { class: "scale", "aria-hidden": "true" }, node.fill), node.told);
      return node;
    });
    const turn = (by) => open(listed[clamp(page() + by, 0, pages() - 1) * rows]);
    const paging = { back: button("← Page", () => turn(-1)), on: button("Page →", () => turn(1)), where: h("span", { class: "where" }) };
    const reader = { back: button("← Previous", () => step(-1)), on: button("Next →", () => step(1)), where: h("span", { class: "where" }), text: h("bdi", { dir: "auto" }), fill: h("i"),
      verdict: h("p", { class: "verdict" }), about: h("p", { class: "about" }), progress: h("p", { class: "about" }), attention: h("div", { class: "attention" }) };
    const unfold = button("Attention before and after fine-tuning", () => { unfolded = !unfolded; draw(); }, { class: "unfold" });
    const why = reasons.map((name) => button("", () => choose(name), { "data-reason": name }));
    const because = h("div", { role: "group", "aria-label": "reason of this error", class: "reasons" }, h("span", {}, "Why is it wrong?"), why);
    const groups = ["slice", "confidence"].map((name) => button(`by ${name}`, () => save({ group: name }), { "data-group": name }));
    const compared = h("table", { class: "compared" });
    const root = h("div", { class: "ug ug-errors" }, h("h4", { class: "ug-title" }, "Predictions, to be read one by one"),
      h("p", { class: "ug-caption" }, "Choose which sentences, open one, and walk on with the arrow keys. Give each error a reason: what do they share?"),
      h("div", { class: "ug-bar" }, h("div", { role: "group", "aria-label": "which are listed", class: "choices" }, outcomes), search, checks.map(({ element }) => element)),
      h("div", { class: "ug-bar" }, slices.length ? slice.element : null, label.element, h("span", { class: "range" }, least.element, most.element), order.element, button("Reset", () => save({ ...FILTERS }))),
      summary, list, h("div", { class: "ug-bar" }, paging.back, paging.where, paging.on),
      h("section", { class: "reader", "aria-label": "the sentence that is open" }, h("div", { class: "ug-bar" }, reader.back, reader.where, reader.on),
        h("p", { class: "text" }, reader.text), h("div", { class: "ends" }, isolate(classes[0]), h("span", { class: "scale", "aria-hidden": "true" }, reader.fill), isolate(classes[1])),
        reader.verdict, reader.about, because, reader.progress, unfold, reader.attention),
      h("div", { class: "ug-bar" }, h("b", {}, "Accuracy"), h("div", { role: "group", "aria-label": "accuracy", class: "choices" }, groups)),
      h("div", { class: "ug-scroll" }, compared), h("p", { class: "key" }), h("div", { class: "ug-bar" }, saveButton(picture, "errors")), status);
    el.append(root);

    // ------------------------------------------------------------ what matches
    /** One pass over all: what matches, and the counts of every slice and range of confidence. */
    function sift() {
      const [query, whole] = [fold(get("search")), get("whole_words")], key = `${whole} ${query}`;
      if (hits.key !== key) hits = { key, query, found: all.map((one) => !query || places(one.folded, query, whole, false).length > 0) };
      const member = slices.findIndex(({ name }) => name === get("slice")), only = get("only_attention"), wanted = get("label"), [low, high] = [get("least"), get("most")];
      const total = tally(), others = tally(), bySlice = slices.map(tally), byBin = EDGES.slice(1).map(tally), matches = new Uint8Array(all.length);
      for (const one of all) {
        if (!hits.found[one.at] || (wanted !== null && one.label !== wanted) || (only && one.attended === undefined)) continue;
        const inside = member < 0 || one.slices.includes(member), within = one.confidence >= low && (one.confidence < high || high >= 1);
        if (within) { add(others, one); for (const k of one.slices) add(bySlice[k], one); }
        if (inside) add(byBin[one.bin], one);
        if (inside && within) { add(total, one); matches[one.at] = 1; }
      }
      return { total, others, bySlice, byBin, matches };
    }

    const orderOf = (name) => (sorted[name] ??= [...all].sort((a, b) => KEYS[name](a) - KEYS[name](b) || a.at - b.at));
    const at = () => listed.indexOf(shownOne);
    const pages = () => Math.max(1, Math.ceil(listed.length / rows));
    const page = () => Math.max(0, Math.floor(at() / rows));

    function open(one) {
      if (!one) return;
      if (shownOne) seen.add(shownOne.at);
      seen.add(one.at);
      save({ opened: one.at });
    }
    const step = (by) => open(listed[clamp(at() + by, 0, listed.length - 1)]);
    function choose(name) {
      const { [shownOne.at]: before, ...rest } = get("given");
      seen.add(shownOne.at);
      save({ given: before === name ? rest : { ...rest, [shownOne.at]: name } });
    }
    list.addEventListener("keydown", (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1, PageUp: -rows, PageDown: rows, Home: -Infinity, End: Infinity }[event.key];
      if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook moves between its cells with the same keys
      focus = true;
      step(by);
    });

    // ------------------------------------------------------------ drawing
    function draw() {
      const sum = sift(), outcome = get("outcome");
      listed = orderOf(get("order")).filter((one) => sum.matches[one.at] && (outcome === "all" || one.right === (outcome === "right")));
      shownOne = listed.find((one) => one.at === get("opened")) ?? listed[0] ?? null;
      controls(sum);
      summarize(sum, outcome);
      rowsOf();
      read();
      compare(sum);
      speak();
    }

    function controls({ total }) {
      outcomes.forEach((node, i) => {
        node.textContent = `${OUTCOMES[i]} ${[total.count, total.right, total.count - total.right][i]}`;
        node.setAttribute("aria-pressed", String(OUTCOMES[i] === get("outcome")));
      });
      if (search.value !== get("search")) search.value = get("search");
      for (const { node, trait } of checks) node.checked = get(trait);
      const near = (edges, value) => edges.reduce((best, edge, i) => (Math.abs(edge - value) < Math.abs(edges[best] - value) ? i : best), 0);
      slice.node.selectedIndex = 1 + slices.findIndex(({ name }) => name === get("slice"));
      label.node.selectedIndex = get("label") === null ? 0 : 1 + get("label");
      least.node.selectedIndex = near(EDGES.slice(0, -1), get("least"));
      most.node.selectedIndex = near(EDGES.slice(1), get("most"));
      order.node.selectedIndex = Object.keys(ORDERS).indexOf(get("order"));
    }

    function summarize({ total }, outcome) {
      const { count, right } = total, number = (kind, value, text) => h("b", { "data-number": kind, "data-value": value }, text);
      if (!count) return void summary.replaceChildren("No sentence matches.");
      const [low, high] = wilson(right, count), rest = { all: "", right: " The right ones are listed.", wrong: " The wrong ones are listed." }[outcome];
      summary.replaceChildren(number("count", count, plural(count, "sentence")), ` match${count === 1 ? "es" : ""}, `, number("right", right, right), ` right: accuracy `, number("accuracy", right / count, percent(right / count)),
        `, 95\u00a0% interval `, number("low", low, percent(low)), " to ", number("high", high, percent(high)), `.${rest}`);
    }

    /** A bar from the middle to the probability of class 1. */
    function bar(node, one) {
      node.style.left = `${100 * Math.min(0.5, one.probability)}%`;
      node.style.width = `${100 * Math.abs(one.probability - 0.5)}%`;
      node.className = one.right ? "right" : "wrong";
    }

    function rowsOf() {
      const from = page() * rows, given = get("given");
      while (list.childElementCount < rows) list.append(options[list.childElementCount].element);
      while (list.childElementCount > rows) list.lastChild.remove();
      options.slice(0, rows).forEach(({ element, mark, words, fill, told }, k) => {
        const one = listed[from + k];
        element.classList.toggle("none", !one);
        element.setAttribute("aria-hidden", String(!one));
        element.tabIndex = one && one === shownOne ? 0 : -1;
        element.setAttribute("aria-selected", String(Boolean(one) && one === shownOne));
        if (!one) return words.replaceChildren("\u00a0"), told.replaceChildren();
        element.setAttribute("aria-posinset", String(from + k + 1));
        element.setAttribute("aria-setsize", String(listed.length));
        element.dataset.at = one.at;
        mark.className = one.right ? "right" : "wrong";
        mark.textContent = one.right ? "✓" : "✗";
        mark.title = one.right ? "right" : "wrong";
        words.replaceChildren(...marked(said(one.text), places(one.folded, hits.query, get("whole_words")), hits.query.length));
        element.classList.toggle("seen", seen.has(one.at));
        bar(fill, one);
        told.replaceChildren(isolate(classes[one.guess]), ` ${sureness(one.confidence)}`, ...(given[one.at] ? [" · ", isolate(given[one.at])] : []), one.attended === undefined ? "" : " ◫");
        if (focus && one === shownOne) element.focus({ preventScroll: true });
      });
      focus = false;
      paging.where.textContent = `page ${page() + 1} of ${pages()}`;
      paging.back.setAttribute("aria-disabled", String(page() === 0));
      paging.on.setAttribute("aria-disabled", String(page() === pages() - 1));
    }

    function read() {
      const one = shownOne, given = get("given");
      root.classList.toggle("nothing", !one);
      if (!one) return attend();
      reader.where.textContent = `${at() + 1} of ${listed.length}`;
      reader.back.setAttribute("aria-disabled", String(at() === 0));
      reader.on.setAttribute("aria-disabled", String(at() === listed.length - 1));
      reader.text.replaceChildren(...marked(said(one.text), places(one.folded, hits.query, get("whole_words")), hits.query.length));
      bar(reader.fill, one);
      const number = (kind, value, text) => h("span", { "data-number": kind, "data-value": value }, text);
      reader.verdict.replaceChildren(h("b", { class: one.right ? "right" : "wrong" }, one.right ? "Right: " : "Wrong: "), "predicted ", isolate(classes[one.guess]), " with confidence ", number("confidence", one.confidence, sureness(one.confidence)),
        ", labelled ", isolate(classes[one.label]), ". Its loss −log p is ", number("loss", -Math.log(one.truth), one.truth ? format(-Math.log(one.truth)) : "∞"), ".");
      reader.about.replaceChildren(...one.slices.flatMap((k, i) => [i ? ", " : "Slices: ", isolate(slices[k].name)]), one.slices.length ? ". " : "", isolate(notes[one.at] ?? ""));
      const counts = reasons.map((name) => Object.values(given).filter((reason) => reason === name).length);
      why.forEach((node, i) => {
        node.replaceChildren(isolate(reasons[i]), counts[i] ? ` ${counts[i]}` : "");
        node.setAttribute("aria-pressed", String(given[one.at] === reasons[i]));
      });
      because.style.visibility = one.right ? "hidden" : "";
      const opened = [...seen].filter((k) => !all[k].right).length, explained = Object.keys(given).length;
      reader.progress.textContent = `You have opened ${opened} of ${plural(errors, "error")}, and given ${explained} a reason.`;
      unfold.style.display = one.attended === undefined ? "none" : "";
      unfold.setAttribute("aria-expanded", String(unfolded));
      attend();
    }

    /** The attention of the open sentence, once the reader stays with it. */
    function attend() {
      const wanted = unfolded && shownOne?.attended !== undefined ? shownOne.attended : null;
      if (wanted === (drawn?.which ?? null)) return;
      clearTimeout(waiting);
      drawn?.stop?.();
      reader.attention.replaceChildren();
      drawn = wanted === null ? null : { which: wanted };
      if (drawn) waiting = setTimeout(() => { drawn.stop = drawAttention({ model: attentionOf(wanted), el: reader.attention }); }, PAUSE);
    }

    const looks = { mode: "layer", layer: attended.length ? attended[0].shape[0] - 1 : 0, head: 0, side: "from" }; // kept from one sentence to the next
    /** What AttentionView's drawing asks a model for. */
    function attentionOf(which) {
      const size = (k) => attended[k].shape.reduce((a, b) => a * b), start = attended.slice(0, which).reduce((sum, _, k) => sum + 2 * size(k), 0);
      const own = { token: null, _sentences: ["Before fine-tuning", "After fine-tuning"].map((title) => ({ title, key_tokens: null, ...attended[which] })),
        _weights: unpackAttention(get("_attention"), start, size(which)), _other_weights: unpackAttention(get("_attention"), start + size(which), size(which)) };
      return { get: (name) => own[name] ?? looks[name] ?? null, set(name, value) { (name in own ? own : looks)[name] = value; }, on() {}, off() {}, save_changes() {} };
    }

    // ------------------------------------------------------------ accuracy of every slice, or range of confidence
    /** The lines of the table: a name, what is counted, and what a click on it filters. */
    function lines({ others, bySlice, byBin, total }) {
      if (get("group") === "slice") return [{ name: "every sentence", sum: others, on: get("slice") === "", filter: { slice: "" } },
        ...slices.map(({ name }, k) => ({ name, sum: bySlice[k], on: get("slice") === name, filter: { slice: get("slice") === name ? "" : name } }))];
      const whole = byBin.reduce((a, b) => ({ count: a.count + b.count, right: a.right + b.right, sure: a.sure + b.sure }), tally());
      return [{ name: "all", sum: whole, on: get("least") === 0.5 && get("most") === 1, filter: { least: 0.5, most: 1 } }, ...byBin.map((sum, k) => {
        const [low, high] = [EDGES[k], EDGES[k + 1]], on = get("least") === low && get("most") === high;
        return { name: `${low} to ${high}`, sum, on, filter: on ? { least: 0.5, most: 1 } : { least: low, most: high } };
      })];
    }

    function compare(sum) {
      const found = lines(sum).map((line) => ({ ...line, interval: line.sum.count ? wilson(line.sum.right, line.sum.count) : null })), group = get("group");
      const low = Math.min(0.9, Math.floor(10 * Math.min(...found.map(({ interval }) => interval?.[0] ?? 1))) / 10), x = (share) => (100 * (share - low)) / (1 - low);
      if (table?.group !== group) build(group, found);
      table.found = found;
      table.low = low;
      table.ends.replaceChildren(h("span", {}, percent(low, 0)), h("span", {}, percent(1, 0)));
      const put = (node, left, width) => { node.style.display = left === null ? "none" : ""; if (left !== null) { node.style.left = `${left}%`; if (width !== undefined) node.style.width = `${width}%`; } };
      found.forEach(({ sum: { count, right, sure }, interval, on }, i) => {
        const { pick, cells, level, reach, dot, claim } = table.rows[i], base = found[0].sum;
        pick.setAttribute("aria-pressed", String(on));
        [count, count - right, count ? percent(right / count) : "–", count ? `${percent(interval[0])} to ${percent(interval[1])}` : "–", count ? sureness(sure / count) : "–"].forEach((value, k) => { if (cells[k]) cells[k].textContent = value; });
        put(level, base.count ? x(base.right / base.count) : null);
        put(reach, interval && x(interval[0]), interval && x(interval[1]) - x(interval[0]));
        put(dot, interval && x(right / count));
        put(claim, interval && group === "confidence" ? x(Math.max(low, sure / count)) : null);
      });
      groups.forEach((node) => node.setAttribute("aria-pressed", String(node.dataset.group === group)));
      root.querySelector(".key").textContent = `Dot: accuracy; line: its 95\u00a0% interval (Wilson); dashed: the accuracy of all. ${group === "slice" ? "A sentence can be in several slices." : "Diamond: the mean confidence, what the model claims."}`;
    }

    function build(group, found) {
      const ends = h("span", { class: "ends" }), heads = [group, "sentences", "wrong", "accuracy", "95\u00a0% interval", ...(group === "confidence" ? ["claimed"] : [])];
      const made = found.map(({ name }, i) => {
        const row = { pick: button(isolate(name), () => save(table.found[i].filter)), cells: heads.slice(1).map(() => h("td")) };
        for (const mark of ["level", "reach", "claim", "dot"]) row[mark] = h("i", { class: mark });
        row.element = h("tr", {}, h("th", { scope: "row" }, row.pick), row.cells, h("td", { class: "plot", "aria-hidden": "true" }, h("span", {}, row.level, row.reach, row.claim, row.dot)));
        return row;
      });
      table = { group, rows: made, ends };
      compared.replaceChildren(h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)), h("td", { class: "plot", "aria-hidden": "true" }, ends))), h("tbody", {}, made.map(({ element }) => element)));
    }

    /** The table as a picture: a line for each slice with its interval. */
    function picture() {
      const { found, low } = table, top = 54, step = 22, left = 230, wide = 300, x = (share) => left + (wide * (share - low)) / (1 - low), bottom = top + step * found.length;
      const write = (x, y, text, anchor = "start") => s("text", { x, y, "text-anchor": anchor, "font-size": 12, style: "unicode-bidi: isolate" }, text);
      const lines = found.flatMap(({ name, sum: { count, right, sure }, interval }, i) => {
        const y = top + step * (i + 0.5), texts = [write(4, y + 4, short(name, 24)), write(left - 8, y + 4, String(count), "end")];
        if (!interval) return texts;
        return [...texts, s("path", { d: `M${x(interval[0])} ${y}H${x(interval[1])}`, class: "reach" }), s("circle", { cx: x(right / count), cy: y, r: 4, class: "dot" }),
          table.group === "confidence" ? s("path", { d: `M${x(Math.max(low, sure / count))} ${y - 5}l5 5l-5 5l-5-5z`, class: "claim" }) : null, write(left + wide + 12, y + 4, `${percent(right / count)} (${percent(interval[0])} to ${percent(interval[1])})`)];
      });
      const { count, right } = found[0].sum;
      return s("svg", { viewBox: `0 0 740 ${bottom + 30}`, width: 740, height: bottom + 30, class: "picture", role: "img", "aria-label": "Accuracy" }, write(4, 18, summary.textContent), write(4, 42, table.group), write(left - 8, 42, "sentences", "end"),
        count ? s("path", { d: `M${x(right / count)} ${top}V${bottom}`, class: "level", "stroke-dasharray": "3 3" }) : null, lines, s("path", { d: `M${left} ${bottom}h${wide}`, class: "axis" }),
        write(left, bottom + 18, percent(low, 0), "middle"), write(left + wide / 2, bottom + 18, "accuracy", "middle"), write(left + wide, bottom + 18, percent(1, 0), "middle"));
    }

    /** What has changed, said once the reader pauses. */
    function speak() {
      const one = shownOne, told = `${summary.textContent}${one ? ` ${reader.where.textContent}: ${said(one.text)} ${reader.verdict.textContent}` : ""}`;
      known ??= told; // what is there from the start is not news
      clearTimeout(speaking);
      if (told !== known) speaking = setTimeout(() => { status.textContent = known = told; }, 500);
    }

    const ask = onceAFrame({ draw });
    const stops = [onWidth(root, (width) => { rows = width < NARROW ? FEW : MANY; draw(); }), follow(model, [...Object.keys(FILTERS), "opened", "given", "group"], () => ask("draw")),
      () => { clearTimeout(waiting); clearTimeout(speaking); drawn?.stop?.(); }];
    return () => { for (const stop of stops) stop(); };
  },
};

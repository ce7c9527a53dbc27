// Predictions to be read one by one: filters, a list that turns its pages, the sentence that is open,
// and the accuracy of every slice. Joined after attention_drawing.js, which draws the attention.

const EDGES = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1]; // a tuned model is nearly always surer than 0.9
const Z = 1.959963984540054; // 95 % of a normal distribution lie within so many standard deviations
const MANY = 8, FEW = 5, NARROW = 560; // rows of a page; fewer where the widget is narrower than this
const PAUSE = 400; // milliseconds before what has changed is said, or attention drawn
const OUTCOMES = { all: () => true, right: (one) => one.right, wrong: (one) => !one.right, attention: (one) => one.attended !== undefined };
const ORDERS = { loss: ["surest errors first", (one) => one.truth], surest: ["surest first", (one) => -one.confidence], unsure: ["least sure first", (one) => one.confidence], given: ["as given", () => 0] };
const START = { outcome: "wrong", slice: "", label: null, least: 0.5, most: 1, search: "", order: "loss" };

/** Wilson's 95 % interval of a share: where the true one may well lie, given `right` of `count`. */
function wilson(right, count) {
  const p = right / count, z = (Z * Z) / count, middle = (p + z / 2) / (1 + z);
  const half = (Z / (1 + z)) * Math.sqrt((p * (1 - p)) / count + z / (4 * count));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** The predictions as the page works with them. @param {(name: string) => any} get */
function predictionsOf(get) {
  const slices = get("_slices").map(({ members }) => new Set(members)), attended = get("_attended").map((one) => one.at);
  return get("_texts").map((text, at) => {
    const label = get("_labels").getUint8(at), p = get("_probabilities").getFloat64(8 * at, true), guess = p > 0.5 ? 1 : 0, confidence = Math.max(p, 1 - p), k = attended.indexOf(at);
    return { at, text: text.trim() ? text : "(empty)", folded: text.toLowerCase(), label, p, guess, right: guess === label, confidence, truth: label ? p : 1 - p,
      bin: EDGES.findLastIndex((edge) => edge < 1 && confidence >= edge), slices: slices.flatMap((members, k) => (members.has(at) ? k : [])), attended: k < 0 ? undefined : k };
  });
}

const mark = ({ right }, text) => h("b", { class: right ? "right" : "wrong", title: right ? "right" : "wrong" }, text);
const tally = () => ({ count: 0, right: 0, sure: 0, attended: 0 });
function add(sum, one) {
  sum.count++;
  sum.sure += one.confidence;
  if (one.right) sum.right++;
  if (one.attended !== undefined) sum.attended++;
}
const percent = (share, digits = 1) => `${format(100 * share, digits)}\u00a0%`;
const sureness = (x) => (x < 1 && x >= 0.9995 ? "> 0.999" : format(x, 3)); // what is not certain never reads 1.000

/** Text in which every place of what is searched is marked. A capital may be shorter than its small letter: then none is. */
function marked({ text, folded }, query) {
  if (!query || folded.length !== text.length) return [text];
  const parts = folded.split(query);
  let at = 0;
  return parts.flatMap((part, i) => {
    const start = at, end = at + part.length;
    at = end + query.length;
    return [text.slice(start, end), i < parts.length - 1 ? h("mark", {}, text.slice(end, at)) : ""];
  });
}

/** A bar from the middle to the probability of class 1. */
const bar = ({ p, right }) => h("span", { class: "scale", "aria-hidden": "true" }, h("i", { class: right ? "right" : "wrong", style: `left: ${100 * Math.min(0.5, p)}%; width: ${100 * Math.abs(p - 0.5)}%` }));

/** What drawAttention asks a model for: weights of 16 bits each, from bytes that hold their square roots. */
function attentionModel(packed, { shape, tokens, start }, looks) {
  const size = shape.reduce((a, b) => a * b), weights = (from) => {
    const view = new DataView(new ArrayBuffer(2 * size));
    for (let i = 0; i < size; i++) view.setUint16(2 * i, Math.round(65535 * (packed.getUint8(from + i) / 255) ** 2), true);
    return view;
  };
  const own = { token: null, _weights: weights(start), _other_weights: weights(start + size),
    _sentences: ["Before fine-tuning", "After fine-tuning"].map((title) => ({ title, shape, tokens, key_tokens: null })) };
  return { get: (name) => own[name] ?? looks[name] ?? null, set(name, value) { (name in own ? own : looks)[name] = value; }, on() {}, off() {}, save_changes() {} };
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name), save = (changes) => { model.set(changes); model.save_changes(); };
    const classes = get("_classes"), slices = get("_slices").map(({ name }) => name), reasons = get("_reasons"), all = predictionsOf(get), sorted = {}, seen = new Set();
    const attended = get("_attended"), looks = { mode: "layer", layer: (attended[0]?.shape[0] ?? 1) - 1, head: 0, side: "from" }; // kept from one sentence to the next
    let rows = MANY, listed = [], now = null, query = "", found = null, unfolded = false, drawn = null, stop = null, waiting = 0, speaking = 0, known = null;

    // ------------------------------------------------------------ controls
    const button = (text, onclick) => h("button", { type: "button", onclick }, text);
    const press = (node, on) => node.setAttribute("aria-pressed", String(on));
    const group = (label, ...nodes) => h("div", { role: "group", "aria-label": label, class: "choices" }, nodes);
    const outcomes = Object.keys(OUTCOMES).filter((name) => name !== "attention" || attended.length).map((name) => ({ name, node: button("", () => save({ outcome: name })) }));
    const search = h("input", { type: "search", placeholder: "search the texts", "aria-label": "search the texts", oninput: () => save({ search: search.value }) });
    /** A choice of one trait's value: the values, their names, and what else a choice changes. */
    const pick = (label, trait, values, names = values, also = () => ({})) => {
      const node = h("select", { onchange() { const value = values[node.selectedIndex]; save({ [trait]: value, ...also(value) }); } }, names.map((name) => h("option", {}, name)));
      return { element: h("label", {}, label, node), show() { node.selectedIndex = values.indexOf(get(trait)); } };
    };
    const froms = EDGES.slice(0, -1), tos = EDGES.slice(1);
    const picks = [...(slices.length ? [pick("slice", "slice", ["", ...slices], ["every sentence", ...slices])] : []), pick("labelled", "label", [null, 0, 1], ["either way", ...classes]),
      pick("confidence from", "least", froms, froms, (least) => (least < get("most") ? {} : { most: 1 })), pick("to", "most", tos, tos, (most) => (most > get("least") ? {} : { least: 0.5 })),
      pick("order", "order", Object.keys(ORDERS), Object.values(ORDERS).map(([name]) => name))];

    // ------------------------------------------------------------ list, reader, tables
    const summary = h("p", { class: "summary" }), status = h("div", { class: "ug-hidden", role: "status" }), list = h("ul", { class: "list", role: "listbox", "aria-label": "sentences that are listed", onkeydown: keys });
    const at = () => listed.indexOf(now), page = () => Math.max(0, Math.floor(at() / rows));
    /** Two buttons that lead on by `by`, and between them what `show` says: the i-th of `count`. */
    const walk = (back, on, by) => {
      const where = h("span", { class: "where" }), ends = [-1, 1].map((sign) => button(sign < 0 ? back : on, () => open(by(sign))));
      return { element: h("div", { class: "ug-bar" }, ends[0], where, ends[1]), where, show(i, count) {
        where.textContent = `${i + 1} of ${count}`;
        ends.forEach((node, k) => node.setAttribute("aria-disabled", String(i === (k ? count - 1 : 0))));
      } };
    };
    const turn = walk("← Page", "Page →", (sign) => (page() + sign) * rows), step = walk("← Previous", "Next →", (sign) => at() + sign);
    const text = h("p", { class: "text" }), ends = h("div", { class: "ends" }), verdict = h("p"), about = h("p", { class: "soft" }), progress = h("p", { class: "soft" }), attention = h("div");
    const why = reasons.map((name) => button("", () => choose(name))), because = group("reason of this error", "Why is it wrong?", why);
    const unfold = button("Attention before and after fine-tuning", () => { unfolded = !unfolded; draw(); });
    const reader = h("section", { class: "reader", "aria-label": "the sentence that is open" }, step.element, text, ends, verdict, about, because, progress, unfold, attention);
    const tables = [...(slices.length ? [tableOf("slice", ["every sentence", ...slices].map((name, i) => [name, { slice: i ? name : "" }]))] : []),
      tableOf("confidence", [["all", { least: 0.5, most: 1 }], ...froms.map((least, i) => [`${least} to ${tos[i]}`, { least, most: tos[i] }])])];
    const root = h("div", { class: "ug ug-errors" }, h("h4", { class: "ug-title" }, "Predictions, to be read one by one"),
      h("p", { class: "ug-caption" }, "Choose which sentences, open one, and walk on with the arrow keys. Give each error a reason: what do they share?"),
      h("div", { class: "ug-bar" }, group("which are listed", outcomes.map(({ node }) => node)), search), h("div", { class: "ug-bar" }, picks.map(({ element }) => element), button("Reset", () => save({ ...START }))),
      summary, list, turn.element, reader,
      h("div", { class: "ug-bar" }, h("b", {}, "Accuracy"), group("accuracy", tables.map(({ tab }) => tab))), h("div", { class: "ug-scroll" }, tables.map(({ element }) => element)),
      h("p", { class: "soft" }, "Dot: accuracy; line: its 95\u00a0% interval (Wilson); dashed: the accuracy of all; diamond: the mean confidence, which is what the model claims."), h("div", { class: "ug-bar" }, saveButton(picture, "accuracy")), status);
    el.append(root);

    /** A table of accuracies. Each line has a name and the filter it stands for; a second click takes it off, as the first line does. */
    function tableOf(group, named) {
      const ends = h("span", { class: "ends" }), lines = named.map(([name, filter]) => {
        const chosen = () => Object.entries(filter).every(([trait, value]) => get(trait) === value), cells = range(5).map(() => h("td")), marks = ["level", "reach", "claim", "dot"].map((mark) => h("i", { class: mark }));
        const pick = button(isolate(name), () => save(chosen() ? named[0][1] : filter)), plot = h("span", {}, marks);
        return { name, chosen, pick, cells, plot, marks, element: h("tr", {}, h("th", { scope: "row" }, pick), cells, h("td", { class: "plot", "aria-hidden": "true" }, plot)) };
      });
      const heads = [group, "sentences", "wrong", "accuracy", "95\u00a0% interval", "claimed"].map((text) => h("th", { scope: "col" }, text));
      return { group, ends, lines, tab: button(`by ${group}`, () => save({ group })), element: h("table", { class: "compared" }, h("thead", {}, h("tr", {}, heads, h("td", { class: "plot", "aria-hidden": "true" }, ends))), h("tbody", {}, lines.map(({ element }) => element))) };
    }

    // ------------------------------------------------------------ what the reader does
    function open(i) {
      const one = listed[clamp(i, 0, listed.length - 1)];
      if (!one) return;
      seen.add(now.at).add(one.at);
      save({ opened: one.at });
    }
    function choose(name) {
      const { [now.at]: before, ...rest } = get("given");
      seen.add(now.at);
      save({ given: before === name ? rest : { ...rest, [now.at]: name } });
    }
    function keys(event) {
      const by = { ArrowUp: -1, ArrowDown: 1, PageUp: -rows, PageDown: rows, Home: -Infinity, End: Infinity }[event.key];
      if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook moves between its cells with the same keys
      open(at() + by);
    }

    // ------------------------------------------------------------ drawing
    /** One pass over all: what matches, and the counts of every slice and range of confidence. */
    function draw() {
      const wanted = get("search").toLowerCase(), label = get("label"), member = slices.indexOf(get("slice")), [least, most] = [get("least"), get("most")], is = OUTCOMES[get("outcome")], [name, key] = [get("order"), ORDERS[get("order")][1]];
      if (!found || wanted !== query) found = all.map(({ folded }) => folded.includes(wanted));
      query = wanted;
      const total = tally(), bySlice = ["", ...slices].map(tally), byRange = EDGES.map(tally); // the first of each: all of them
      listed = (sorted[name] ??= [...all].sort((a, b) => key(a) - key(b) || a.at - b.at)).filter((one) => {
        if (!found[one.at] || (label !== null && one.label !== label)) return false;
        const inside = member < 0 || one.slices.includes(member), within = one.confidence >= least && (one.confidence < most || most >= 1);
        if (within) for (const k of [-1, ...one.slices]) add(bySlice[k + 1], one);
        if (inside) for (const k of [-1, one.bin]) add(byRange[k + 1], one);
        if (inside && within) add(total, one);
        return inside && within && is(one);
      });
      now = listed.find((one) => one.at === get("opened")) ?? listed[0];
      controls(total);
      rowsOf(get("given"));
      reader.classList.toggle("none", !now);
      if (now) read(now, get("given"));
      attend();
      compare(shownTable().group === "slice" ? bySlice : byRange);
      speak();
    }

    function controls({ count, right, attended }) {
      const counts = { all: count, right, wrong: count - right, attention: attended };
      for (const { name, node } of outcomes) { node.textContent = `${name} ${counts[name]}`; press(node, name === get("outcome")); }
      for (const one of picks) one.show();
      if (search.value !== get("search")) search.value = get("search");
      const number = (value, text) => h("b", { "data-value": value }, text), [low, high] = wilson(right, count);
      summary.replaceChildren(...(count ? [number(count, plural(count, "sentence")), " match, ", number(right, right), " right: accuracy ", number(right / count, percent(right / count)), ", 95\u00a0% interval ", number(low, percent(low)), " to ", number(high, percent(high)), "."] : ["No sentence matches."]));
    }

    function rowsOf(given) {
      const from = page() * rows, held = list.contains(document.activeElement);
      list.style.setProperty("--rows", rows);
      list.replaceChildren(...listed.slice(from, from + rows).map((one, k) => h("li", { role: "option", class: seen.has(one.at) && "seen", "data-at": one.at, onclick: () => open(from + k),
        tabindex: one === now ? 0 : -1, "aria-selected": String(one === now), "aria-posinset": from + k + 1, "aria-setsize": listed.length }, mark(one, one.right ? "✓" : "✗"), h("bdi", { class: "words" }, marked(one, query)), bar(one),
      h("span", { class: "told" }, isolate(classes[one.guess]), ` ${sureness(one.confidence)}`, given[one.at] && [" · ", isolate(given[one.at])]))));
      if (held) list.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
      turn.show(page(), Math.max(1, Math.ceil(listed.length / rows)));
    }

    function read(one, given) {
      step.show(at(), listed.length);
      text.replaceChildren(h("bdi", {}, marked(one, query)));
      ends.replaceChildren(isolate(classes[0]), bar(one), isolate(classes[1]));
      const number = (value, text) => h("span", { "data-value": value }, text), loss = -Math.log(one.truth), reason = Object.values(given);
      verdict.replaceChildren(mark(one, one.right ? "Right" : "Wrong"), ": predicted ", isolate(classes[one.guess]), " with confidence ", number(one.confidence, sureness(one.confidence)),
        ", labelled ", isolate(classes[one.label]), ". Its loss −log p is ", number(loss, loss < Infinity ? format(loss) : "∞"), ".");
      about.replaceChildren(...one.slices.flatMap((k, i) => [i ? ", " : "Slices: ", isolate(slices[k])]), one.slices.length ? ". " : "", isolate(get("_notes")[one.at] ?? ""));
      why.forEach((node, i) => {
        const count = reason.filter((name) => name === reasons[i]).length;
        node.replaceChildren(isolate(reasons[i]), count ? ` ${count}` : "");
        press(node, given[one.at] === reasons[i]);
      });
      because.style.visibility = one.right ? "hidden" : "";
      progress.textContent = `You have opened ${[...seen].filter((k) => !all[k].right).length} of ${plural(all.filter((k) => !k.right).length, "error")}, and given ${reason.length} a reason.`;
      unfold.hidden = one.attended === undefined;
      unfold.setAttribute("aria-expanded", String(unfolded));
    }

    /** The attention of the open sentence, once the reader stays with it. */
    function attend() {
      const wanted = unfolded ? attended[now?.attended] : undefined;
      if (wanted === drawn) return;
      clearTimeout(waiting);
      stop?.();
      attention.replaceChildren();
      drawn = wanted;
      stop = null;
      if (drawn) waiting = setTimeout(() => { stop = drawAttention({ model: attentionModel(get("_attention"), drawn, looks), el: attention }); }, PAUSE);
    }

    const shownTable = () => tables.find(({ group }) => group === get("group")) ?? tables.at(-1);
    function compare(sums) {
      const table = shownTable(), shares = sums.map(({ count, right, sure }) => (count ? [right / count, ...wilson(right, count), sure / count] : null));
      const low = Math.min(0.9, Math.floor(10 * Math.min(...shares.map((share) => share?.[1] ?? 1))) / 10), x = (share) => (100 * (Math.max(low, share) - low)) / (1 - low); // the axis begins at a ten
      for (const one of tables) { press(one.tab, one === table); one.element.hidden = one !== table; }
      table.ends.replaceChildren(...[low, 1].map((share) => h("span", {}, percent(share, 0))));
      table.lines.forEach((line, i) => {
        const { count, right } = sums[i], [share, from, to, sure] = shares[i] ?? [];
        [count, count - right, ...(count ? [percent(share), `${percent(from)} to ${percent(to)}`, sureness(sure)] : ["–", "–", "–"])].forEach((value, k) => { line.cells[k].textContent = value; });
        press(line.pick, line.chosen());
        line.plot.hidden = !count;
        line.at = count ? [x(shares[0][0]), x(from), x(sure), x(share), x(to) - x(from)] : null;
        if (count) line.marks.forEach((mark, k) => { mark.style.left = `${line.at[k]}%`; });
        if (count) line.marks[1].style.width = `${line.at[4]}%`;
      });
    }

    /** The table as a picture: its words, and its lines as they are drawn. */
    function picture() {
      const { group, lines, ends } = shownTable(), y = (i) => 66 + 22 * i, bottom = y(lines.length) - 10, [low, high] = ends.children;
      const write = (x, y, text, anchor = "start") => s("text", { x, y, "text-anchor": anchor, "font-size": 12, style: "unicode-bidi: isolate" }, text), path = (name, d) => s("path", { d, class: name });
      return s("svg", { viewBox: `0 0 740 ${bottom + 30}`, width: 740, height: bottom + 30, class: "picture" }, write(4, 18, summary.textContent), write(4, 42, group), write(238, 42, "sentences", "end"),
        lines.map(({ name, cells, at }, i) => {
          const [level, from, sure, share, wide] = (at ?? []).map((x) => 3 * x), words = [write(4, y(i) + 4, short(name, 26)), write(238, y(i) + 4, cells[0].textContent, "end")];
          return at ? [...words, write(562, y(i) + 4, `${cells[2].textContent} (${cells[3].textContent})`), s("g", { transform: `translate(250 ${y(i)})` }, path("level", `M${level}-11v22`), path("reach", `M${from} 0h${wide}`),
            path("claim", `M${sure}-5l5 5l-5 5l-5-5z`), s("circle", { cx: share, r: 4, class: "dot" }))] : words;
        }), path("level", `M250 ${bottom}h300`), write(250, bottom + 18, low.textContent, "middle"), write(400, bottom + 18, "accuracy", "middle"), write(550, bottom + 18, high.textContent, "middle"));
    }

    /** What has changed, said once the reader pauses. */
    function speak() {
      const told = `${summary.textContent}${now ? ` ${step.where.textContent}: ${now.text} ${verdict.textContent}` : ""}`;
      known ??= told; // what is there from the start is not news
      clearTimeout(speaking);
      if (told !== known) speaking = setTimeout(() => { status.textContent = known = told; }, PAUSE);
    }

    const ask = onceAFrame({ draw });
    const stops = [onWidth(root, (width) => { rows = width < NARROW ? FEW : MANY; draw(); }), follow(model, [...Object.keys(START), "opened", "given", "group"], () => ask("draw")),
      () => { clearTimeout(waiting); clearTimeout(speaking); stop?.(); }];
    return () => { for (const stop of stops) stop(); };
  },
};

// The parts of LiveGPT's drawing: the tokens, the bars of what comes next, all tokens by rank, the
// random number, the logit lens. Each knows how to draw itself from numbers, and nothing else.

// Log10 of the smallest probability that the picture of all tokens shows.
const FLOOR = -7;
// A share of the random number's line that is wide enough to stand alone.
const SEEN = 0.012;
// And one that has room for its name.
const NAMED = 0.1;

/** 0.3141 -> "0.31"; what is not certain never reads 1, what is possible never 0. */
function chance(p, digits = 2) {
  if (p === 0 || p === 1) return format(p, digits);
  const places = digits === 2 && (p < 0.0995 || p >= 0.995) ? 3 : digits, least = 10 ** -places;
  if (p < least / 2) return `<\u2009${least.toFixed(places)}`;
  return p > 1 - least / 2 ? `>\u2009${(1 - least).toFixed(places)}` : format(p, places);
}

/** A token as the page shows it; null is one whose name the example does not carry. */
const called = (name) => (name === null ? "(not carried)" : shown(name));
const thousands = (n) => n.toLocaleString("en");
const percentOf = (share) => (share > 0.9995 && share < 1 ? ">\u200999.9\u00a0%" : `${format(100 * share, 1)}\u00a0%`);

/** Move within a list by its keys; `go(to)` gets the index. Home and End, and two arrows each way. */
function keysOf(at, last, go, more = {}) {
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowLeft: at() - 1, ArrowUp: at() - 1, ArrowRight: at() + 1, ArrowDown: at() + 1, Home: 0, End: last() }[event.key];
    if (to === undefined && !more[event.key]) return;
    event.preventDefault();
    // A notebook moves between its cells with the same keys.
    event.stopPropagation();
    if (to === undefined) more[event.key]();
    else go(clamp(to, 0, last()));
  };
}

/** The text token by token, and the empty place at its end. Places are counted from 1. */
function tokenStrip(choose) {
  const chips = [], go = (i) => { choose(i + 1); chips[i].element.focus({ preventScroll: true }); };
  let here = 1, seen = "";
  const list = h("ul", { class: "tokens", role: "listbox", "aria-label": "the text, token by token", onkeydown: keysOf(() => here - 1, () => chips.length - 1, go) },
    h("li", { class: "start", role: "presentation", title: "<|endoftext|>, after which texts begin" }, h("span", { "aria-hidden": "true" }, "start")));
  const add = (i) => {
    const word = h("bdi"), number = h("small"), element = h("li", { role: "option", onclick: () => go(i) }, word, number);
    chips.push({ element, word, number, now: [] });
    list.append(element);
  };
  return { element: list,
    /** @param {Set<number>} made the places of tokens that the model drew */
    draw(reading, place, made, colours) {
      // The tokens, and the empty place.
      const { ids } = reading, count = ids.length;
      while (chips.length < count) add(chips.length);
      while (chips.length > count) chips.pop().element.remove();
      here = place;
      chips.forEach((chip, i) => {
        const { element, word, number } = chip, at = i + 1, end = at === count, now = [ids[at], end || reading.probability(at), made.has(at), colours], [id, p, own] = now;
        if (now.some((value, k) => value !== chip.now[k])) {
          chip.now = now;
          word.textContent = end ? "next" : called(reading.name(id));
          number.textContent = end ? "?" : chance(p);
          element.className = end ? "next" : own ? "made" : "";
          element.style.cssText = end ? "" : colours.dress[level(p)];
          element.setAttribute("aria-label", end ? `place ${at}: what comes next` : `token ${at}, “${word.textContent}”, probability ${chance(p, 4)}${own ? ", drawn by the model" : ""}`);
        }
        element.setAttribute("aria-selected", String(at === place));
        element.tabIndex = at === place ? 0 : -1;
      });
      // The list's, never the page's.
      if (seen !== (seen = `${place} ${count}`)) list.scrollTop = chips[place - 1].element.offsetTop - list.offsetTop - list.clientHeight / 2;
    } };
}

/** The likeliest tokens of a place as bars; a click puts one there. */
function barList(take) {
  const rows = [];
  let at = 0;
  const list = h("ul", { class: "bars", role: "listbox", "aria-label": "tokens that could stand here", onkeydown: (event) => keys(event) });
  const tab = (i) => { at = i; rows.forEach(({ element }, k) => { element.tabIndex = k === i ? 0 : -1; }); }, choose = () => take(rows[at].id);
  const keys = keysOf(() => at, () => rows.length - 1, (i) => { tab(i); rows[i].element.focus({ preventScroll: true }); }, { Enter: choose, " ": choose });
  const row = (i) => {
    const [word, rank, own, drawn, wide, narrow] = ["bdi", "small", "span", "span", "i", "i"].map((tag) => h(tag));
    return { element: h("li", { role: "option", onclick() { tab(i); choose(); } }, rank, word, h("span", { class: "bar", "aria-hidden": "true" }, wide, narrow), own, drawn), word, rank, own, drawn, wide, narrow };
  };
  return { element: list,
    /** @param {number|null} here the token that stands at this place */
    draw(reading, cast, here, count) {
      const ranks = range(Math.min(count, cast.order.length)), mine = cast.order.indexOf(here);
      if (mine >= ranks.length) ranks.push(mine);
      while (rows.length < ranks.length) list.append(rows[rows.push(row(rows.length)) - 1].element);
      while (rows.length > ranks.length) rows.pop().element.remove();
      const most = Math.max(...ranks.map((rank) => Math.max(cast.own(cast.order[rank]), cast.drawn[cast.order[rank]])));
      ranks.forEach((rank, i) => {
        const id = cast.order[rank], p = cast.own(id), q = cast.drawn[id], one = rows[i], name = called(reading.name(id)), cut = rank < cast.kept ? "" : cast.greedy ? "temperature 0" : rank >= cast.byK ? "top-k" : "top-p";
        one.id = id;
        Object.entries({ rank: thousands(rank + 1), word: name, own: chance(p, 4), drawn: cut ? "cut" : chance(q, 4) }).forEach(([part, said]) => { one[part].textContent = said; });
        [one.wide.style.width, one.narrow.style.width] = [p, q].map((p) => `${(100 * p) / most}%`);
        one.element.className = `${cut && "cut"} ${rank === cast.kept ? "edge" : ""} ${i === count ? "far" : ""}`;
        one.element.setAttribute("aria-selected", String(id === here));
        one.element.setAttribute("aria-label", `“${name}”, rank ${rank + 1}, model ${chance(p, 4)}, ${cut ? `cut by ${cut}` : `drawn ${chance(q, 4)}`}`);
      });
      tab(Math.min(at, ranks.length - 1));
    } };
}

/** Every token by rank, both axes in powers of ten: how long the tail is, and where it is cut. */
function tailChart() {
  const left = 42, right = 350, top = 12, bottom = 132, svg = s("svg", { role: "img", class: "tail", viewBox: "0 0 360 170" });
  const y = (p) => (top + ((bottom - top) * Math.max(FLOOR, Math.log10(p))) / FLOOR).toFixed(1), path = (name, d) => s("path", { class: name, d });
  const write = (x, y, said, name = "tick", anchor = "middle") => s("text", { x, y, class: name, "text-anchor": anchor }, said);
  return { element: svg, draw({ order, kept, byK, own, heated, share, greedy }, { topK, topP }) {
    const count = order.length, x = (rank) => (left + ((right - left) * Math.log(Math.min(count, rank))) / Math.log(count)).toFixed(1), ranks = [...new Set(range(90).map((i) => Math.round(count ** (i / 89))))];
    const curve = (of, until) => [...ranks.filter((rank) => rank < until), until].map((rank) => `${x(rank)} ${y(of(order[rank - 1]))}`).join("L"), hot = (id) => heated[id];
    const cuts = [["top-k", topK !== null && byK < count && byK], ["top-p", topP !== null && kept < byK && kept]].filter(([, rank]) => rank);
    svg.setAttribute("aria-label", `All ${thousands(count)} tokens by rank: ${thousands(kept)} are kept, ${percentOf(share)} of the probability.`);
    svg.replaceChildren(...["1", "10⁻²", "10⁻⁴", "10⁻⁶"].flatMap((said, i) => [path("grid", `M${left} ${y(100 ** -i)}H${right}`), write(left - 5, Number(y(100 ** -i)) + 4, said, "tick", "end")]),
      ...[1, 10, 100, 1000].filter((rank) => rank <= count).map((rank) => write(x(rank), bottom + 14, thousands(rank))), write((left + right) / 2, bottom + 30, "rank of the token (log)"), path("own", `M${curve(own, count)}`),
      ...(greedy ? [] : [path("area", `M${curve(hot, kept)}L${x(kept + 0.5)} ${y(hot(order[kept - 1]))}V${bottom}H${left}Z`), path("heated", `M${curve(hot, count)}`)]),
      ...cuts.flatMap(([name, rank], i) => {
        const at = Number(x(rank + 0.5)), far = at > right - 90;
        return [path("cutter", `M${at} ${top}V${bottom}`), write(at + (far ? -4 : 4), top + 10 + 14 * i, `${name}: ${thousands(rank)}`, "cutname", far ? "end" : "start")];
      }));
  } };
}

/** The probabilities side by side, from 0 to 1, and the random number that falls on one of them. */
function numberLine() {
  const line = h("div", { class: "line", "aria-hidden": "true" }), words = h("p");
  return { element: h("div", {}, line, words), draw(reading, cast, u, seed, at) {
    // Else the tokens' order is not known.
    const exact = reading.kept === undefined || cast.kept <= reading.kept;
    const hit = exact ? pick(cast.drawn, u) : null, parts = [];
    cast.drawn.forEach((p, id) => {
      if (!p) return;
      if (p >= SEEN) parts.push({ id, p });
      else if (parts.at(-1)?.id === null) parts.at(-1).p += p;
      else parts.push({ id: null, p });
    });
    line.hidden = !exact;
    line.replaceChildren(...parts.map(({ id, p }) => h("span", { style: `flex-grow: ${p}`, class: id === null ? "many" : id === hit && "hit" }, p >= NAMED && id !== null ? isolate(called(reading.name(id))) : "")), h("b", { style: `left: ${100 * u}%` }));
    words.replaceChildren(`Seed ${seed} has the random number `, h("b", { "data-number": "u", "data-value": u }, format(u, 4)), ` for place ${at}: `,
      ...(exact ? ["it falls on “", h("b", { "data-number": "drawn" }, isolate(called(reading.name(hit)))), "”."] : [`on what it falls is not carried with the example while more than ${reading.kept} are kept.`]));
  } };
}

/** What each layer would say at this place. */
function lensTable() {
  const table = h("table", { class: "lens" }), head = (said, more) => h("th", { scope: "col", ...more }, said);
  return { element: h("div", { class: "ug-scroll", tabindex: 0, role: "region", "aria-label": "logit lens" }, table), draw(reading, place, id, colours) {
    const stages = reading.lens(place - 1, id), cell = ({ id, p }) => h("td", { style: colours.dress[level(p)], "data-value": p }, isolate(short(called(reading.name(id)), 12)), h("small", {}, chance(p)));
    table.replaceChildren(h("thead", {}, h("tr", {}, head("after"), head("likeliest next tokens", { colspan: stages[0].best.length }), head(["“", isolate(short(called(reading.name(id)))), "”"]))),
      h("tbody", {}, stages.map(({ best, p, rank }, i) => h("tr", {}, h("th", { scope: "row" }, i ? `block ${i - 1}` : "embedding"), best.map(cell), h("td", { "data-value": p }, chance(p, 4), h("small", {}, `rank ${thousands(rank)}`))))));
  } };
}

/** What the colours of the tokens mean, as attention has it of weights. */
function probabilityScale() {
  const scale = legend();
  scale.firstChild.textContent = "probability";
  scale.setAttribute("aria-label", "Scale of the probabilities, from 0 to 1");
  return h("div", { class: "ug-bar" }, scale, h("span", { class: "own" }, h("u"), "drawn by the model"));
}

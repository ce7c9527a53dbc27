// LiveBERT: hide words of a text, and see what the model would put there.
// Joined after the engine (engine_*.js) and token_text.js (see frame.py); live_bert_example.py says what
// is carried for the example, so that it shows before any weights come.

const BEST = 8, CARDS = 24; // candidates of a mask; masks that are shown
const PAUSE = 500; // milliseconds before what has changed is said

const range = (n) => Array.from({ length: n }, (_, i) => i);
const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
/** A word as it is read, without the space before it. */
const bare = (word) => seen(word.length > 1 ? word.replace(/^ /, "") : word);

/** What is known of the example. */
class ExampleText {
  constructor(known) { Object.assign(this, known); }
  reads(text) { return text === this.text; }
  split() { return this.words; }
  idsOf(at) { return this.ids[at]; }
  name(id) { return this.names[id]; }
  masks(hidden) { return this.runs[hidden.join(",")]?.map(({ ids, shares, ...mask }) => ({ ...mask, top: ids.map((id, k) => ({ id, p: shares[k] })) })); }
}

/** The same for any text, computed in the page. */
class LiveText {
  constructor({ bert, tokenizer }, mask) {
    Object.assign(this, { bert, tokenizer, mask: tokenizer.special[mask] });
  }
  reads() { return true; }
  name(id) { return this.tokenizer.piece(id); }
  idsOf(at) { return this.ids[at]; }

  /** The words that the tokenizer makes of a text, and the tokens of each. */
  split(text) {
    const { tokenizer } = this, whole = text.toWellFormed?.() ?? text.replace(/\p{Surrogate}/gu, "\ufffd");
    const known = whole.replace(tokenizer.later, (letter) => "\uffff".repeat(letter.length)); // see Tokenizer.encode
    const words = Array.from(known.matchAll(tokenizer.words), ({ 0: word, index }) => whole.slice(index, index + word.length));
    this.ids = words.map((word) => tokenizer.word(word));
    return words;
  }

  masks(hidden) {
    const chosen = new Set(hidden), run = this.bert.run(this.ids.flatMap((ids, word) => (chosen.has(word) ? ids.map(() => this.mask) : ids)));
    let position = 0;
    return this.ids.flatMap((ids, word) => ids.map((id, part) => {
      const at = position++;
      return chosen.has(word) ? { word, part, id, ...judged(run.logits(at), id) } : null;
    })).filter(Boolean);
  }
}

/** The likeliest tokens, and probability and rank of one. @param {Float32Array} logits */
function judged(logits, id) {
  const shares = softmax(logits), top = [];
  let rank = 1;
  for (let i = 0; i < logits.length; i++) {
    if (logits[i] > logits[id]) rank++;
    if (top.length === BEST && logits[i] <= logits[top[BEST - 1]]) continue;
    let at = top.findIndex((other) => logits[i] > logits[other]);
    if (at < 0) at = top.length;
    top.splice(at, 0, i);
    top.length = Math.min(top.length, BEST);
  }
  return { p: shares[id], rank, top: top.map((i) => ({ id: i, p: shares[i] })) };
}

/** Which words are hidden after an edit: those before and after what was changed stay hidden. */
function carriedOver(hidden, before, after) {
  const most = Math.min(before.length, after.length);
  let head = 0, tail = 0;
  while (head < most && before[head] === after[head]) head++;
  while (tail < most - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  return hidden.flatMap((i) => (i < head ? i : i >= before.length - tail ? i + after.length - before.length : []));
}

export default {
  render({ model, el }) {
    const get = (name) => model.get(name), save = (changes) => { model.set(changes); model.save_changes(); };
    const example = new ExampleText(get("_example")), { vocabulary, room, megabytes } = example;
    let reading = example, live = null, loading = false, gone = false, typed = false, words = [], now = 0, masks = [], spoken = 0, known = null;

    const button = (said, act) => h("button", { type: "button", onclick: act }, said);
    const input = h("textarea", { rows: 2, spellcheck: "false", "aria-label": "text that the model reads", oninput: type });
    const strip = h("div", { class: "words", role: "listbox", "aria-multiselectable": "true", "aria-label": "words; those chosen are hidden", onkeydown: keys });
    const [note, failed, place] = [h("p", { class: "note" }), h("p", { class: "ug-error", role: "alert" }), h("span", { class: "place" })], cards = h("div", { class: "cards" });
    const share = h("progress", { max: 1, "aria-label": "loading the model" }), load = button("", fetchModel), status = h("div", { class: "ug-hidden", role: "status" });
    const view = h("div", { class: "ug ug-live-bert" }, h("h4", { class: "ug-title" }, "Hide a word, and let the model guess it"),
      h("p", { class: "ug-caption" }, "Click a word, or reach it with the arrow keys and press Enter. Hide several, or write a sentence of your own."),
      input, strip, note, failed, h("div", { class: "ug-bar" }, load, share, place), cards,
      h("div", { class: "ug-bar" }, button("Show all words", () => save({ hidden: [] })), button("Back to the example", () => save({ text: example.text, hidden: example.start })), saveButton(picture, "live-bert")), status);
    el.append(view);

    // ------------------------------------------------------------ what the reader does
    const shownHidden = () => get("hidden").filter((i) => i < words.length);

    function type() {
      typed ||= !live; // what is hidden now can only be told with the tokenizer
      save({ text: input.value, ...(live && { hidden: carriedOver(shownHidden(), words, reading.split(input.value)) }) });
    }

    function toggle(at) {
      const hidden = shownHidden();
      now = at;
      save({ hidden: hidden.includes(at) ? hidden.filter((i) => i !== at) : [...hidden, at].sort((a, b) => a - b) });
    }

    function keys(event) {
      const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: words.length - 1, Enter: now, " ": now }[event.key];
      if (to === undefined || !words.length || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook uses the same keys
      if (event.key === "Enter" || event.key === " ") return toggle(now);
      now = Math.max(0, Math.min(words.length - 1, to));
      reach(true);
    }

    /** Which word the Tab key reaches. */
    function reach(focus) {
      for (const [i, chip] of [...strip.children].entries()) chip.tabIndex = i === now ? 0 : -1;
      if (focus) strip.children[now]?.focus();
    }

    // ------------------------------------------------------------ the model
    /** The weights, once something is asked that the example does not tell. */
    async function fetchModel() {
      if (loading || live) return;
      loading = true;
      failed.textContent = "";
      progress(0);
      try {
        live = await loadModel(model, { onProgress: progress });
        reading = new LiveText(live, example.mask);
      } catch (error) {
        failed.textContent = `The model could not be loaded (${error?.message ?? error}).`;
      }
      loading = false;
      progress(0);
      if (gone) return;
      if (live && typed) save({ hidden: carriedOver(shownHidden(), words, reading.split(get("text"))) });
      draw();
    }

    function progress(part) {
      share.value = part;
      share.hidden = !loading;
      load.hidden = Boolean(loading || live);
      load.textContent = failed.textContent ? "Try again" : `Load the model (${megabytes}\u00a0MB)`;
      place.textContent = live ? "The model runs in this page." : loading ? `Loading ${megabytes}\u00a0MB: ${Math.round(100 * part)}\u00a0%` : "Shown: worked out in advance.";
    }

    // ------------------------------------------------------------ drawing
    function draw() {
      const wanted = get("text");
      if (input.value !== wanted) input.value = wanted;
      const found = reading.reads(wanted) ? judge(wanted) : null;
      view.classList.toggle("waits", !found);
      if (!found && !loading && !failed.textContent) fetchModel();
      if (!found) return;
      masks = found;
      drawWords();
      drawNote();
      cards.replaceChildren(...masks.slice(0, CARDS).map(card));
      tell();
    }

    /** What the model says at each mask; null where only the model itself can tell. */
    function judge(wanted) {
      const split = reading.split(wanted), hidden = get("hidden").filter((i) => i < split.length), length = split.reduce((sum, _, i) => sum + reading.idsOf(i).length, 0);
      const said = hidden.length && length <= room ? reading.masks(hidden) : [];
      if (!said) return null;
      words = split;
      view.classList.toggle("long", length > room);
      note.dataset.tokens = String(length);
      return said;
    }

    function drawWords() {
      const hidden = new Set(shownHidden()), held = strip.contains(document.activeElement);
      strip.replaceChildren(...words.map((word, i) => h("span", { role: "option", "aria-selected": String(hidden.has(i)), class: hidden.has(i) ? "word hidden" : "word", "data-at": i, onclick: () => toggle(i),
        "aria-label": hidden.has(i) ? `${bare(word)}, hidden` : bare(word) }, hidden.has(i) ? "▢".repeat(reading.idsOf(i).length) : isolate(bare(word)))));
      now = Math.max(0, Math.min(now, words.length - 1));
      reach(held);
    }

    function drawNote() {
      const length = Number(note.dataset.tokens), right = masks.filter(({ rank }) => rank === 1).length, number = (kind, said) => h("b", { "data-number": kind }, said);
      if (length > room) return note.replaceChildren(number("length", count(length, "token")), `: the model reads ${room} at most.`);
      if (!masks.length) return note.replaceChildren(words.length ? `${count(words.length, "word")}, ${count(length, "token")}. None is hidden.` : "Write something.");
      note.replaceChildren(number("hidden", count(masks.length, "token")), ` of ${length} hidden; the first guess is right for `, number("right", right), masks.length > CARDS ? `. Below: the first ${CARDS}.` : ".");
    }

    /** One mask: the candidates, and what stood there. */
    function card({ word, part, id, p, rank, top }) {
      const length = reading.idsOf(word).length, own = seen(reading.name(id)), stood = { id, p }, rows = top.map((one, k) => ({ ...one, rank: k + 1 })), whole = bare(words[word]);
      const line = (one) => h("li", { class: one.id === id && "true", style: `--share: ${(100 * one.p).toFixed(2)}%` }, h("span", { class: "rank" }, one.id === id ? ["✓", h("span", { class: "ug-hidden" }, "stood there: ")] : `${one.rank}.`), isolate(seen(reading.name(one.id))), h("span", { class: "share" }, percent(one.p)));
      return h("section", { class: "card", "aria-label": `guesses for ${whole}, token ${part + 1} of ${length}` },
        h("h5", {}, quoted(whole), length > 1 && [`, ${part + 1} of ${length}: `, quoted(own)]),
        h("p", {}, h("b", { "data-number": "p" }, percent(p)), ", rank ", h("b", { "data-number": "rank" }, rank.toLocaleString("en")), ` of ${vocabulary.toLocaleString("en")}`),
        h("ol", {}, rows.map(line), rows.some((one) => one.id === id) ? null : line(stood)));
    }

    /** What has changed, said once the reader pauses. */
    function tell() {
      const guesses = masks.slice(0, 3).map(({ word, id, p, rank, top: [first] }) => `${bare(words[word])}: ${percent(p)}, rank ${rank}${first.id === id ? "" : `; first guess ${seen(reading.name(first.id))}, ${percent(first.p)}`}`);
      const said = [note.textContent, ...guesses].join(" ");
      clearTimeout(spoken);
      known ??= said; // what is there from the start is not news
      if (said !== known) spoken = setTimeout(() => { status.textContent = known = said; }, PAUSE);
    }

    /** The text with its gaps, and the cards. */
    function picture() {
      const write = (x, y, said, name = "", anchor = "start") => s("text", { x, y, class: name, "text-anchor": anchor, "font-size": 12, style: "unicode-bidi: isolate" }, said), lines = [""], hidden = new Set(shownHidden());
      for (const [i, word] of words.entries()) {
        const said = hidden.has(i) ? ` ${"▢".repeat(reading.idsOf(i).length)}` : seen(word).replace(/^␣/, " ");
        if (lines.at(-1).length + said.length > 105) lines.push("");
        lines[lines.length - 1] += said;
      }
      const top = 20 * lines.length + 26, shown = masks.slice(0, CARDS), high = 24 * BEST + 52, group = (mask, i) => s("g", { transform: `translate(${248 * (i % 3)} ${top + high * Math.floor(i / 3)})` }, write(0, 0, cut(`${bare(words[mask.word])}: ${percent(mask.p)}, rank ${mask.rank}`, 34), "heading"),
        mask.top.map(({ id, p }, k) => [s("rect", { class: "share", x: 96, y: 13 + 20 * k, height: 10, width: Math.max(0.5, 90 * p) }), write(0, 22 + 20 * k, cut(seen(reading.name(id)), 13), id === mask.id ? "true" : ""), write(232, 22 + 20 * k, percent(p), "", "end")]));
      return s("svg", { viewBox: `-8 0 752 ${top + high * Math.ceil(shown.length / 3)}`, class: "picture" }, lines.map((line, i) => write(0, 16 + 20 * i, line.trim())), shown.map(group));
    }

    const ask = onceAFrame({ draw });
    progress(0);
    draw();
    const stops = [follow(model, ["text", "hidden"], () => ask("draw")), () => { gone = true; clearTimeout(spoken); }];
    return () => { for (const stop of stops) stop(); };
  },
};

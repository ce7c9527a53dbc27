// LiveGPT: the course's GPT on the reader's own words. Joined after the engine, attention_drawing.js,
// live_gpt_texts.js (what is known of a text), live_gpt_parts.js and live_gpt_picture.js.
// Places are counted from 1; place n + 1 is what comes after a text of n tokens.

// Steps of top-k; after the last: off.
const KS = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 80, 100, 200, 300, 500, 1000, 2000];
// How many bars are shown.
const FEW = 10, MANY = 40;
// Milliseconds before attention is drawn again.
const PAUSE = 400;
const START = "<|endoftext|>";

export default {
  render({ model, el }) {
    const get = (name) => model.get(name), save = (changes) => { model.set(changes); model.save_changes(); };
    const redraw = onceAFrame({ draw }).bind(null, "draw"), { room, megabytes } = get("_example"), looks = { mode: "layer", layer: 0, head: 0, side: "from", token: null };
    let live = null, loading = false, wanted, reading = new ExampleText(get), { text } = get("_example"), dropped = "", cast, colours;
    let running = null, began = null, numbers = [], seedOf = null, next, many = false, lensOf, drawn, followed, stopDrawing, waiting = 0, gone = false;
    // Places of tokens that the model drew; what was there before each change.
    const made = new Set(), undone = [];
    const place = () => clamp(get("place") ?? Infinity, 1, reading.ids.length);
    const sampling = () => ({ temperature: get("temperature"), topK: get("top_k"), topP: get("top_p") });
    const name = (id) => called(reading.name(id)), isSign = (id) => Object.values(live.tokenizer.special).includes(id);

    // ------------------------------------------------------------ controls
    const button = (said, onclick, more) => h("button", { type: "button", onclick, ...more }, said), bar = (...inside) => h("div", { class: "ug-bar" }, inside);
    const [count, measure, summary, limit, failed, says, about] = ["count", "measure", "summary", "limit", "ug-error", "says", "ug-caption"].map((kind) => h("p", { class: kind, role: { says: "status", "ug-error": "alert" }[kind] })), heading = h("h5");
    const words = h("textarea", { rows: 2, dir: "auto", spellcheck: "false", "aria-label": "your text", oninput() { running = null; withModel(() => readText(words.value)); } });
    const meter = h("progress", { max: 1, "aria-label": "loading the model" }), fetch = button("", () => withModel(() => words.focus()), { class: "ug-primary" });
    const loader = h("div", { class: "ug-bar loader" }, fetch, meter, h("span", {}, "This example was worked out before. Load the model to type, change tokens and generate."));
    const strip = tokenStrip((at) => { save({ place: at === reading.ids.length ? null : at }); redraw(); });
    const go = button("", () => (running ? (running.over = true) : run(Infinity)), { class: "ug-primary go" }), step = button("One token", () => run(1)), again = button("Again, next seed", repeat), undo = button("Undo", takeBack);
    const seed = h("input", { type: "number", min: 0, max: 2 ** 32 - 1, onchange: () => save({ seed: Math.abs(Math.round(seed.value)) % 2 ** 32 || 0 }) });
    const heat = slider("temperature", { min: 0, max: 2, step: 0.05, value: 1, show: (x) => (x ? format(x) : "0: greedy"), oninput: (x) => save({ temperature: x }) });
    const tops = slider("top-k", { min: 0, max: KS.length, step: 1, value: 0, show: () => (get("top_k") === null ? "off" : thousands(get("top_k"))), oninput: (i) => save({ top_k: KS[i] ?? null }) });
    const mass = slider("top-p", { min: 0.01, max: 1, step: 0.01, value: 1, show: (p) => (p === 1 ? "off" : format(p)), oninput: (p) => save({ top_p: p === 1 ? null : p }) });
    const bars = barList(take), tail = tailChart(), line = numberLine(), lens = lensTable(), attention = h("div");
    const more = button("", () => { many = !many; redraw(); }), keep = h("select", {}, ["cuts off", "keeps"].map((said) => h("option", {}, `${said} what follows it`)));
    const unfold = (said, ...inside) => h("details", { ontoggle: redraw }, h("summary", {}, said), inside);
    const lensed = unfold("Logit lens: what each layer would say here", about, lens.element), attended = unfold("Attention of every layer and head, for this text", attention);
    const root = h("div", { class: "ug ug-gpt" }, h("h4", { class: "ug-title" }, "A language model, on your own words"),
      h("p", { class: "ug-caption" }, "Each token shows the probability that the model gave it, knowing the tokens before it. Choose a place to see what could stand there."),
      words, h("div", { class: "ug-bar under" }, count, measure), limit, loader, failed, strip.element, probabilityScale(), bar(go, step, again, undo, h("label", {}, "seed", seed)), says,
      heading, h("div", { class: "ug-bar sliders" }, heat.element, tops.element, mass.element, button("Reset", () => save({ temperature: 1, top_k: null, top_p: null }))), summary,
      h("div", { class: "views" }, h("div", {}, h("div", { class: "heads", "aria-hidden": "true" }, ["rank", "token", "", "model", "drawn"].map((said) => h("span", {}, said))), bars.element, bar(more, h("label", {}, "choosing a token", keep))),
        h("div", {}, tail.element, h("p", { class: "key" }, h("i"), " as the model gives it ", h("i"), " after the sliders"), line.element)),
      lensed, attended, bar(saveButton(() => gptPicture(shownNow()), "live-gpt")));
    el.append(root);
    const off = (node, is) => node.setAttribute("aria-disabled", String(is)), say = (...said) => says.replaceChildren(...said);
    const number = (kind, value, said = thousands(value)) => h("b", { "data-number": kind, "data-value": value }, said), quoted = (id) => ["“", isolate(name(id)), "”"];

    // ------------------------------------------------------------ the model
    /** Have the model, then go on; of several wishes while it comes, the last. */
    async function withModel(then) {
      if (live) return then();
      wanted = then;
      if (loading) return;
      loading = true;
      failed.textContent = "";
      progress(0);
      redraw();
      try {
        const known = new LiveText(await loadModel(model, { onProgress: progress }));
        known.read(reading.ids);
        [live, reading, lensOf] = [known.live, known];
      } catch (error) {
        failed.textContent = `The model could not be loaded (${error?.message ?? error}). The tokens are still the example’s.`;
      }
      loading = false;
      progress(0);
      redraw();
      if (live && !gone) wanted();
    }
    function progress(share) {
      loader.hidden = Boolean(live);
      meter.hidden = !loading;
      meter.value = share;
      fetch.textContent = loading ? `Loading ${megabytes} MB: ${Math.round(100 * share)}\u00a0%` : `${failed.textContent ? "Try again to load" : "Load"} the model (${megabytes} MB)`;
      off(fetch, loading);
    }

    /** The reader's text, as far as the model can read. */
    function readText(now) {
      const ids = [live.tokenizer.special[START], ...live.tokenizer.encode(now)];
      undone.length = 0;
      put(ids.slice(0, room), { now, rest: live.tokenizer.decode(ids.slice(room)) });
    }

    /** These are the tokens from now on; `own` is the place of one that the model drew. */
    function put(ids, { now = live.tokenizer.decode(ids.slice(1)), rest = "", at = null, own = 0 } = {}) {
      const before = reading.ids, changed = ids.findIndex((id, i) => id !== before[i]);
      for (const one of made) if (one >= ids.length || (changed >= 0 && one >= changed)) made.delete(one);
      if (own) made.add(own);
      [text, dropped] = [now, rest];
      if (words.value !== now) words.value = now;
      reading.read(ids);
      if (!running) save({ text, place: at });
      redraw();
    }
    const remember = () => undone.push({ ids: reading.ids, now: text, rest: dropped });
    function takeBack() {
      if (!undone.length || running) return;
      const before = undone.pop();
      put(before.ids, before);
      say("Undone.");
    }

    // ------------------------------------------------------------ generating
    /** The random number of a place: the same seed has the same for it, whatever was tried before. */
    function numberOf(at) {
      if (seedOf !== get("seed")) [seedOf, next, numbers] = [get("seed"), randomNumbers(get("seed")), []];
      while (numbers.length < at) numbers.push(next());
      return numbers[at - 1];
    }

    function run(most) {
      running = null;
      withModel(async () => {
        const from = reading.ids.length, mine = (running = {}), start = performance.now();
        let why = "";
        remember();
        began = reading.ids;
        model.set("place", null);
        for (let n = 0; n < most && running === mine && !mine.over; n++) {
          const { ids } = reading, at = ids.length, chances = forecast(reading.logits(at - 1), sampling()), id = pick(chances.drawn, numberOf(at));
          if (at >= room) why = full();
          else if (isSign(id)) why = ` Here the model ended the text: it drew “${name(id)}”, probability ${chance(chances.own(id))}.`;
          if (why) break;
          put([...ids, id], { own: at });
          words.scrollTop = words.scrollHeight;
          if (most > 1) await new Promise(requestAnimationFrame);
        }
        // The reader has gone on to something else.
        if (gone || running !== mine) return;
        running = null;
        const written = reading.ids.slice(from), rate = Math.round((1000 * written.length) / (performance.now() - start));
        if (!written.length) undone.pop();
        say(`${plural(written.length, "token")} drawn${written.length > 9 ? `, ${rate} a second` : ""}.`, why, h("span", { class: "ug-hidden" }, written.length ? ` The model wrote: ${live.tokenizer.decode(written)}` : ""));
        save({ text });
        redraw();
      });
    }
    const full = () => ` The model has room for ${room} tokens, the start among them, and no more.`;

    /** The last generation once more, with the next seed. */
    function repeat() {
      if (!began || running) return;
      save({ seed: (get("seed") + 1) % 2 ** 32 });
      put(began);
      run(Infinity);
    }

    /** Another token at the place that is shown. */
    function take(id) {
      running = null;
      const at = place();
      withModel(() => {
        const { ids } = reading, rest = keep.selectedIndex ? ids.slice(at + 1) : [];
        if (isSign(id)) return say(...quoted(id), " stands between texts: none goes on after it.");
        if (at >= room) return say(full());
        remember();
        put([...ids.slice(0, at), id, ...rest], { at: rest.length ? at : null });
        say(...quoted(id), ` now stands at place ${at}${rest.length || at >= ids.length - 1 ? "." : ", and the text ends there."}`);
      });
    }

    // ------------------------------------------------------------ drawing
    function recolour() {
      [colours, lensOf] = [palette(root)];
      root.style.setProperty("--av-scale", `linear-gradient(to right, ${colours.fills.filter((_, i) => i % 15 === 0)})`);
      draw();
    }

    function draw() {
      if (!colours) return;
      const { ids } = reading, at = place(), here = ids[at] ?? null, settings = sampling(), { temperature, topK, topP } = settings;
      go.textContent = running ? "Stop" : "Generate";
      off(undo, !undone.length || Boolean(running));
      off(again, !began || Boolean(running));
      strip.element.classList.toggle("stale", loading && words.value !== text);
      strip.draw(reading, at, made, colours);
      tell(ids);
      cast = forecast(reading.logits(at - 1), settings);
      heat.set(temperature);
      tops.set(topK === null ? KS.length : KS.findLastIndex((k) => k <= topK));
      mass.set(topP ?? 1);
      seed.value = String(get("seed"));
      const rank = 1 + cast.order.indexOf(here);
      heading.replaceChildren(`Place ${at}: `, ...(here === null ? ["what comes next"] : [...quoted(here), ", to which the model gave ", number("here", cast.own(here), chance(cast.own(here), 4)), ", rank ", number("rank", rank)]));
      summary.replaceChildren("Kept: ", number("kept", cast.kept), ` of ${thousands(cast.order.length)} tokens, with `, number("share", cast.share, percentOf(cast.share)),
        ` of the probability${temperature === 1 || cast.greedy ? "" : ` at temperature ${format(temperature)}`}.`, reading.kept ? ` The example names the ${reading.kept} likeliest.` : "");
      bars.draw(reading, cast, here, many ? MANY : FEW);
      more.textContent = many ? "Fewer" : `${MANY} tokens`;
      tail.draw(cast, settings);
      line.draw(reading, cast, numberOf(at), get("seed"), at);
      unfolded(ids, at, here);
    }

    /** How long the text is, and how well the model foresaw it. */
    function tell({ length }) {
      const bits = range(length - 1).reduce((sum, i) => sum - Math.log2(reading.probability(i + 1)), 0), each = bits / (length - 1), perByte = bits / new TextEncoder().encode(text).length;
      count.replaceChildren(number("tokens", length - 1), ` of ${room - 1} tokens`);
      measure.replaceChildren(...(length > 1 && !dropped ? [number("bits", each, format(each)), " bits a token, ", number("per-byte", perByte, format(perByte)), " bits a byte"] : []));
      limit.hidden = length < room;
      limit.replaceChildren(full(), ...(dropped ? [" Not read: “", isolate(short(dropped, 60)), "”."] : []));
    }

    /** Lens and attention, when they are open; attention once nothing has changed for a while. */
    function unfolded(ids, at, here) {
      if (lensed.open && lensOf !== `${ids} ${at}`) {
        const id = here ?? cast.order[0];
        about.replaceChildren("What each block leaves, read as if it were the last. On the right ", ...quoted(id), here === null ? ", the likeliest." : ", which stands here.");
        lens.draw(reading, at, id, colours);
        lensOf = `${ids} ${at}`;
      }
      clearTimeout(waiting);
      if (!attended.open || running) return;
      const key = String(ids);
      if (drawn === key) return looks.token === at - 1 || followed.set("token", at - 1);
      waiting = setTimeout(() => {
        stopDrawing?.();
        attention.replaceChildren();
        looks.token = at - 1;
        stopDrawing = drawAttention({ model: (followed = attentionOf(reading, looks)), el: attention });
        drawn = key;
      }, drawn ? PAUSE : 0);
    }

    /** All that is shown, for the picture that is saved. */
    const shownNow = () => ({ reading, place: place(), cast, colours, heading: heading.textContent, rows: many ? MANY : FEW,
      settings: `temperature ${format(get("temperature"))}, top-k ${get("top_k") ?? "off"}, top-p ${get("top_p") ?? "off"}. ${summary.textContent}` });

    words.value = text;
    progress(0);
    const hear = () => { if (get("text") !== text && !running) withModel(() => readText(get("text")), (words.value = get("text"))); };
    const stops = [onWidth(root, recolour), onTheme(recolour), follow(model, ["temperature", "top_k", "top_p", "seed", "place"], () => running || redraw()), follow(model, ["text"], hear),
      () => { gone = true; running = null; clearTimeout(waiting); stopDrawing?.(); }];
    hear();
    return () => { for (const stop of stops) stop(); };
  },
};

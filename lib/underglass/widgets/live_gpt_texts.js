// What LiveGPT knows of a text: carried from Python for the example (packed as live_gpt_example.py
// says), computed in the page for any other. Both answer the same questions:
//
//   ids, names              tokens with the sign that begins a text, and what each is called
//   logits(position)        of the token that comes after it
//   probability(position)   that the model gave the token there, the sign excepted
//   lens(position, id)      for each stage: the likeliest tokens, and p and rank of token `id`
//   attention()             what AttentionView's drawing takes

// Tokens that the lens names.
const BEST = 5;

class ExampleText {
  constructor(get) {
    const known = get("_example"), view = get("_numbers"), places = known.ids.length;
    let at = view.byteOffset;
    const take = (Kind, ...shape) => new Kind(view.buffer.slice(at, (at += shape.reduce((a, b) => a * b) * Kind.BYTES_PER_ELEMENT)));
    Object.assign(this, known, { called: new Map(known.named.map((id, i) => [id, known.names[i]])) });
    this.candidates = take(Uint16Array, places, this.kept);
    this.scores = take(Float32Array, places, this.kept);
    this.rest = take(Float32Array, places, this.groups);
    this.chances = take(Float32Array, places);
    this.lensed = take(Uint16Array, places, this.stages, this.best);
    this.lensed_p = take(Float32Array, places, this.stages, this.best);
    this.told = take(Float32Array, places, this.stages, 2);
    this.weights = new DataView(view.buffer, at, 2 * (this.stages - 1) * this.heads * places ** 2);
  }

  name(id) { return this.called.get(id) ?? null; }
  probability(position) { return this.chances[position]; }

  /** One logit for every token; those that are not carried get their group's, in any order. */
  logits(position) {
    const { kept, groups, vocab } = this, logits = new Float32Array(vocab).fill(NaN), others = vocab - kept;
    // Split as torch splits.
    const rest = range(groups).flatMap((g) => Array(Math.floor(others / groups) + (g < others % groups ? 1 : 0)).fill(this.rest[position * groups + g]));
    for (let i = position * kept; i < (position + 1) * kept; i++) logits[this.candidates[i]] = this.scores[i];
    logits.forEach((x, id) => { if (Number.isNaN(x)) logits[id] = rest.pop(); });
    return logits;
  }

  lens(position) {
    return range(this.stages).map((stage) => {
      const row = position * this.stages + stage, at = row * this.best;
      return { best: range(this.best).map((i) => ({ id: this.lensed[at + i], p: this.lensed_p[at + i] })), p: this.told[2 * row], rank: this.told[2 * row + 1] };
    });
  }

  attention() { return { shape: [this.stages - 1, this.heads, this.ids.length, this.ids.length], weights: this.weights }; }
}

class LiveText {
  /** @param {any} live what loadModel gave */
  constructor(live) {
    Object.assign(this, { live, session: live.gpt.start(), stages: live.gpt.config.num_layers + 1 });
  }

  get ids() { return [...this.session.ids]; }
  name(id) { return this.live.tokenizer.piece(id); }
  logits(position) { return this.session.logits(position); }
  probability(position) { return this.session.probability(position); }

  read(ids) { this.session.update(ids); }

  lens(position, id) {
    return range(this.stages).map((stage) => {
      const { order, full } = nextToken(this.session.lens(stage, position));
      return { best: order.slice(0, BEST).map((id) => ({ id, p: full[id] })), p: full[id], rank: order.indexOf(id) + 1 };
    });
  }

  attention() {
    const layers = this.session.weights(), n = this.session.length, heads = layers[0].length, weights = new DataView(new ArrayBuffer(2 * layers.length * heads * n * n));
    layers.flat().forEach((matrix, i) => matrix.forEach((w, j) => weights.setUint16(2 * (i * n * n + j), Math.round(65535 * Math.min(1, w)), true)));
    return { shape: [layers.length, heads, n, n], weights };
  }
}

/** What the sliders make of the logits of one place. */
function forecast(logits, { temperature, topK, topP }) {
  const { probabilities, kept, full, order: falling } = nextToken(logits, { temperature, topK, topP }), total = logSumOfExponentials(logits);
  // How many top-k alone would keep.
  const byK = topK === null ? logits.length : topP === null ? kept : nextToken(logits, { temperature, topK }).kept;
  // At 0 all but one are equal.
  const order = temperature ? falling : nextToken(logits).order;
  let share = 0;
  for (let i = 0; i < kept; i++) share += full[order[i]];
  return { drawn: probabilities, heated: full, order, kept, byK: temperature ? byK : 1, share: kept === order.length ? 1 : share, own: (id) => Math.exp(logits[id] - total), greedy: temperature === 0 };
}

/** The stand-in for a model that AttentionView's drawing follows; `looks` keeps what is enlarged. */
function attentionOf(reading, looks) {
  const { shape, weights } = reading.attention(), heard = [];
  Object.assign(looks, { _weights: weights, _sentences: [{ shape, tokens: reading.ids.map((id) => reading.name(id)), key_tokens: null }] });
  return { get: (name) => looks[name], on: (event, tell) => heard.push([event, tell]), off() {}, save_changes() {},
    set(name, value) { looks[name] = value; for (const [event, tell] of heard) if (event === `change:${name}`) tell(); } };
}

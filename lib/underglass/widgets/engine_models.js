// The course's GPT and BERT. Names of weights are those of PyTorch: blocks.0.attention.q_proj.weight.
//
//   gpt.start() -> session          a text that grows and is cut back; keys and values are kept
//     session.extend(ids)           append tokens; RangeError beyond config.max_len, or for an unknown id
//     session.truncate(n)           forget all but the first n tokens
//     session.update(ids)           make these the tokens: only from the first changed one on is computed again
//     session.ids, session.length
//     session.logits(position)      Float32Array[vocab_size]: what comes after the token at `position`
//     session.probability(position) what the model gave the token at `position`, from 1 on
//     session.weights()             [layer][head] Float32Array, the rows of [q k], zeros where k > q
//     session.lens(layer, position) logits if the model ended after `layer` blocks; 0: after the embedding
//   bert.run(ids) -> { ids, logits(position), weights() }
//   both: .config, as in Python: vocab_size, max_len, d_model, num_layers, num_heads, d_ff, eps, activation
//
// What logits, lens and weights return is kept by the session: copy it before you change it.

const ACTIVATIONS = { gelu, gelu_tanh: geluTanh };

/** What both models have: tables, blocks, and room for what a block computes with. */
class Transformer {
  /** @param {{ config: Object, table: (name: string) => Table, linear: (name: string) => Linear, norm: (name: string) => Object }} weights @param {string} prefix */
  constructor({ config, table, linear, norm }, prefix) {
    this.config = config;
    this.activate = ACTIVATIONS[config.activation];
    [this.tokens, this.positions] = [table(`${prefix}tokens`), table(`${prefix}positions`)];
    this.norm = norm(`${prefix}norm`);
    this.blocks = Array.from({ length: config.num_layers }, (_, i) => {
      const at = (name) => `${prefix}blocks.${i}.${name}`;
      const [query, key, value, out] = ["q", "k", "v", "out"].map((name) => linear(at(`attention.${name}_proj`)));
      return { query, key, value, out, widen: linear(at("feed_forward.in_proj")), narrow: linear(at("feed_forward.out_proj")),
        before: norm(at("attention_norm")), between: norm(at("feed_forward_norm")) };
    });
  }

  /** Room for `count` positions: normed x, queries, what attention gives, what is added, the wide vectors, scores. */
  room(count) {
    const { d_model, d_ff, max_len } = this.config, vectors = () => new Float32Array(count * d_model);
    return { normed: vectors(), query: vectors(), mixed: vectors(), added: vectors(), wide: new Float32Array(count * d_ff), scores: new Float64Array(max_len) };
  }

  /** Vectors of tokens and of their places, from position `past` on, into x. */
  embed(ids, past, x) {
    const { d_model, max_len, vocab_size } = this.config;
    if (past + ids.length > max_len) throw new RangeError(`${past + ids.length} tokens: expected at most max_len=${max_len}`);
    const strange = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocab_size);
    if (strange !== undefined) throw new RangeError(`id=${strange}: expected 0 to ${vocab_size - 1}`);
    x.fill(0, 0, ids.length * d_model);
    ids.forEach((id, i) => {
      this.tokens.addRow(id, x, i * d_model);
      this.positions.addRow(past + i, x, i * d_model);
    });
  }

  /**
   * softmax(q k / sqrt(d_head)) v of each head, into room.mixed.
   * @param {number} count queries, the first at position `past`
   * @param {Float32Array} keys @param {Float32Array} values of all positions
   * @param {(query: number) => number} seen how many keys a query may look at
   * @param {(query: number, head: number) => Float32Array} rowOf where its weights go
   */
  attend(room, count, keys, values, seen, rowOf) {
    const { d_model, num_heads } = this.config, size = d_model / num_heads, { query, mixed, scores } = room, factor = 1 / Math.sqrt(size);
    mixed.fill(0, 0, count * d_model);
    for (let i = 0; i < count; i++) {
      const end = seen(i);
      for (let head = 0; head < num_heads; head++) {
        const at = i * d_model + head * size;
        for (let k = 0, from = head * size; k < end; k++, from += d_model) {
          // Two sums: neither waits for the other.
          let a = 0, b = 0;
          for (let j = 0; j < size; j += 2) {
            a += query[at + j] * keys[from + j];
            b += query[at + j + 1] * keys[from + j + 1];
          }
          scores[k] = (a + b) * factor;
        }
        softmaxInPlace(scores, 0, end);
        const weights = rowOf(i, head);
        weights.set(scores.subarray(0, end));
        let k = 0, from = head * size;
        // Four values at a time: mixed is fetched once for all four.
        for (; k + 4 <= end; k += 4, from += 4 * d_model) {
          const a = scores[k], b = scores[k + 1], c = scores[k + 2], d = scores[k + 3];
          for (let j = 0, v = from; j < size; j++, v++) mixed[at + j] += a * values[v] + b * values[v + d_model] + c * values[v + 2 * d_model] + d * values[v + 3 * d_model];
        }
        for (; k < end; k++, from += d_model) for (let j = 0; j < size; j++) mixed[at + j] += scores[k] * values[from + j];
      }
    }
  }

  /** W_out f(W_in x) of `count` vectors, into room.added. */
  feedForward({ widen, narrow }, x, count, { wide, added }) {
    widen.apply(x, count, wide);
    this.activate(wide, count * widen.rows);
    narrow.apply(wide, count, added);
  }
}

const addTo = (x, added, length) => { for (let i = 0; i < length; i++) x[i] += added[i]; };

class GPT extends Transformer {
  constructor(weights) {
    super(weights, "");
    // The table serves twice.
    this.output = weights.linear("tokens", null);
  }

  start() { return new Session(this); }
}

/** One text that a GPT reads. */
class Session {
  constructor(gpt) {
    const { num_layers, num_heads, max_len, d_model } = gpt.config, vectors = () => new Float32Array(max_len * d_model);
    this.gpt = gpt;
    this.ids = [];
    // The residual stream: after the embedding, and after each block.
    this.stream = Array.from({ length: num_layers + 1 }, vectors);
    this.keys = Array.from({ length: num_layers }, vectors);
    this.values = Array.from({ length: num_layers }, vectors);
    // [layer][head][query]: its weights. Then for each position its logits, the logarithm of the sum
    // of their exponentials, and [layer][position]: the lens.
    this.looked = Array.from({ length: num_layers }, () => Array.from({ length: num_heads }, () => []));
    [this.said, this.spread, this.shown] = [[], [], []];
    this.room = null;
  }

  get length() { return this.ids.length; }

  extend(ids) {
    const { gpt, stream } = this, { d_model, num_layers, vocab_size } = gpt.config, past = this.length, count = ids.length, size = count * d_model;
    if (!count) return;
    if (!this.room || this.room.added.length < size) this.room = gpt.room(count);
    gpt.embed(ids, past, stream[0].subarray(past * d_model));
    for (let layer = 0; layer < num_layers; layer++) this.block(layer, past, count);
    const logits = gpt.output.apply(layerNorm(stream[num_layers].subarray(past * d_model), count, gpt.norm, this.room.normed), count, new Float32Array(count * vocab_size));
    for (let i = 0; i < count; i++) this.said.push(logits.slice(i * vocab_size, (i + 1) * vocab_size));
    this.ids.push(...ids);
  }

  /** y = x + attention(norm(x)); y + feed_forward(norm(y)), for the positions from `past` on. */
  block(layer, past, count) {
    const { gpt, stream, room } = this, { d_model } = gpt.config, block = gpt.blocks[layer], from = past * d_model, size = count * d_model;
    const x = stream[layer + 1].subarray(from, from + size);
    x.set(stream[layer].subarray(from, from + size));
    layerNorm(x, count, block.before, room.normed);
    block.query.apply(room.normed, count, room.query);
    block.key.apply(room.normed, count, this.keys[layer].subarray(from));
    block.value.apply(room.normed, count, this.values[layer].subarray(from));
    gpt.attend(room, count, this.keys[layer], this.values[layer], (i) => past + i + 1, (i, head) => (this.looked[layer][head][past + i] = new Float32Array(past + i + 1)));
    addTo(x, block.out.apply(room.mixed, count, room.added), size);
    layerNorm(x, count, block.between, room.normed);
    gpt.feedForward(block, room.normed, count, room);
    addTo(x, room.added, size);
  }

  truncate(n) {
    if (!(n >= 0)) throw new RangeError(`n=${n}: expected how many tokens to keep`);
    if (n >= this.length) return;
    for (const kept of [this.ids, this.said, this.spread, ...this.looked.flat()]) kept.length = Math.min(kept.length, n);
    for (const lens of this.shown) if (lens) lens.length = Math.min(lens.length, n);
  }

  update(ids) {
    let same = 0;
    while (same < this.length && same < ids.length && ids[same] === this.ids[same]) same++;
    this.truncate(same);
    this.extend(ids.slice(same));
  }

  logits(position) {
    this.check(position);
    return this.said[position];
  }

  probability(position) {
    this.check(position);
    if (position < 1) throw new RangeError("position=0: expected 1 or more, for nothing is said of the first token");
    const logits = this.said[position - 1];
    this.spread[position - 1] ??= logSumOfExponentials(logits);
    return Math.exp(logits[this.ids[position]] - this.spread[position - 1]);
  }

  weights() {
    const n = this.length;
    return this.looked.map((heads) => heads.map((rows) => {
      const square = new Float32Array(n * n);
      rows.forEach((row, i) => square.set(row, i * n));
      return square;
    }));
  }

  lens(layer, position) {
    this.check(position);
    const { gpt, stream } = this, { d_model, num_layers, vocab_size } = gpt.config;
    if (!stream[layer]) throw new RangeError(`layer=${layer}: expected 0 to ${num_layers}`);
    if (layer === num_layers) return this.said[position];
    const kept = (this.shown[layer] ??= []);
    kept[position] ??= gpt.output.apply(layerNorm(stream[layer].subarray(position * d_model), 1, gpt.norm, new Float32Array(d_model)), 1, new Float32Array(vocab_size));
    return kept[position];
  }

  check(position) {
    if (position in this.ids) return;
    throw new RangeError(`position=${position}: expected ${this.length ? `0 to ${this.length - 1}` : "a position, but the text is empty"}`);
  }
}

function logSumOfExponentials(x) {
  let most = -Infinity, sum = 0;
  for (const value of x) if (value > most) most = value;
  for (const value of x) sum += Math.exp(value - most);
  return most + Math.log(sum);
}

/** Masked language model: every token looks at every other. */
class BERT extends Transformer {
  constructor(weights) {
    super(weights, "bert.");
    this.segments = weights.table("bert.segments");
    this.transform = weights.linear("transform");
    this.transformNorm = weights.norm("norm");
    this.output = weights.linear("bert.tokens", "bias");
  }

  run(ids) {
    const { d_model, num_layers, num_heads, vocab_size } = this.config, count = ids.length, size = count * d_model, room = this.room(count);
    let x = new Float32Array(size);
    const y = new Float32Array(size), keys = new Float32Array(size), values = new Float32Array(size);
    this.embed(ids, 0, x);
    for (let i = 0; i < size; i += d_model) this.segments.addRow(0, x, i);
    x = layerNorm(x, count, this.norm);
    const weights = Array.from({ length: num_layers }, () => Array.from({ length: num_heads }, () => new Float32Array(count * count)));
    // y = norm(x + attention(x)); x = norm(y + feed_forward(y))
    this.blocks.forEach((block, layer) => {
      block.query.apply(x, count, room.query);
      this.attend(room, count, block.key.apply(x, count, keys), block.value.apply(x, count, values), () => count, (i, head) => weights[layer][head].subarray(i * count, (i + 1) * count));
      addTo(x, block.out.apply(room.mixed, count, room.added), size);
      layerNorm(x, count, block.before, y);
      this.feedForward(block, y, count, room);
      addTo(y, room.added, size);
      layerNorm(y, count, block.between, x);
    });
    const said = [];
    const logits = (position) => {
      if (!(position in ids)) throw new RangeError(`position=${position}: expected 0 to ${count - 1}`);
      if (!said[position]) {
        const hidden = this.transform.apply(x.subarray(position * d_model), 1, new Float32Array(d_model));
        this.activate(hidden, d_model);
        said[position] = this.output.apply(layerNorm(hidden, 1, this.transformNorm), 1, new Float32Array(vocab_size));
      }
      return said[position];
    };
    return { ids: [...ids], logits, weights: () => weights };
  }
}

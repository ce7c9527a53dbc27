// From logits to one token, as underglass.generation.sampling does it.
//
//   nextToken(logits, { temperature, topK, topP, minP }) ->
//     { probabilities: Float64Array, 0 where cut; kept: count; full: Float64Array, before anything is cut;
//       order: ids by falling probability before cutting, so that those kept come first }
//     temperature 0 leaves the likeliest token alone, in `full` too
//   pick(probabilities, u) -> the first id whose probability, added to those before it, exceeds u
//   randomNumbers(seed) -> a function that gives another u from 0 up to, but not including, 1 each time

/** @param {Float32Array} logits @param {{ temperature?: number, topK?: number|null, topP?: number|null, minP?: number|null }} [options] */
function nextToken(logits, { temperature = 1, topK = null, topP = null, minP = null } = {}) {
  checkSampling(temperature, topK, topP, minP);
  // Single precision, as in Python, so that what is equal there is equal here.
  const best = logits.reduce((at, value, id) => (value > logits[at] ? id : at), 0), greedy = temperature < 1.17549435e-38;
  const scaled = logits.map((value, id) => (greedy ? (id === best ? 0 : -Infinity) : Math.fround(value - logits[best]) / Math.fround(temperature)));
  const order = Array.from(scaled.keys()).sort((a, b) => scaled[b] - scaled[a] || a - b), full = softmax(scaled);
  let kept = greedy ? 1 : order.length;
  // The order is falling: what is out, is out from there on.
  const cutAt = (isOut) => {
    const at = order.findIndex((id, i) => i > 0 && i < kept && isOut(scaled[id], i));
    if (at > 0) kept = at;
  };
  if (!greedy && topK !== null) {
    const least = scaled[order[Math.min(topK, kept) - 1]];
    // Those as likely as the k-th stay.
    cutAt((value) => value < least);
  }
  if (!greedy && topP !== null && topP < 1) {
    let total = 0, before = 0;
    for (let i = 0; i < kept; i++) total += full[order[i]];
    cutAt((_, i) => Math.fround((before += full[order[i - 1]]) / total) >= Math.fround(topP));
  }
  if (!greedy && minP) {
    const least = Math.fround(Math.log(minP));
    cutAt((value) => value < least);
  }
  const left = scaled.map(() => -Infinity);
  for (const id of order.slice(0, kept)) left[id] = scaled[id];
  return { probabilities: softmax(left), kept, order, full };
}

function softmax(logits) {
  const x = Float64Array.from(logits);
  softmaxInPlace(x, 0, x.length);
  return x;
}

function pick(probabilities, u) {
  const sums = Float64Array.from(probabilities);
  for (let id = 1; id < sums.length; id++) sums[id] += sums[id - 1];
  // Times the last sum, which rounding may leave below 1.
  const chance = u * sums.at(-1);
  return sums.findIndex((sum) => sum > chance);
}

/** Marsaglia (2003), "Xorshift RNGs", section 4: four words of state; here mixed up from the seed, and 53 bits a number. */
function randomNumbers(seed) {
  let word = (Math.floor(seed / 2 ** 32) ^ seed) >>> 0;
  // Of Weyl's sequence, its bits well stirred: neighbouring seeds have nothing in common.
  const mixed = () => {
    word = (word + 0x9e3779b9) >>> 0;
    let z = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let [x, y, z, w] = [mixed(), mixed(), mixed(), mixed() | 1];
  const next = () => {
    const t = x ^ (x << 11);
    [x, y, z] = [y, z, w];
    w = (w ^ (w >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    return w;
  };
  // 27 and 26 bits.
  return () => ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
}

function checkSampling(temperature, topK, topP, minP) {
  if (!(temperature >= 0 && temperature < Infinity)) throw new RangeError(`temperature=${temperature}: expected a finite number of at least 0`);
  if (topK !== null && !(Number.isInteger(topK) && topK >= 1)) throw new RangeError(`topK=${topK}: expected a whole number of at least 1`);
  for (const [name, share] of Object.entries({ topP, minP })) {
    if (share !== null && !(share >= 0 && share <= 1)) throw new RangeError(`${name}=${share}: expected a share from 0 to 1`);
  }
}

// The arithmetic of the engine: matrices of 8-bit weights, norms, softmax. Rows lie one after the other.
//
//   floatOf16(bits)                   a float16, given as its 16 bits, as a number
//   Table(weights, scales)            8-bit rows with a scale each; .addRow(at, x, from)
//   Linear(machine, table, bias)      the same expanded, once, to be multiplied by; .apply(x, count, y)
//   layerNorm(x, count, norm, y)      count rows of x, normed, into y
//   softmaxInPlace(x, from, to)       x[from..to) as probabilities
//   gelu, geluTanh                    BERT's and GPT-2's activation

/** @param {number} bits */
function floatOf16(bits) {
  const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}

/** A table of vectors in 8 bits, one a row. */
class Table {
  /** @param {Int8Array} weights row after row  @param {Float32Array} scales one a row */
  constructor(weights, scales) {
    Object.assign(this, { weights, scales, columns: weights.length / scales.length });
  }

  /** Adds row `at` to what stands in x from `from` on. */
  addRow(at, x, from) {
    const { weights, columns } = this, scale = this.scales[at];
    for (let j = 0, i = at * columns; j < columns; j++, i++) x[from + j] += weights[i] * scale;
  }
}

/** y = W x + b, for one vector or for several at once. Both sizes of W are multiples of 4. */
class Linear {
  /** @param {Machine} machine @param {Table} table W  @param {Float32Array} [bias] */
  constructor(machine, { weights, scales, columns }, bias = new Float32Array(scales.length)) {
    this.machine = machine;
    [this.rows, this.columns] = [scales.length, columns];
    this.bias = machine.take(this.rows);
    this.bias.set(bias);
    this.weights = machine.take(weights.length); // in blocks of four rows by four columns: see engine_simd.js
    for (let row = 0, from = 0; row < this.rows; row++) {
      const scale = scales[row];
      let to = (row - (row % 4)) * columns + 4 * (row % 4);
      for (let j = 0; j < columns; j += 4, to += 16) for (let k = 0; k < 4; k++, from++) this.weights[to + k] = weights[from] * scale;
    }
  }

  /** Into y, `count` rows of as many numbers as W has rows. @param {Float32Array} x @param {number} count @param {Float32Array} y */
  apply(x, count, y) {
    if (!this.machine.apply(this.weights, this.bias, x, count, y, this.columns)) for (let at = 0; at < count; at++) this.plainly(x, at, y);
    return y;
  }

  /** The same in JavaScript, for vector `at`. */
  plainly(x, at, y) {
    const { weights: w, bias, rows, columns } = this, from = at * columns, to = at * rows, end = from + columns;
    for (let row = 0, i = 0; row < rows; row += 4) {
      let a = bias[row], b = bias[row + 1], c = bias[row + 2], d = bias[row + 3];
      for (let j = from; j < end; j += 4, i += 16) {
        const p = x[j], q = x[j + 1], r = x[j + 2], s = x[j + 3];
        a += p * w[i] + q * w[i + 1] + r * w[i + 2] + s * w[i + 3];
        b += p * w[i + 4] + q * w[i + 5] + r * w[i + 6] + s * w[i + 7];
        c += p * w[i + 8] + q * w[i + 9] + r * w[i + 10] + s * w[i + 11];
        d += p * w[i + 12] + q * w[i + 13] + r * w[i + 14] + s * w[i + 15];
      }
      [y[to + row], y[to + row + 1], y[to + row + 2], y[to + row + 3]] = [a, b, c, d];
    }
  }
}

/** (x - mean) / sqrt(variance + eps) * weight + bias, row by row. @param {{ weight: Float32Array, bias: Float32Array, eps: number }} norm */
function layerNorm(x, count, { weight, bias, eps }, y = new Float32Array(x.length)) {
  const n = weight.length;
  for (let from = 0; from < count * n; from += n) {
    let sum = 0, squares = 0;
    for (let i = 0; i < n; i++) sum += x[from + i];
    const middle = sum / n;
    for (let i = 0; i < n; i++) squares += (x[from + i] - middle) ** 2;
    const factor = 1 / Math.sqrt(squares / n + eps);
    for (let i = 0; i < n; i++) y[from + i] = (x[from + i] - middle) * factor * weight[i] + bias[i];
  }
  return y;
}

function softmaxInPlace(x, from, to) {
  let most = -Infinity, sum = 0;
  for (let i = from; i < to; i++) if (x[i] > most) most = x[i];
  for (let i = from; i < to; i++) sum += x[i] = Math.exp(x[i] - most);
  for (let i = from; i < to; i++) x[i] /= sum;
}

/** GPT-2's: x/2 (1 + tanh u), with tanh u = 1 - 2 / (exp 2u + 1). In place. */
function geluTanh(x, count) {
  for (let i = 0; i < count; i++) {
    const v = x[i], u = 1.5957691216057308 * (v + 0.044715 * v * v * v); // 2 sqrt(2/pi) (...)
    x[i] = v - v / (Math.exp(u) + 1);
  }
}

/** BERT's: x times the share of a normal distribution below x. Abramowitz and Stegun, 7.1.26: off by 1.5e-7 at most. In place. */
function gelu(x, count) {
  for (let i = 0; i < count; i++) {
    const v = x[i], z = Math.abs(v) * Math.SQRT1_2, t = 1 / (1 + 0.3275911 * z);
    const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-z * z) / 2;
    x[i] = v < 0 ? v * tail : v - v * tail;
  }
}

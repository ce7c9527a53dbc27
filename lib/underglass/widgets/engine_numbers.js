// The arithmetic of the engine: matrices of 8-bit weights, norms, softmax. Rows lie one after the other.
//
//   floatOf16(bits)                   a float16, given as its 16 bits, as a number
//   Linear(weights, scales, bias)     8-bit rows with a scale each, expanded once; .apply(x, count, y)
//   layerNorm(x, count, norm, y)      count rows of x, normed, into y
//   softmaxInPlace(x, from, to)       x[from..to) as probabilities
//   gelu, geluTanh                    BERT's and GPT-2's activation

/** @param {number} bits */
function floatOf16(bits) {
  const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}

/** y = W x + b, for one vector or for several at once. */
class Linear {
  /** @param {Int8Array} weights row after row  @param {Float32Array} scales one a row  @param {Float32Array|null} bias */
  constructor(weights, scales, bias) {
    this.rows = scales.length;
    this.columns = weights.length / this.rows;
    this.weights = new Float32Array(weights.length);
    for (let row = 0, i = 0; row < this.rows; row++) {
      for (const end = i + this.columns, scale = scales[row]; i < end; i++) this.weights[i] = weights[i] * scale;
    }
    this.bias = bias ?? new Float32Array(this.rows);
  }

  /** One row: a token's vector, where the matrix is a table. */
  row(at) { return this.weights.subarray(at * this.columns, (at + 1) * this.columns); }

  /** Into y, `count` rows of as many numbers as W has rows. @param {Float32Array} x @param {number} count @param {Float32Array} y */
  apply(x, count, y) {
    let at = 0;
    for (; at + 2 <= count; at += 2) this.two(x, at, y);
    if (at < count) this.one(x, at, y);
    return y;
  }

  // Four rows of W at a time: a number of x is fetched once for all four. Sums are in double precision.
  one(x, at, y) {
    const { weights: w, bias, rows, columns: n } = this, from = at * n, to = at * rows;
    for (let row = 0, i = 0; row < rows; row += 4, i += 3 * n) {
      let a = 0, b = 0, c = 0, d = 0;
      for (let j = from, end = from + n; j < end; j++, i++) {
        const v = x[j];
        a += v * w[i];
        b += v * w[i + n];
        c += v * w[i + 2 * n];
        d += v * w[i + 3 * n];
      }
      y[to + row] = a + bias[row];
      y[to + row + 1] = b + bias[row + 1];
      y[to + row + 2] = c + bias[row + 2];
      y[to + row + 3] = d + bias[row + 3];
    }
  }

  two(x, at, y) {
    const { weights: w, bias, rows, columns: n } = this, from = at * n, to = at * rows;
    for (let row = 0, i = 0; row < rows; row += 4, i += 3 * n) {
      let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
      for (let j = from, end = from + n; j < end; j++, i++) {
        const u = x[j], v = x[j + n], w0 = w[i], w1 = w[i + n], w2 = w[i + 2 * n], w3 = w[i + 3 * n];
        a += u * w0;
        b += u * w1;
        c += u * w2;
        d += u * w3;
        e += v * w0;
        f += v * w1;
        g += v * w2;
        h += v * w3;
      }
      y[to + row] = a + bias[row];
      y[to + row + 1] = b + bias[row + 1];
      y[to + row + 2] = c + bias[row + 2];
      y[to + row + 3] = d + bias[row + 3];
      y[to + rows + row] = e + bias[row];
      y[to + rows + row + 1] = f + bias[row + 1];
      y[to + rows + row + 2] = g + bias[row + 2];
      y[to + rows + row + 3] = h + bias[row + 3];
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

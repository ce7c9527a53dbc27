// Products of matrices with four numbers an instruction: WebAssembly with SIMD, written out here.
// About 25 times as fast as the same loop in JavaScript, in a kilobyte. Where a page may not run
// WebAssembly, or a browser has no SIMD, everything goes on in JavaScript (see engine_numbers.js).
//
//   new Machine(size, rows, columns)    room for `size` numbers of weights; the most rows and columns of a matrix
//     .take(count)                      the next `count` numbers of that room, a Float32Array
//     .apply(weights, bias, x, count, y, columns)   y = W x + b for `count` vectors; false where it cannot
//
// Weights lie in blocks of four rows by four columns, so that the loop reads straight on:
//   w00 w01 w02 w03  w10 w11 w12 w13  w20 ... w33  w04 w05 ...

// So many vectors are carried to the machine's memory at once; so many bytes are a page of it.
const BATCH = 16, PAGE = 65536;

// The few instructions that the loop needs, by their names in WebAssembly's text format.
const unsigned = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...unsigned(n >>> 7)]);
const local = { get: (i) => [0x20, ...unsigned(i)], set: (i) => [0x21, ...unsigned(i)], tee: (i) => [0x22, ...unsigned(i)] };
// (a number from 64 on takes two bytes there, for one bit is its sign)
const i32 = { const: (n) => [0x41, ...(n < 64 ? [n] : [(n & 127) | 128, n >> 7])], add: 0x6a, mul: 0x6c, shl: 0x74, lt_u: 0x49 };
const v128 = { load: (offset) => [0xfd, 0x00, 4, offset], store: [0xfd, 0x0b, 4, 0], zero: [0xfd, 0x0c, ...Array(16).fill(0)] };
const f32x4 = { add: [0xfd, 0xe4, 0x01], mul: [0xfd, 0xe6, 0x01], shuffle: (...lanes) => [0xfd, 0x0d, ...lanes.flatMap((at) => [4 * at, 4 * at + 1, 4 * at + 2, 4 * at + 3])] };
const loop = (...body) => [0x03, 0x40, ...body, 0x0d, 0, 0x0b]; // again, if the body leaves a number that is not 0
const I32 = 0x7f, V128 = 0x7b;

/** A function (x, weights, bias, y, rows, columns), all but the last two being addresses: W x + b for `count` vectors that lie one after the other. */
function productOf(count) {
  const [x, w, bias, y, rows, columns, wideX, wideY, end, at, stop] = Array(11).keys(), vectors = [...Array(count).keys()], four = [0, 1, 2, 3];
  const sum = (p, k) => 11 + 4 * p + k, part = (p) => 11 + 4 * count + p, weight = 11 + 5 * count;
  const forward = (pointer, bytes) => [local.get(pointer), i32.const(bytes), i32.add];
  const far = (pointer, stride, p) => [local.get(pointer), Array(p).fill([local.get(stride), i32.add])]; // pointer + p * stride
  const pairs = (a, b, low, high) => [local.get(a), local.get(b), f32x4.shuffle(...low), local.get(a), local.get(b), f32x4.shuffle(...high), f32x4.add];
  const code = [
    local.get(columns), i32.const(2), i32.shl, local.set(wideX),
    local.get(rows), i32.const(2), i32.shl, local.set(wideY),
    local.get(w), local.get(rows), local.get(wideX), i32.mul, i32.add, local.set(end),
    // Four rows at a time, and of them four columns.
    loop(
      vectors.map((p) => four.map((k) => [v128.zero, local.set(sum(p, k))])),
      local.get(x), local.tee(at), local.get(wideX), i32.add, local.set(stop),
      loop(
        vectors.map((p) => [far(at, wideX, p), v128.load(0), local.set(part(p))]),
        four.map((k) => [local.get(w), v128.load(16 * k), local.set(weight),
          vectors.map((p) => [local.get(sum(p, k)), local.get(weight), local.get(part(p)), f32x4.mul, f32x4.add, local.set(sum(p, k))])]),
        forward(w, 64), local.set(w),
        forward(at, 16), local.tee(at), local.get(stop), i32.lt_u,
      ),
      // Four sums of four numbers each become one vector of four.
      vectors.map((p) => [
        pairs(sum(p, 0), sum(p, 1), [0, 4, 1, 5], [2, 6, 3, 7]), local.set(sum(p, 0)),
        pairs(sum(p, 2), sum(p, 3), [0, 4, 1, 5], [2, 6, 3, 7]), local.set(sum(p, 2)),
        far(y, wideY, p), pairs(sum(p, 0), sum(p, 2), [0, 1, 4, 5], [2, 3, 6, 7]), local.get(bias), v128.load(0), f32x4.add, v128.store,
      ]),
      forward(bias, 16), local.set(bias),
      forward(y, 16), local.set(y),
      local.get(w), local.get(end), i32.lt_u,
    ),
  ];
  // Before the code, its own variables: five numbers, and vectors.
  return [2, 5, I32, 5 * count + 1, V128, code, 0x0b];
}

/** The module: two functions, for one vector and for two, over the memory that it is given. */
function machineCode() {
  const text = (name) => [name.length, ...[...name].map((letter) => letter.charCodeAt(0))];
  const sized = (...bytes) => { const flat = bytes.flat(Infinity); return [...unsigned(flat.length), ...flat]; };
  return Uint8Array.from([
    0, text("asm").slice(1), 1, 0, 0, 0,
    // Of types there is one: six numbers in, nothing out.
    1, sized(1, 0x60, 6, Array(6).fill(I32), 0),
    2, sized(1, text("page"), text("memory"), 2, 0, 1),
    3, sized(2, 0, 0),
    7, sized(2, text("one"), 0, 0, text("two"), 0, 1),
    10, sized(2, sized(productOf(1)), sized(productOf(2))),
  ].flat(Infinity));
}

class Machine {
  constructor(size, rows, columns) {
    this.x = 0;
    this.y = BATCH * columns;
    this.used = this.y + BATCH * rows;
    const bytes = 4 * (this.used + size);
    try {
      const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) });
      this.run = new WebAssembly.Instance(new WebAssembly.Module(machineCode()), { page: { memory } }).exports;
      this.numbers = new Float32Array(memory.buffer);
    } catch { // no SIMD, or a page that forbids it
      this.run = null;
      this.numbers = new Float32Array(bytes / 4);
    }
  }

  take(count) { return this.numbers.subarray(this.used, (this.used += count)); }

  apply(weights, bias, x, count, y, columns) {
    if (!this.run) return false;
    const { numbers } = this, rows = bias.length, tail = [weights.byteOffset, bias.byteOffset];
    for (let from = 0; from < count; from += BATCH) {
      const many = Math.min(BATCH, count - from);
      numbers.set(x.subarray(from * columns, (from + many) * columns), this.x);
      for (let i = 0; i < many; i += 2) {
        const run = i + 1 < many ? this.run.two : this.run.one;
        run(4 * (this.x + i * columns), ...tail, 4 * (this.y + i * rows), rows, columns);
      }
      y.set(numbers.subarray(this.y, this.y + many * rows), from * rows);
    }
    return true;
  }
}

// The data of training curves, and curves as lines, bands and marks. Joined after shared.js
// and scales.js (see frame.py); how the data is packed: histories.py.

const HEAD = 6; // words before the columns of a block

// ---------------------------------------------------------------- data

/** The blocks of one binary trait: the rows of one seed each. @param {DataView} view */
function decode(view) {
  if (!view?.byteLength) return [];
  const words = new Uint32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const floats = new Float32Array(words.buffer), blocks = [];
  for (let at = 0; at < words.length;) {
    const [seed, rows, checks, flags, first, stride] = words.subarray(at, at + HEAD);
    at += HEAD;
    const take = (all, count) => all.subarray(at, (at += count));
    const step = flags & 1 ? take(words, rows) : Float64Array.from({ length: rows }, (_, i) => first + i * stride);
    const loss = take(floats, rows), rate = flags & 2 ? take(floats, rows) : null, gradient = flags & 4 ? take(floats, rows) : null;
    blocks.push({ seed, rows, checks, step, loss, rate, gradient, validationStep: take(words, checks), validation: take(floats, checks) });
  }
  return blocks;
}

/** One column of a seed out of all of its blocks; null where none has it. */
function joined(blocks, name, length) {
  if (!blocks.some((block) => block[name])) return null;
  const column = new Float64Array(blocks.reduce((sum, block) => sum + block[length], 0)).fill(NaN);
  let at = 0;
  for (const block of blocks) {
    if (block[name]) column.set(block[name], at);
    at += block[length];
  }
  return column;
}

const alike = (a, b) => a === b || (a.length === b.length && a.every((x, i) => x === b[i]));

/** All steps of several increasing lists, increasing. */
function union(lists) {
  return [...new Set(lists)].reduce((a, b) => {
    if (alike(a, b)) return a;
    const all = new Float64Array(a.length + b.length);
    let n = 0;
    for (let i = 0, j = 0; i < a.length || j < b.length;) {
      const next = j >= b.length || a[i] <= b[j] ? a[i] : b[j];
      if (a[i] === next) i++;
      if (b[j] === next) j++;
      all[n++] = next;
    }
    return all.subarray(0, n);
  });
}

/**
 * The curve of several seeds: at each step the mean of those that have it, and the edges of both
 * bands. One seed is its own mean. A value that is not finite makes the mean so.
 * @param {{x: Float64Array, y: Float64Array}[]} seeds
 */
function together(seeds, steps) {
  if (seeds.length === 1) return { y: seeds[0].y };
  const empty = () => new Float64Array(steps.length).fill(NaN), at = seeds.map(() => 0);
  const [y, low, high, below, above, count] = [empty(), empty(), empty(), empty(), empty(), empty()];
  for (let i = 0; i < steps.length; i++) {
    let n = 0, sum = 0, square = 0, least = Infinity, most = -Infinity;
    seeds.forEach(({ x, y: values }, k) => {
      if (x[at[k]] !== steps[i]) return;
      const value = values[at[k]];
      n++;
      sum += value;
      least = Math.min(least, value);
      most = Math.max(most, value);
    });
    const mean = sum / n;
    seeds.forEach(({ x, y: values }, k) => { if (x[at[k]] === steps[i]) square += (values[at[k]++] - mean) ** 2; });
    const deviation = n > 1 ? Math.sqrt(square / (n - 1)) : 0;
    [y[i], low[i], high[i], below[i], above[i], count[i]] = [mean, least, most, mean - deviation, mean + deviation, n];
  }
  return { y, count, range: [low, high], deviation: [below, above] };
}

/**
 * Everything drawn of one run: curves over the training steps, and validation over its own. Runs of
 * the same steps share one list of them: `others` are the lists there are.
 */
function runOf({ name, seeds }, index, blocks, others) {
  const own = Array.from({ length: seeds }, (_, k) => blocks.filter((block) => block.seed === index + k));
  const columns = own.map((list) => ({
    step: joined(list, "step", "rows"), loss: joined(list, "loss", "rows"), rate: joined(list, "rate", "rows"),
    gradient: joined(list, "gradient", "rows"), validationStep: joined(list, "validationStep", "checks"), validation: joined(list, "validation", "checks"),
  })).filter((column) => column.step);
  const run = { name, seeds, x: new Float64Array(0), at: new Float64Array(0), curves: {} };
  for (const [steps, axis, names] of [["step", "x", ["loss", "rate", "gradient"]], ["validationStep", "at", ["validation"]]]) {
    const there = columns.filter((column) => column[steps].length);
    if (!there.length) continue;
    const list = union(there.map((column) => column[steps]));
    run[axis] = others.find((other) => alike(other, list)) ?? list;
    for (const curve of names) {
      if (!there.some((column) => column[curve])) continue;
      run.curves[curve] = together(there.map((column) => ({ x: column[steps], y: column[curve] ?? new Float64Array(column[steps].length).fill(NaN) })), list);
      Object.assign(run.curves[curve], { x: run[axis], least: run.curves[curve].y.reduce((a, b) => (b < a ? b : a), Infinity) });
    }
  }
  return run;
}

/** m_t = β m_(t−1) + (1−β) x_t, shown as m_t / (1 − β^t); values that are not finite are left out. */
function smooth(values, beta) {
  if (!beta) return values;
  const smoothed = new Float64Array(values.length);
  let mean = 0, weight = 0;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) { smoothed[i] = values[i]; continue; }
    mean = beta * mean + (1 - beta) * values[i];
    weight = beta * weight + (1 - beta);
    smoothed[i] = mean / weight;
  }
  return smoothed;
}

/** The first place in an increasing list, from `low` to `high`, whose value is at least `value`. */
function firstFrom(list, value, low = 0, high = list.length) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// ---------------------------------------------------------------- drawing

const drawable = (value, log) => value > (log ? 0 : -Infinity) && value < Infinity; // false for NaN

/**
 * A curve as path data. Of the points that share a column of pixels, `wide` of them, it draws the
 * lowest and the highest; all of them are in the values that are read. What cannot be drawn is a gap.
 */
function trace(pixels, y, scale, from, to, wide = 1) {
  const least = scale.log ? 0 : -Infinity;
  let path = "", points = 0, i = from;
  while (i < to) {
    let value = y[i];
    if (!(value > least && value < Infinity)) {
      if (points === 1) path += "h0"; // a point alone is a dot
      points = 0;
      i++;
      continue;
    }
    const end = (Math.floor(pixels[i] / wide) + 1) * wide;
    let low = i, high = i, lowest = value, highest = value;
    for (i++; i < to && pixels[i] < end; i++) {
      value = y[i];
      if (!(value > least && value < Infinity)) break;
      if (value < lowest) { low = i; lowest = value; }
      else if (value > highest) { high = i; highest = value; }
    }
    const down = scale.pixel(lowest), up = low === high ? down : scale.pixel(highest), lowFirst = low < high;
    path += (points++ ? "L" : "M") + text(pixels[lowFirst ? low : high]) + " " + text(lowFirst ? down : up);
    if (down - up < 0.3) continue; // of a pixel
    points++;
    path += "L" + text(pixels[lowFirst ? high : low]) + " " + text(lowFirst ? up : down);
  }
  return points === 1 ? path + "h0" : path;
}

/** What lies between two curves, as path data. */
function area(pixels, [low, high], scale, from, to) {
  let path = "", over = [], under = [], column = NaN, least = 0, most = 0, x = 0;
  const flush = () => {
    if (Number.isNaN(column)) return;
    over.push(`${text(x)} ${text(scale.pixel(most))}`);
    under.push(`${text(x)} ${text(drawable(least, scale.log) ? scale.pixel(least) : scale.pixel(scale.low))}`);
  };
  const close = () => {
    flush();
    if (over.length) path += `M${over.join("L")}L${under.reverse().join("L")}Z`;
    [over, under, column] = [[], [], NaN];
  };
  for (let i = from; i < to; i++) {
    if (!drawable(high[i], scale.log) || !Number.isFinite(low[i])) { close(); continue; }
    const here = Math.floor(pixels[i]);
    if (here !== column) { flush(); [column, x, least, most] = [here, pixels[i], low[i], high[i]]; }
    else { least = Math.min(least, low[i]); most = Math.max(most, high[i]); }
  }
  close();
  return path;
}

/** Marks along a curve, `apart` pixels from one another. */
function marks(pixels, y, scale, from, to, start, apart, shape) {
  let path = "";
  for (let next = start, i = from; i < to;) {
    i = firstFrom(pixels, next, i, to);
    while (i < to && !drawable(y[i], scale.log)) i++;
    if (i >= to) break;
    path += `M${text(pixels[i])} ${text(scale.pixel(y[i]))}${shape}`;
    next = Math.max(next + apart, pixels[i] + apart / 2);
  }
  return path;
}

// Scales, their ticks, and numbers as text, for every widget that draws curves. Joined after shared.js
// (see frame.py).

/** A straight or logarithmic scale from [low, high] to [from, to] pixels, and back. */
function scaleOf(low, high, from, to, log) {
  const a = log ? Math.log(low) : low, k = (to - from) / ((log ? Math.log(high) : high) - a);
  const pixel = log ? (x) => from + (Math.log(x) - a) * k : (x) => from + (x - a) * k;
  const value = (pixel) => { const x = (pixel - from) / k + a; return log ? Math.exp(x) : x; };
  return { low, high, log, pixel, value };
}

/** Round numbers between low and high, about `count`; powers of ten on a logarithmic scale. */
function ticksOf({ low, high, log }, count, least = 0) {
  if (log && high / low >= 10) {
    const [from, to] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
    const every = Math.ceil((to - from + 1) / count), parts = (to - from + 1) * 3 <= count ? [1, 2, 5] : [1], all = [];
    for (let power = from - 1; power <= to; power++) {
      for (const part of (power - from) % every ? [] : parts) all.push(part * 10 ** power);
    }
    return all.filter((x) => x >= low * (1 - 1e-9) && x <= high * (1 + 1e-9));
  }
  const rough = Math.max(least, (high - low) / count), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= rough * (1 - 1e-9)) ?? rough, ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(Number((n * step).toPrecision(12)));
  return ticks.length < 2 && rough > least ? ticksOf({ low, high }, count * 2, least) : ticks; // one tells no scale
}

const minus = (text) => text.replace("e+", "e").replaceAll("-", "−");
/** A tick: as short as it can be said. */
const short = (x) => minus(x !== 0 && (Math.abs(x) < 1e-4 || Math.abs(x) >= 1e6) ? x.toExponential().replace(/(\.\d{3})\d+/, "$1") : String(Number(x.toPrecision(7))));
/** A value: five digits. */
function digits(x) {
  if (x === 0) return "0";
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  return minus(Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5 ? x.toExponential(4) : x.toPrecision(5));
}

const tenths = []; // numbers as text, made once: a picture has tens of thousands of them
function text(x) {
  const n = Math.round(x * 10);
  return n >= 0 && n < 30000 ? (tenths[n] ??= String(n / 10)) : String(n / 10);
}

// The race itself: surfaces, the rules of seven optimizers, and the steps they take. Joined before
// optimizer_race.js (see frame.py). The surfaces are those of surfaces.py, the rules those of
// underglass.optimizers, weight by weight and in the same order of operations.

const EPS = 1e-8; // as everywhere: keeps divisions finite where slopes are 0
const TOO_HIGH = 1e8; // beyond this a runner has diverged
const GOAL = 0.01; // below this height a runner has arrived

/** Height and slope over (x, y); `spread`: contours stand at equal steps of height^(1 / spread). */
const GROUNDS = {
  bowl: { spread: 2, height: (x, y) => 0.5 * (x - 1) ** 2 + 0.5 * (y - 0.5) ** 2, slope: (x, y) => [x - 1, y - 0.5] },
  ravine: { spread: 2, height: (x, y) => 0.05 * (x - 1) ** 2 + 5 * (y - 0.5) ** 2, slope: (x, y) => [0.1 * (x - 1), 10 * (y - 0.5)] },
  turned: {
    spread: 2,
    height: (x, y) => 0.05 * (0.8 * (x - 1) + 0.6 * (y - 0.5)) ** 2 + 5 * (0.8 * (y - 0.5) - 0.6 * (x - 1)) ** 2,
    slope(x, y) {
      const along = 0.1 * (0.8 * (x - 1) + 0.6 * (y - 0.5)), across = 10 * (0.8 * (y - 0.5) - 0.6 * (x - 1));
      return [0.8 * along - 0.6 * across, 0.6 * along + 0.8 * across];
    },
  },
  saddle: { spread: 3, height: (x, y) => 0.5 * x ** 2 + 0.25 * (y ** 2 - 1) ** 2, slope: (x, y) => [x, (y ** 2 - 1) * y] },
  rosenbrock: {
    spread: 3, height: (x, y) => (1 - x) ** 2 + 100 * (y - x ** 2) ** 2,
    slope: (x, y) => [-2 * (1 - x) - 400 * (y - x ** 2) * x, 200 * (y - x ** 2)],
  },
  noisy: { spread: 2, height: (x, y) => 0.1 * (x - 1) ** 2 + 0.5 * (y - 0.5) ** 2, slope: (x, y) => [0.2 * (x - 1), y - 0.5] },
};

/** Adam's step for one weight; `kept` are its two means, `t` counts the steps from 1. */
function adamStep(w, g, kept, t, { rate, beta1, beta2 }) {
  kept.m = beta1 * kept.m + (1 - beta1) * g;
  kept.v = beta2 * kept.v + (1 - beta2) * g ** 2;
  const mean = kept.m / (1 - beta1 ** t), square = kept.v / (1 - beta2 ** t);
  return w - (rate * mean) / (Math.sqrt(square) + EPS);
}

/**
 * Weight, slope, what is kept, step, options -> the new weight.
 * @type {Object<string, (w: number, g: number, kept: {m: number, v: number}, t: number, o: any) => number>}
 */
const RULES = {
  SGD: (w, g, kept, t, { rate, decay }) => w - rate * (g + decay * w),
  momentum(w, g, kept, t, { rate, beta1, decay }) {
    kept.m = beta1 * kept.m + (g + decay * w);
    return w - rate * kept.m;
  },
  Nesterov(w, g, kept, t, { rate, beta1, decay }) {
    const direction = g + decay * w;
    kept.m = beta1 * kept.m + direction;
    return w - rate * (direction + beta1 * kept.m);
  },
  RMSProp(w, g, kept, t, { rate, beta2, decay }) {
    const direction = g + decay * w;
    kept.v = beta2 * kept.v + (1 - beta2) * direction ** 2;
    return w - (rate * direction) / (Math.sqrt(kept.v) + EPS);
  },
  Adam: (w, g, kept, t, o) => adamStep(w, g + o.decay * w, kept, t, o),
  AdamW: (w, g, kept, t, o) => adamStep(w - o.rate * o.decay * w, g, kept, t, o),
  Lion(w, g, kept, t, { rate, beta1, beta2, decay }) {
    const direction = Math.sign(beta1 * kept.m + (1 - beta1) * g);
    kept.m = beta2 * kept.m + (1 - beta2) * g;
    return w - rate * (direction + decay * w);
  },
};
const RUNNERS = Object.keys(RULES);

/**
 * All steps of one runner. It stops where it diverges: `last` is the last step it took.
 * @param {{rate: number, beta1: number, beta2: number, decay: number}} options
 * @param {Float64Array | null} noise two numbers for each step, added to the slope
 */
function run(name, { height, slope }, start, options, noise, steps) {
  const x = new Float64Array(steps + 1), y = new Float64Array(steps + 1), heights = new Float64Array(steps + 1);
  const below = new Int32Array(steps + 1); // since when the height has been below the goal; −1: it is not
  const rule = RULES[name], keptX = { m: 0, v: 0 }, keptY = { m: 0, v: 0 };
  [x[0], y[0]] = start;
  let last = 0;
  for (let t = 0; ; t++) {
    heights[t] = height(x[t], y[t]);
    below[t] = heights[t] > GOAL ? -1 : t > 0 && below[t - 1] >= 0 ? below[t - 1] : t;
    last = t;
    if (!(heights[t] <= TOO_HIGH) || t === steps) break;
    let [gx, gy] = slope(x[t], y[t]);
    if (noise) { gx += noise[2 * t]; gy += noise[2 * t + 1]; }
    x[t + 1] = rule(x[t], gx, keptX, t + 1, options);
    y[t + 1] = rule(y[t], gy, keptY, t + 1, options);
  }
  return { x, y, heights, below, last, diverged: !(heights[last] <= TOO_HIGH) };
}

// Runs of fine-tuning as a grid of cells (method, rate, amount of data): what each says, its place among
// the rates, and who leads. Joined after scales.js (see frame.py); the data: fine_tune_grid.py.

const three = (x) => Number(x.toPrecision(3));
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const hundred = (x) => format(100 * x, 1);
const percent = (x) => `${hundred(x)}\u00a0%`;
const rateText = (rate) => (rate < 0.01 ? minus(Number(rate.toPrecision(4)).toExponential()) : short(Number(rate.toPrecision(4))));
const withData = (amount) => `with ${grouped(amount)} sentence${amount === 1 ? "" : "s"}`;
const listed = (list) => (list.length < 2 ? list.join("") : `${list.slice(0, -1).join(", ")} and ${list.at(-1)}`);
const seconds = (x) => (x >= 600 ? `${three(x / 60)} min` : `${three(x)} s`);
/** 22713986 -> "22.7 M": three digits, and a letter for the thousands. */
function compact(x, unit = "") {
  const power = Math.min(4, Math.floor(Math.log10(Math.max(x, 1) * 1.0005) / 3));
  return `${three(x / 1000 ** power)} ${["", "k", "M", "G", "T"][power]}${unit}`.trim();
}
const bytes = (x) => compact(x, "B");

/** What the map can show: its name, its title, how it is written, whether it is a share. */
const MEASURES = {
  accuracy: ["accuracy", "mean accuracy in %", hundred, true],
  spread: ["spread", "highest seed minus lowest, in points", hundred, true],
  seconds: ["time", "time to train", seconds],
  memory: ["memory", "most memory in use", bytes],
  stored: ["stored", "bytes to store", bytes],
  trained: ["trained", "numbers trained", compact],
};
const COSTS = Object.keys(MEASURES).slice(2);

/**
 * The grid: cells, each with its place among the rates of its method and amount (none where a seed
 * diverged); of each method and amount the row of cells and the best of them.
 */
function gridOf(names, given) {
  const sorted = (list, name) => [...new Set(list.map((cell) => cell[name]))].sort((a, b) => a - b), known = (list) => list.filter((x) => x !== null);
  const average = (list) => known(list).reduce((a, b) => a + b, 0) / known(list).length; // NaN where nothing was measured
  const cells = given.map((cell) => {
    const kept = known(cell.accuracy), low = Math.min(...kept), high = Math.max(...kept), seeds = cell.accuracy.length, name = names[cell.method];
    const costs = Object.fromEntries(COSTS.map((cost) => [cost, average(cell[cost])]));
    return { ...cell, ...costs, name, said: `\u2068${name}\u2069`, kept, low, high, seeds, lost: seeds - kept.length, accuracy: cell.mean ?? NaN, spread: kept.length > 1 ? high - low : NaN };
  });
  const find = (method, rate, amount) => cells.find((cell) => cell.method === method && cell.rate === rate && cell.amount === amount);
  const amounts = sorted(cells, "amount"), methods = names.map((name, number) => {
    const own = cells.filter((cell) => cell.method === number);
    const rows = new Map(amounts.map((amount) => {
      const row = own.filter((cell) => cell.amount === amount), whole = row.filter((cell) => !cell.lost);
      for (const cell of whole) cell.place = 1 + whole.filter((other) => other.mean > cell.mean).length;
      return [amount, { row, best: whole.find((cell) => cell.place === 1) }];
    }));
    return { name, said: own[0].said, number, rows };
  });
  return { cells, find, amounts, rates: sorted(cells, "rate"), methods };
}

/** Of a measure: value -> 0 to 1, from the lowest of the grid to its highest; costs by their ratio. */
function shareOf({ cells }, measure) {
  const all = cells.map((cell) => cell[measure]).filter(Number.isFinite), low = Math.min(...all), high = Math.max(...all), log = !MEASURES[measure][3] && low > 0;
  return (value) => (high > low ? (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low)) : 0.5);
}

const result = ({ kept, mean }) => (kept.length ? percent(mean) : "diverged");

/** Accuracy of a cell with its spread. */
function accuracyOf({ kept, lost, seeds, mean, low, high }) {
  if (!kept.length) return seeds > 1 ? `diverged in all ${seeds} seeds` : "diverged";
  const among = kept.length > 1 ? `mean of ${kept.length} seeds (${percent(low)} to ${percent(high)})` : "one seed";
  return `accuracy ${percent(mean)}, ${among}${lost ? `; diverged in ${lost} of ${seeds} seeds` : ""}`;
}

/** What is to be said of the chosen cell. */
function sentences({ find }, { number, said, rows }, rate, amount) {
  const cell = find(number, rate, amount), { row, best } = rows.get(amount), all = [`${said} at rate ${rateText(rate)} ${withData(amount)}${cell ? `: ${accuracyOf(cell)}` : " was not run"}.`];
  if (cell?.place) all.push(row.length === 1 ? "No other rate was tried here." : cell === best ? `The best of ${row.length} rates.` : `Number ${cell.place} of ${row.length} rates.`);
  if (row.length && !best) all.push("At every rate tried here a seed diverged.");
  if (best && cell !== best) all.push(`Best here: rate ${rateText(best.rate)}, ${percent(best.mean)}.`);
  if (row.length > 1 && (best === row[0] || best === row.at(-1))) all.push(`The best is the ${best === row[0] ? "smallest" : "largest"} rate tried here: a better one may lie beyond.`);
  return all;
}

/** Who leads among the cells of an amount, by how much, and whether the seeds agree. */
function leading([first, second, ...others], mine) {
  if (!second) return "there are not two methods to compare.";
  const sure = first.kept.length < 2 || second.kept.length < 2 ? "With a single seed the order may be chance."
    : second.high >= first.low ? "Their seeds overlap: the order may be chance." : "Every seed of the first is above every seed of the second.";
  const behind = others.includes(mine) ? ` ${mine.said} is ${hundred(first.mean - mine.mean)} points behind the first.` : "";
  return `${first.said} leads with ${percent(first.mean)}, ${hundred(first.mean - second.mean)} points above ${second.said} (${percent(second.mean)}). ${sure}${behind}`;
}

/** Who leads with which amounts of data. @param {[number, any][]} firsts amount and cell */
function turns(firsts) {
  const all = [];
  for (const [amount, cell] of firsts) {
    if (!cell) continue;
    if (all.at(-1)?.said === cell.said) all.at(-1).with.push(grouped(amount)); else all.push({ said: cell.said, with: [grouped(amount)] });
  }
  return all.map(({ said, with: amounts }) => `${said} with ${listed(amounts)}`).join("; ");
}

// Contours of a surface as closed outlines, by marching squares. Joined before optimizer_race.js.

/**
 * For a grid cell, the edges between which its outline runs, with what is below the level at one
 * hand: N, E, S, W are its edges; the index has a bit for each corner that is below the level
 * (1: upper left, 2: upper right, 4: lower right, 8: lower left).
 */
const CELLS = ["", "WN", "NE", "WE", "ES", "", "NS", "WS", "SW", "SN", "", "SE", "EW", "EN", "NW", ""];
/** The two cells that have two outlines, when their middle is above the level, and when below. */
const SADDLES = { 5: ["WNES", "WSEN"], 10: ["NESW", "NWSE"] };

/**
 * For each level, the outlines of all places below it, as path data. What leaves the grid is closed
 * along its border, so that outlines can be filled. One walk over the grid serves all levels: few
 * cells are crossed by any.
 * @param {Float64Array} heights row after row @param {number[]} levels increasing
 * @param {(column: number, row: number) => string} place
 */
function outlines(heights, columns, rows, levels, place) {
  const wide = columns + 2, padded = new Float64Array(wide * (rows + 2)).fill(1e300);
  const ranks = new Uint8Array(padded.length).fill(levels.length); // how many levels are not above
  for (let n = 0; n < heights.length; n++) {
    const to = (Math.floor(n / columns) + 1) * wide + (n % columns) + 1;
    padded[to] = heights[n];
    ranks[to] = 0;
    while (ranks[to] < levels.length && levels[ranks[to]] <= heights[n]) ranks[to]++;
  }
  const nexts = levels.map(() => new Map()); // an edge is its corner's number, twice, plus 1 if it goes down
  for (let a = 0; a < padded.length - wide - 1; a++) {
    const b = a + 1, c = b + wide, d = a + wide;
    if (ranks[a] === ranks[b] && ranks[b] === ranks[c] && ranks[c] === ranks[d]) continue;
    if (b % wide === 0) continue; // from the end of a row to the next
    const edges = { N: 2 * a, S: 2 * d, W: 2 * a + 1, E: 2 * b + 1 }, middle = (padded[a] + padded[b] + padded[c] + padded[d]) / 4;
    const [low, high] = [Math.min(ranks[a], ranks[b], ranks[c], ranks[d]), Math.max(ranks[a], ranks[b], ranks[c], ranks[d])];
    for (let k = low; k < high; k++) {
      const kind = (ranks[a] <= k ? 1 : 0) + (ranks[b] <= k ? 2 : 0) + (ranks[c] <= k ? 4 : 0) + (ranks[d] <= k ? 8 : 0);
      const pairs = SADDLES[kind]?.[middle < levels[k] ? 1 : 0] ?? CELLS[kind];
      for (let n = 0; n < pairs.length; n += 2) nexts[k].set(edges[pairs[n]], edges[pairs[n + 1]]);
    }
  }
  return nexts.map((next, k) => {
    const point = (edge) => {
      const from = edge >> 1, down = edge & 1, i = (from % wide) - 1, j = Math.floor(from / wide) - 1;
      const part = (levels[k] - padded[from]) / (padded[from + (down ? wide : 1)] - padded[from]);
      return down ? place(i, j + part) : place(i + part, j);
    };
    let path = "";
    for (const start of next.keys()) {
      let edge = start, points = "";
      while (next.has(edge)) {
        points += (points ? "L" : "M") + point(edge);
        const to = next.get(edge);
        next.delete(edge);
        edge = to;
      }
      if (points) path += `${points}Z`;
    }
    return path;
  });
}

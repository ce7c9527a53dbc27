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
 * Outlines of all places below `level`, as path data in pixels. What leaves the grid is closed
 * along its border, so that outlines can be filled.
 * @param {Float64Array} heights row after row @param {(column: number, row: number) => string} place
 */
function outline(heights, columns, rows, level, place) {
  const at = (i, j) => (i < 0 || j < 0 || i >= columns || j >= rows ? 1e300 : heights[j * columns + i]);
  const wide = columns + 2, next = new Map(); // an edge is a corner's number, twice, plus 1 if it goes down
  const corner = (i, j) => 2 * ((j + 1) * wide + i + 1);
  const edges = { N: (i, j) => corner(i, j), S: (i, j) => corner(i, j + 1), W: (i, j) => corner(i, j) + 1, E: (i, j) => corner(i + 1, j) + 1 };
  for (let j = -1; j < rows; j++) {
    let left = (at(-1, j) < level ? 1 : 0) + (at(-1, j + 1) < level ? 8 : 0);
    for (let i = -1; i < columns; i++) {
      const right = (at(i + 1, j) < level ? 2 : 0) + (at(i + 1, j + 1) < level ? 4 : 0), kind = left + right;
      left = (right & 2 ? 1 : 0) + (right & 4 ? 8 : 0);
      if (kind === 0 || kind === 15) continue;
      const middle = kind === 5 || kind === 10 ? at(i, j) + at(i + 1, j) + at(i + 1, j + 1) + at(i, j + 1) < 4 * level : false;
      const pairs = SADDLES[kind]?.[middle ? 1 : 0] ?? CELLS[kind];
      for (let k = 0; k < pairs.length; k += 2) next.set(edges[pairs[k]](i, j), edges[pairs[k + 1]](i, j));
    }
  }
  const point = (edge) => {
    const n = edge >> 1, i = (n % wide) - 1, j = Math.floor(n / wide) - 1, down = edge & 1;
    const from = at(i, j), to = down ? at(i, j + 1) : at(i + 1, j), part = (level - from) / (to - from);
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
}

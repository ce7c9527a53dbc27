// How tokens and their probabilities are written, for the widgets that show what a model says next.
// Joined after shared.js (see frame.py).

/** A probability with two digits that count, from 0.001 % on; NaN is one that nobody knows. */
function percent(p) {
  if (Number.isNaN(p)) return "–";
  const share = 100 * p;
  if (share < 0.001) return "< 0.001\u00a0%";
  if (share > 99.95 && share < 100) return "> 99.9\u00a0%";
  return `${share >= 9.95 ? format(share, share > 99 ? 1 : 0) : share.toFixed(1 - Math.floor(Math.log10(share) + 1e-9))}\u00a0%`;
}

/** A token as it can be seen: spaces and ends of lines get a sign, and so does what has no shape. */
function seen(token) {
  const signs = (token.toWellFormed?.() ?? token).replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length)).replace(/\n/g, "↵").replace(/\t/g, "⇥")
    .replace(/[\u0000-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0))).replace(/[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
  return signs || "∅";
}

/** At most `most` characters. */
const cut = (token, most) => ([...token].length > most ? `${[...token].slice(0, most - 1).join("")}…` : token);
const quoted = (token) => ["“", isolate(token), "”"];

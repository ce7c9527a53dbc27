// What LiveGPT shows, as a picture to save: the tokens with their probabilities, and the bars.

/** @param {{ reading: any, place: number, cast: any, colours: any, heading: string, settings: string, rows: number }} now */
function gptPicture({ reading, place, cast, colours, heading, settings, rows }) {
  const wide = 760, high = 38, parts = [], ids = cast.order.slice(0, rows), most = Math.max(...ids.map((id) => Math.max(cast.own(id), cast.drawn[id]))), measure = scratch();
  measure.font = "14px system-ui, sans-serif";
  const write = (x, y, said, name, anchor, style = "") => s("text", { x, y, class: name, "text-anchor": anchor, "font-size": name === "small" ? 10 : 14, style: `unicode-bidi: isolate; ${style}` }, said);
  const box = (x, y, width, height, name, fill) => s("rect", { x, y, width, height, class: name, style: fill && `fill: ${fill}` });
  let x = 12, y = 44;
  reading.ids.slice(1).forEach((id, i) => {
    const p = reading.probability(i + 1), name = short(called(reading.name(id)), 24), width = Math.max(38, measure.measureText(name).width + 10), fill = colours.fills[level(p)], ink = `fill: ${inkOn(rgb(fill))}`;
    if (x + width > wide - 12) [x, y] = [12, y + high + 6];
    parts.push(box(x, y, width, high, i + 1 === place ? "chip chosen" : "chip", fill), write(x + width / 2, y + 17, name, "", "middle", ink), write(x + width / 2, y + 31, chance(p), "small", "middle", ink));
    x += width + 4;
  });
  y += high + 30;
  parts.push(write(12, y, heading), write(12, y + 20, settings, "soft"), write(560, y + 46, "model", "soft", "end"), write(680, y + 46, "drawn", "soft", "end"));
  ids.forEach((id, rank) => {
    const at = y + 54 + 22 * rank, cut = rank >= cast.kept ? "soft" : "", size = 220 / most;
    parts.push(write(12, at + 14, short(called(reading.name(id)), 26), cut), box(240, at, size * cast.own(id), 18, "wide"), box(240, at + 5, size * cast.drawn[id], 8, "narrow"),
      write(560, at + 14, chance(cast.own(id), 4), "", "end"), write(680, at + 14, cut ? "cut" : chance(cast.drawn[id], 4), cut, "end"));
  });
  const height = y + 66 + 22 * ids.length;
  return s("svg", { viewBox: `0 0 ${wide} ${height}`, width: wide, height, class: "picture" }, write(12, 26, "Each token with the probability that the model gave it"), parts);
}

// What every widget uses; joined before the widget's own script (see frame.py).

/**
 * Make an element: `h("button", { class: "x", onclick: f }, "text", child)`. Strings become text
 * nodes, so whatever a token holds (`<script>`, right-to-left text) is shown and never run.
 * @param {string} tag @param {Object<string, any>} [props] @param {...any} children
 */
function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. @param {string} tag @param {Object<string, any>} [props] @param {...any} children */
function s(tag, props = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A token as text of its own direction, so that right-to-left text does not turn its neighbours. */
const isolate = (text) => h("bdi", {}, text);

/** 0.4137 -> "0.41". A minus is a real minus; a number that rounds to nothing has none. */
function format(number, digits = 2) {
  const text = number.toFixed(digits);
  return text.startsWith("-") ? (Number(text) === 0 ? text.slice(1) : "−" + text.slice(1)) : text;
}

/** Fixed-point weights (65535 is 1) as the numbers they stand for. @param {DataView} view */
function unpackWeights(view) {
  const numbers = new Float32Array(view.byteLength / 2);
  for (let i = 0; i < numbers.length; i++) numbers[i] = view.getUint16(2 * i, true) / 65535;
  return numbers;
}

/** "#1f5fbf" or "rgb(31, 95, 191)" -> [31, 95, 191]. */
function rgb(colour) {
  const hex = /^#([0-9a-f]{6})$/i.exec(colour.trim());
  if (hex) return [0, 2, 4].map((at) => parseInt(hex[1].slice(at, at + 2), 16));
  return (colour.match(/[\d.]+/g) ?? [0, 0, 0]).slice(0, 3).map(Number);
}

const variable = (root, name) => getComputedStyle(root).getPropertyValue(name).trim();
const mix = (a, b, t) => a.map((start, i) => Math.round(start + (b[i] - start) * t));
const css = (colour) => `rgb(${colour.join(", ")})`;

/** The scale for weights in [0, 1] of the theme that `root` stands in: returns w -> [r, g, b]. */
function weightScale(root) {
  const [low, middle, high] = [0, 1, 2].map((i) => rgb(variable(root, `--ug-scale-${i}`)));
  return (w) => (w < 0.5 ? mix(low, middle, w * 2) : mix(middle, high, Math.min(1, w) * 2 - 1));
}

/** The scale for signed numbers in [-1, 1]: returns v -> [r, g, b]. */
function signedScale(root) {
  const [low, zero, high] = ["negative", "zero", "positive"].map((n) => rgb(variable(root, `--ug-${n}`)));
  return (v) => (v < 0 ? mix(zero, low, Math.min(1, -v)) : mix(zero, high, Math.min(1, v)));
}

/** Black or white, whichever reads better on [r, g, b]. */
const inkOn = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#10151c" : "#ffffff");

/** Call `redraw` when the page changes between light and dark. @returns {() => void} stop */
function onTheme(redraw) {
  const watch = new MutationObserver(redraw);
  const attributeFilter = ["data-theme", "theme", "data-jp-theme-light", "class"];
  for (const node of [document.documentElement, document.body]) watch.observe(node, { attributes: true, attributeFilter });
  return () => watch.disconnect();
}

/** Follow several traits of the model at once. @returns {() => void} stop */
function follow(model, names, redraw) {
  for (const name of names) model.on(`change:${name}`, redraw);
  return () => { for (const name of names) model.off(`change:${name}`, redraw); };
}

/** Call `draw(width)` now, and whenever the width of `place` changes. @returns {() => void} stop */
function onWidth(place, draw) {
  let width = Math.round(place.clientWidth) || 640;
  const watch = new ResizeObserver(() => {
    const here = Math.round(place.clientWidth);
    if (here && here !== width) draw((width = here));
  });
  draw(width);
  watch.observe(place);
  return () => watch.disconnect();
}

/**
 * Several traits may change at once: `ask(name)`, which this returns, does the most of what is
 * asked for, once, before the next frame.
 * @param {Object<string, () => void>} actions from the least to the most
 */
function onceAFrame(actions) {
  const order = Object.keys(actions);
  let most = -1;
  return (name) => {
    if (most < 0) queueMicrotask(() => {
      const chosen = actions[order[most]];
      most = -1;
      chosen();
    });
    most = Math.max(most, order.indexOf(name));
  };
}

/** The SVG as text that stands alone: the page's colours and fonts written into it. */
function svgText(svg) {
  const copy = /** @type {SVGElement} */ (svg.cloneNode(true));
  const originals = [svg, ...svg.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    const style = getComputedStyle(originals[i]);
    for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "text-anchor"]) {
      const value = style.getPropertyValue(name);
      if (value) node.setAttribute(name, value);
    }
    for (const name of ["class", "style", "tabindex"]) node.removeAttribute(name);
  });
  const { width, height } = svg.getBoundingClientRect();
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  if (!copy.hasAttribute("viewBox")) copy.setAttribute("viewBox", `0 0 ${width} ${height}`);
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  const back = s("rect", { x: "-10%", y: "-10%", width: "120%", height: "120%", fill: variable(svg, "--ug-bg") });
  copy.prepend(back);
  return new XMLSerializer().serializeToString(copy);
}

/** A button that saves a picture. @param {() => SVGElement} picture @param {string} name of the file */
function saveButton(picture, name) {
  return h("button", { type: "button", class: "ug-save", onclick(event) {
    const svg = picture(), made = !svg.isConnected;
    if (made) event.currentTarget.closest(".ug").append(svg); // only in the page has it colours
    const text = svgText(svg);
    if (made) svg.remove();
    const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    h("a", { href: url, download: `${name}.svg` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  } }, "Save as SVG");
}

/** A labelled slider that tells its value. `show` turns the number into text. */
function slider(label, { min, max, step, value, show = String, oninput }) {
  const said = h("output", {}, show(value));
  const input = h("input", { type: "range", min, max, step, "aria-label": label, "aria-valuetext": show(value) });
  input.value = String(value);
  const set = (number) => {
    input.value = String(number);
    said.textContent = show(number);
    input.setAttribute("aria-valuetext", show(number));
  };
  input.addEventListener("input", () => { set(Number(input.value)); oninput(Number(input.value)); });
  return { element: h("label", {}, label, input, said), input, set };
}

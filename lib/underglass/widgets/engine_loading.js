// Brings a model into the page, when it is first asked for, and once for all widgets of the page.
//
//   const live = await loadModel(model, { onProgress })   model: the widget's; onProgress(share from 0 to 1)
//     live.name, live.tokenizer (see engine_text.js), and live.gpt or live.bert (see engine_models.js)
//   isLoaded(model) -> whether it is there already, so that nobody need ask
//
// In the static page the weights are script files beside it, of a few hundred kilobytes each, for a page
// opened from a folder (file://) may run a script but not read a file. In a live notebook Python sends
// them, part by part, as it is asked. What fails may be asked for again.

const LOADED = (globalThis[Symbol.for("underglass.live")] ??= { promises: new Map(), ready: new Set() });
const PATIENCE = 60000; // milliseconds that a kernel may take to send one part

const isLoaded = (model) => LOADED.ready.has(model.get("_live_model"));

/** @param {any} model @param {{ onProgress?: (share: number) => void }} [options] */
function loadModel(model, { onProgress = () => {} } = {}) {
  const name = model.get("_live_model");
  if (!LOADED.promises.has(name)) {
    const heard = new Set(), tell = (share) => { for (const f of heard) f(share); };
    const place = model.get("_live_files");
    const promise = (place ? fromFiles(name, place, tell) : fromPython(model, tell)).then((bytes) => {
      const live = { name, ...assemble(bytes) };
      LOADED.ready.add(name);
      return live;
    }).catch((error) => { LOADED.promises.delete(name); throw error; });
    LOADED.promises.set(name, { promise, heard });
  }
  const { promise, heard } = LOADED.promises.get(name);
  heard.add(onProgress);
  return promise;
}

/** @param {{ folder: string, parts: number, version: string }} place */
async function fromFiles(name, { folder, parts, version }, tell) {
  const found = ((globalThis.underglassParts ??= {})[name] = []); // each script puts its part there
  let done = 0;
  const one = (at) => new Promise((resolve, reject) => {
    const file = `${String(at).padStart(2, "0")}.js`, script = h("script", { src: `${folder}${file}?v=${version}` });
    script.onload = () => (found[at] ? resolve(tell(++done / parts)) : reject(new Error(`${file} holds no weights`)));
    script.onerror = () => reject(new Error(`${file} of the model could not be loaded`));
    document.head.append(script);
    script.remove();
  });
  await Promise.all(Array.from({ length: parts }, (_, at) => one(at)));
  delete globalThis.underglassParts[name];
  return joined(found.map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))));
}

async function fromPython(model, tell) {
  const found = [];
  for (let parts = 1; found.length < parts; tell(found.length / parts)) {
    const [message, bytes] = await answer(model, { ask: "weights", part: found.length });
    parts = message.parts;
    found.push(ArrayBuffer.isView(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes));
  }
  return joined(found);
}

/** Ask Python, and wait for the answer to that. */
function answer(model, question) {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(clock); model.off("msg:custom", hear); };
    const hear = (message, buffers) => {
      if (message?.answer !== question.ask || message.part !== question.part) return;
      stop();
      resolve([message, buffers[0]]);
    };
    const clock = setTimeout(() => { stop(); reject(new Error("Python does not answer: is the kernel running?")); }, PATIENCE);
    model.on("msg:custom", hear);
    model.send(question);
  });
}

function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
}

/** The tokenizer and the model, from the bytes that live_packing.py has packed. @param {Uint8Array} bytes */
function assemble(bytes) {
  const view = new DataView(bytes.buffer), length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const sizes = header.tensors.filter(({ length }) => length > 2), total = (f) => header.tensors.reduce((sum, [, ...shape]) => sum + f(...shape), 0);
  const expected = 4 + length + 4 * header.merges + total((rows, columns = 0) => rows * (2 + columns));
  if (bytes.length !== expected) throw new Error(`the model has ${bytes.length} bytes: expected ${expected}`);
  let at = 4 + length;
  const numbers = (count, read) => Float32Array.from({ length: count }, (_, i) => read(view.getUint16(at + 2 * i, true)));
  const take = (count) => { const found = numbers(count, floatOf16); at += 2 * count; return found; };
  // Vectors, and the scales of matrices; then the merges; then the matrices.
  const kept = new Map(header.tensors.map(([name, rows]) => [name, take(rows)])), tables = new Map();
  const merges = Uint16Array.from(numbers(2 * header.merges, (id) => id));
  at += 4 * header.merges;
  for (const [name, rows, columns] of sizes) {
    tables.set(name, new Table(new Int8Array(bytes.buffer, at, rows * columns), kept.get(name)));
    at += rows * columns;
  }
  const most = (which) => Math.max(...sizes.map((size) => size[which]));
  const machine = new Machine(total((rows, columns) => (columns ? rows * (columns + 1) : 0)), most(1), most(2));
  const table = (name) => tables.get(`${name}.weight`);
  const linear = (name, bias = `${name}.bias`) => new Linear(machine, table(name), kept.get(bias));
  const norm = (name) => ({ weight: kept.get(`${name}.weight`), bias: kept.get(`${name}.bias`), eps: header.config.eps });
  const weights = { config: header.config, table, linear, norm };
  const own = header.kind === "gpt" ? { gpt: new GPT(weights) } : { bert: new BERT(weights) };
  return { tokenizer: new Tokenizer(header, merges), ...own };
}

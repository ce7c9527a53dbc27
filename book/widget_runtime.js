// Mounts every widget of a page from the state that the build embeds: no kernel, no network.
// A classic script, because a page opened from a folder (file://) may not import modules by path.
(() => {
  "use strict";
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';

  /** One copy of each module a page, however many widgets use it. @type {Map<string, Promise<any>>} */
  const modules = new Map();
  function load(source) {
    if (!modules.has(source)) {
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      modules.set(source, import(url).finally(() => URL.revokeObjectURL(url)));
    }
    return modules.get(source);
  }

  const styles = new Set();
  function dress(source) {
    if (!source || styles.has(source)) return;
    styles.add(source);
    const style = document.createElement("style");
    style.textContent = source;
    document.head.append(style);
  }

  function bytes(text) {
    return new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  }

  /** What a widget's script knows of its model: Backbone's `get`, `set`, `on`, `off`, `save_changes`. */
  class Model {
    constructor({ state, buffers = [] }, sources) {
      this.values = { ...state };
      for (const name of ["_esm", "_css"]) {
        const value = this.values[name];
        if (value?.source) this.values[name] = value.source.map((file) => sources[file]).join("\n");
      }
      for (const { path, data } of buffers) {
        let at = this.values;
        for (const key of path.slice(0, -1)) at = at[key];
        at[path.at(-1)] = bytes(data);
      }
      this.heard = new Map();
      this.widget_manager = null;
    }
    get(name) { return this.values[name]; }
    set(name, value) {
      const values = typeof name === "object" ? name : { [name]: value };
      const changed = Object.keys(values).filter((key) => this.values[key] !== values[key]);
      Object.assign(this.values, values);
      for (const key of changed) this.fire(`change:${key}`, values[key]);
      if (changed.length) this.fire("change");
    }
    fire(event, value) { for (const callback of [...(this.heard.get(event) ?? [])]) callback(this, value); }
    on(events, callback) {
      for (const event of events.split(" ")) this.heard.set(event, [...(this.heard.get(event) ?? []), callback]);
    }
    off(events, callback) {
      for (const event of events ? events.split(" ") : [...this.heard.keys()]) {
        this.heard.set(event, callback ? (this.heard.get(event) ?? []).filter((f) => f !== callback) : []);
      }
    }
    save_changes() {} // there is no kernel to tell
    send() {}
  }

  /** `jslink(a, b)` and `jsdlink(a, b)`: what one widget shows, the other follows. */
  function link(entry, model) {
    const [[from, name], [to, other]] = [entry.state.source, entry.state.target];
    const [a, b] = [model(from), model(to)];
    if (!a || !b) return;
    const forward = () => b.set(other, a.get(name));
    a.on(`change:${name}`, forward);
    if (entry.state._model_name === "LinkModel") b.on(`change:${other}`, () => a.set(name, b.get(other)));
    forward();
  }

  function tell(place, error) {
    place.className = "ug ug-error";
    place.setAttribute("role", "alert");
    place.textContent = `This picture could not start (${error?.message ?? error}). Everything around it still holds.`;
    console.error(error);
  }

  async function mount(place, model) {
    dress(model.get("_css"));
    const { default: found } = await load(model.get("_esm"));
    const widget = typeof found === "function" ? await found() : found;
    if (!model.ready) model.ready = Promise.resolve(widget.initialize?.({ model }));
    await model.ready;
    await widget.render?.({ model, el: place });
  }

  async function start() {
    const stored = document.querySelector(STATE);
    if (!stored) return;
    const began = performance.now();
    const { state, sources = [] } = JSON.parse(stored.textContent);
    const models = {};
    const model = (id) => {
      const key = String(id).replace(/^IPY_MODEL_/, "");
      if (!(key in state)) return null;
      return (models[key] ??= new Model(state[key], sources));
    };
    for (const entry of Object.values(state)) {
      if (/^(Directional)?LinkModel$/.test(entry.state._model_name ?? "")) link(entry, model);
    }
    for (const view of document.querySelectorAll(VIEW)) {
      const place = document.createElement("div");
      place.className = "ug-place";
      view.after(place);
      try {
        const { model_id: id } = JSON.parse(view.textContent);
        if (!(id in state)) throw new Error("its data is not in the page");
        await mount(place, model(id));
        place.dataset.mounted = "yes";
      } catch (error) {
        tell(place, error);
      }
      document.documentElement.dataset.firstWidget ??= String(Math.round(performance.now() - began));
    }
    document.documentElement.dataset.widgets = "ready";
  }

  // The build puts this script behind the page's text and state: there is nothing to wait for.
  if (document.readyState === "loading" && !document.querySelector(STATE)) {
    document.addEventListener("DOMContentLoaded", start);
  } else start();
})();

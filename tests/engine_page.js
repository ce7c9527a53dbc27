// Shows nothing, and hands the engine to the tests: window.engine, and in it a place to keep things.
export default {
  render({ model, el }) {
    window.engine = { model, loadModel, isLoaded, nextToken, pick, randomNumbers, assemble, Machine, Table, Linear, Tokenizer, gelu, geluTanh, floatOf16, layerNorm };
    el.append("the engine");
  },
};

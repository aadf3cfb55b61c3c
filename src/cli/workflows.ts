import type { Workflows } from "../workflows/api.js";

/** Every workflow. Its code is loaded when it is called: `--help` and wrong options never wait for the engine. */
export const workflows: Workflows = {
  async *train(options) {
    yield* (await import("../workflows/node/train.js")).train(options);
  },
  async *demo(options) {
    yield* (await import("../workflows/node/demo.js")).demo(options);
  },
  async *generate(model, request) {
    yield* (await import("../workflows/node/generate.js")).generate(model, request);
  },
  async *generateBatch(model, requests, options) {
    yield* (await import("../workflows/node/generate.js")).generateBatch(model, requests, options);
  },
  loadModel: async (model, options) => (await import("../workflows/node/load-model.js")).loadModel(model, options),
  loadAdapter: async (model, directory, options) =>
    (await import("../workflows/node/load-model.js")).loadAdapter(model, directory, options),
  classify: async (options) => (await import("../workflows/node/classify.js")).classify(options),
  evaluate: async (options) => (await import("../workflows/node/evaluate.js")).evaluate(options),
  embed: async (options) => (await import("../workflows/node/embed.js")).embed(options),
  merge: async (options) => (await import("../workflows/node/merge.js")).merge(options),
  unmerge: async (options) => (await import("../workflows/node/unmerge.js")).unmerge(options),
  exportAdapter: async (options) => (await import("../workflows/node/export-adapter.js")).exportAdapter(options),
  eject: async (options) => (await import("../workflows/node/eject.js")).eject(options),
  importConfig: async (options) => (await import("../workflows/node/import-config.js")).importConfig(options),
  combine: async (options) => (await import("../workflows/node/combine.js")).combine(options),
  resize: async (options) => (await import("../workflows/node/resize.js")).resize(options),
  convert: async (options) => (await import("../workflows/node/convert.js")).convert(options),
  extract: async (options) => (await import("../workflows/node/extract.js")).extract(options),
  plan: async (options) => (await import("../workflows/node/plan.js")).plan(options),
  inspectData: async (options) => (await import("../workflows/node/inspect-data.js")).inspectData(options),
  inspect: async (directory, options) => (await import("../workflows/node/inspect.js")).inspect(directory, options),
  rank: async (options) => (await import("../workflows/node/rank.js")).rank(options),
  push: async (options) => (await import("../workflows/node/push.js")).push(options),
  pull: async (model, controls) => (await import("../workflows/node/pull.js")).pull(model, controls),
  doctor: async (controls) => (await import("../workflows/node/doctor.js")).doctor(controls),
  cache: async (action) => (await import("../workflows/node/cache.js")).cache(action),
};

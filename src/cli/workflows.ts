import type { Workflows } from "../workflows/api.js";

/** The file of src/workflows/node that holds each workflow. */
const files = {
  train: "train",
  demo: "demo",
  loadModel: "load-model",
  loadAdapter: "load-model",
  generate: "generate",
  evaluate: "evaluate",
  merge: "merge",
  plan: "plan",
  inspectData: "inspect-data",
  inspect: "inspect",
  pull: "pull",
  doctor: "doctor",
} as const satisfies Record<keyof Workflows, string>;

/** Loads a workflow's code when it is called: `--help` and wrong options never wait for the engine. */
async function load<Name extends keyof Workflows>(name: Name): Promise<Workflows[Name]> {
  const module: Partial<Workflows> = await import(`../workflows/node/${files[name]}.js`);
  const workflow = module[name];
  if (workflow === undefined) throw new TypeError(`workflows/node/${files[name]}.js does not export ${name}.`);
  return workflow;
}

/** Every workflow, behind a loader. */
export const workflows: Workflows = {
  async *train(options) {
    yield* (await load("train"))(options);
  },
  async *demo(options) {
    yield* (await load("demo"))(options);
  },
  async *generate(model, request) {
    yield* (await load("generate"))(model, request);
  },
  loadModel: async (model, options) => (await load("loadModel"))(model, options),
  loadAdapter: async (model, directory) => (await load("loadAdapter"))(model, directory),
  evaluate: async (options) => (await load("evaluate"))(options),
  merge: async (options) => (await load("merge"))(options),
  plan: async (options) => (await load("plan"))(options),
  inspectData: async (options) => (await load("inspectData"))(options),
  inspect: async (directory, controls) => (await load("inspect"))(directory, controls),
  pull: async (model, controls) => (await load("pull"))(model, controls),
  doctor: async (controls) => (await load("doctor"))(controls),
};

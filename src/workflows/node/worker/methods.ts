import type { LoadModelOptions } from "../../api.js";
import type { ClassifyRequest } from "../classify-run.js";
import type { HostedBatch, HostedRequest } from "../model-host.js";
import type { TrainingRequest } from "../training/run.js";
import type { WorkerContext } from "./context.js";

/** A method of the worker: clonable parameters in, a clonable result out, events on the way. */
export type WorkerMethod = (params: unknown, context: WorkerContext) => Promise<unknown>;

/** What a worker can be asked to do. A method's code is loaded when it is called. */
export const methods: Readonly<Record<string, WorkerMethod>> = {
  loadModel: async (params, context) => {
    const { name, options } = params as { name: string; options: LoadModelOptions };
    return (await import("../model-host.js")).loadHostedModel(name, options, context);
  },
  eject: async (params, context) => (await import("../eject-run.js")).runEject(params, context),
  loadAdapter: async (params, context) =>
    (await import("../model-host.js")).loadHostedAdapter(params as { directory: string; name?: string }, context),
  unloadAdapter: async (params) => (await import("../model-host.js")).unloadHostedAdapter(params as string),
  exportAdapter: async (params, context) => (await import("../export-run.js")).runExport(params, context),
  generate: async (params, context) => (await import("../model-host.js")).generateHosted(params as HostedRequest, context),
  generateBatch: async (params, context) => (await import("../model-host.js")).generateHostedBatch(params as HostedBatch, context),
  classify: async (params, context) => (await import("../classify-run.js")).runClassify(params as ClassifyRequest, context),
  embed: async (params, context) => (await import("../embed-run.js")).runEmbed(params, context),
  evaluate: async (params, context) => (await import("../evaluation-run.js")).runEvaluation(params, context),
  combine: async (params, context) => (await import("../combine-run.js")).runCombine(params, context),
  resize: async (params, context) => (await import("../resize-run.js")).runResize(params, context),
  convert: async (params, context) => (await import("../convert-run.js")).runConvert(params, context),
  extract: async (params, context) => (await import("../extract-run.js")).runExtract(params, context),
  doctor: async (_, context) => (await import("../doctor-run.js")).runDoctor(context),
  inspect: async (params, context) => (await import("../inspect-run.js")).runInspect(params, context),
  inspectData: async (params, context) => (await import("../inspect-data-run.js")).runInspectData(params, context),
  merge: async (params, context) => (await import("../merge-run.js")).runMerge(params, context),
  unmerge: async (params, context) => (await import("../unmerge-run.js")).runUnmerge(params, context),
  plan: async (params, context) => (await import("../plan-run.js")).runPlan(params, context),
  rank: async (params, context) => (await import("../rank-run.js")).runRank(params, context),
  train: async (params, context) => (await import("../training/run.js")).runTraining(params as TrainingRequest, context),
};

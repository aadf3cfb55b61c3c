import type { Target } from "../../graph/op.js";
import { type AdapterLayout, sizeOf } from "../../lora/layout.js";
import type { ModelGraph } from "../../models/architecture.js";
import { readLanguageModel, readModel } from "../../models/index.js";
import { labelledModel } from "../../models/labelled-model.js";
import type { PlanResult } from "../api.js";
import { inCode, type PlanSettings, type Precision, parseOptions, planSet } from "../options.js";
import { targetOf, trainingPrecision } from "./device.js";
import { describeEmbeddingTaskWeights } from "./embedded-text.js";
import { bestProductSpeed, int8Support } from "./int8-support.js";
import { graphTask, isLabelTask, labelObjective } from "./label-head.js";
import { type DescribedWeights, describeWeights, type OpenOptions, withText } from "./open-model.js";
import { batchCosts, planBatches, type RunBatches } from "./plan-batches.js";
import { measureProductSpeed } from "./product-speed.js";
import { checkpointingOf, memoryChanges, memoryOf } from "./run-memory.js";
import { type MachineSpeed, secondsOf, updateBytes } from "./step-seconds.js";
import { updatesOf } from "./training/length.js";
import { readTask } from "./training/prepare.js";
import { productOf } from "./training/products/index.js";
import { learnedModel, trainedTokens } from "./training/trained-tokens.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `plan`, in its worker. */
export async function runPlan(options: unknown, { signal, emit }: WorkerContext): Promise<PlanResult> {
  const settings = parseOptions(planSet, options, inCode);
  const notices: string[] = [];
  const opening = { signal, onProgress: emit, onNotice: (notice: string) => notices.push(notice) };
  const { described, task, layout } = await planned(settings, opening);
  const data = task?.data;
  signal.throwIfAborted();

  const target = targetOf(settings.device);
  const precision = await trainingPrecision(settings, described.model);
  const batches = planBatches(described, settings, data);
  const { gradientCheckpointing, note } = checkpointingOf(described, layout, { ...settings, precision }, data);
  const choice = { ...settings, precision, gradientCheckpointing };
  const costs = batchCosts(batches, described, layout, choice);
  const updates = batches.perEpoch / settings.accumulate;
  const writtenBytes = costs.writtenBytes + updates * updateBytes(layout.length);
  const seconds = secondsOf({ ...costs, writtenBytes }, await machineSpeed(target, precision, settings.threads));
  const resident = process.memoryUsage().rss;
  const memory = memoryOf(described, layout, choice, costs, resident);
  const isInt8Exact = target === "cpu" && (await int8Support(settings.threads)).exact;
  return {
    model: settings.model,
    architecture: described.model.modelType,
    layers: layersOf(layout),
    whole: layout.modules.map(({ name, shape }) => ({ name, shape, parameters: sizeOf({ shape }) })),
    trainableParameters: layout.length,
    totalParameters: described.parameters,
    memory,
    device: target,
    precision,
    gradientCheckpointing,
    changes: memoryChanges(described, layout, choice, data, { resident, isInt8Exact }),
    ...(data === undefined ? {} : { trainExamples: data.train.length, validationExamples: data.validation.length }),
    ...lengthOf(settings, batches, seconds / batches.perEpoch),
    notes: [...(note === undefined ? [] : [note]), ...notesOf(task?.notes, memory), ...notices],
  };
}

/** A head of so many labels stands for that of data which is not there. */
const ASSUMED_LABELS = 2;

/** The model, and with data the task: what would be trained. */
async function planned(settings: PlanSettings, opening: OpenOptions) {
  const { trainableTokens } = settings;
  const productFor = async (described: DescribedWeights<ModelGraph>) =>
    productOf(settings, { tokens: trainableTokens && trainedTokens(trainableTokens, (await withText(described)).codec) });
  if (settings.data === undefined && isLabelTask(settings.task)) {
    const task = graphTask(settings.task);
    const described = await describeWeights((config) => labelledModel(readModel(config), task), settings.model, opening);
    const objective = labelObjective(settings.task, described.model.classificationHead(task, ASSUMED_LABELS));
    return {
      described: { ...described, objective },
      task: undefined,
      layout: (await productFor(described)).layout(described.model, objective.parameters),
    };
  }
  if (settings.data === undefined) {
    const described =
      settings.task === "embedding"
        ? await describeEmbeddingTaskWeights(settings.model, opening)
        : await describeWeights(readLanguageModel, settings.model, opening);
    return { described, task: undefined, layout: (await productFor(described)).layout(described.model, []) };
  }
  const { described, task } = await readTask({ ...settings, data: settings.data }, opening);
  const layout = (await productFor(described)).layout(learnedModel(task.learned), task.learned.objective?.parameters ?? []);
  return { described: { ...described, ...task.learned }, task, layout };
}

/** What this machine does in a second; of the processor, the best that was ever measured. */
async function machineSpeed(target: Target, precision: Precision, threads: number | undefined): Promise<MachineSpeed> {
  const measure = () => measureProductSpeed({ target, threads });
  const unpacks = precision === "4bit";
  if (target !== "cpu") return { flops: await measure(), speedup: 1, unpacks };
  const flops = await bestProductSpeed(threads, measure);
  return { flops, speedup: precision === "int8" ? (await int8Support(threads)).speedup : 1, unpacks };
}

function layersOf(layout: AdapterLayout): PlanResult["layers"] {
  return layout.groups.flatMap(({ layers }) =>
    layers.map(({ name, inputs, outputs, parameters }) => ({
      name,
      inFeatures: inputs,
      outFeatures: outputs,
      parameters: [...parameters.values()].reduce((sum, each) => sum + (each.isTrained ? sizeOf(each) : 0), 0),
    })),
  );
}

/** Updates, tokens and seconds of training, measuring left out. */
function lengthOf(
  { duration, accumulate }: PlanSettings,
  batches: RunBatches,
  secondsPerBatch: number,
): Pick<PlanResult, "steps" | "tokens" | "tokensPerSecond" | "seconds"> {
  const tokensPerBatch = batches.tokensPerEpoch / batches.perEpoch;
  const speed = { tokensPerSecond: tokensPerBatch / secondsPerBatch };
  const inTime = (minutes: number) => Math.max(1, Math.round((60 * minutes) / (secondsPerBatch * accumulate)));
  if (!batches.known && duration.kind === "epochs") return speed;
  const steps = duration.kind === "minutes" ? inTime(duration.minutes) : updatesOf(duration, batches.perEpoch, accumulate);
  if (steps === undefined) return speed;
  const trained = steps * accumulate;
  const seconds = duration.kind === "minutes" ? 60 * duration.minutes : trained * secondsPerBatch;
  return { steps, ...(batches.known ? { tokens: Math.round(trained * tokensPerBatch) } : {}), ...speed, seconds };
}

function notesOf(ofData: readonly string[] | undefined, memory: PlanResult["memory"]): string[] {
  return [
    `Of the memory, ${Math.round(memory.own / 1e6)} MB are the program itself. Weights are mapped from their file, by the program that trains and by the one that measures: the system counts both, and can take the memory back when it is short.`,
    "The time is an estimate from the best matrix product that was measured on this machine: other work makes it longer. It counts training alone, not measuring.",
    ...(ofData === undefined
      ? ["Without --data every example is taken to be as long as --max-length and learned whole: memory and time are the most that may be."]
      : ofData),
  ];
}

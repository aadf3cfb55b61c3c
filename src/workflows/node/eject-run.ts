import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { epochPlan } from "../../data/batch.js";
import type { Example } from "../../data/example.js";
import { InputError } from "../../errors.js";
import { TRL_REQUIREMENTS, type TrlRun, trlProgram } from "../../interchange/trl/program.js";
import { adapterFromVectors } from "../../lora/adapter.js";
import { initialiseAdapter } from "../../lora/initialise.js";
import { writeAdapterFolder } from "../../lora/node/adapter-folder.js";
import { variantOf } from "../../lora/variants/index.js";
import { writeFileAtomic } from "../../weights/node/atomic-file.js";
import { writeFolderAtomic } from "../../weights/node/atomic-folder.js";
import type { EjectResult } from "../api.js";
import { ejectSet, FULL, inCode, inFile, parseOptions, type TrainSettings, trainSet } from "../options.js";
import { readOptionsFile } from "./options-file.js";
import { runFolder } from "./run-folder.js";
import { trainerSettings, updatesOf } from "./training/length.js";
import { prepareRun } from "./training/prepare.js";
import type { PreparedRun } from "./training/run-task.js";
import { startOf } from "./training/start.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `eject`, in its worker. */
export async function runEject(options: unknown, { signal, emit }: WorkerContext): Promise<EjectResult> {
  const { run, out } = parseOptions(ejectSet, options, inCode);
  const file = await optionsFileOf(run);
  const settings = parseOptions(trainSet, readOptionsFile(file), inFile(file));
  refuseInexpressible(settings, file);
  const notes: string[] = [];
  // What the program computes in is its own affair; nothing here is multiplied.
  const prepared = await prepareRun(
    { ...settings, precision: "fp32", device: "cpu" },
    { signal, onProgress: emit, onNotice: (note) => notes.push(note) },
  );
  signal.throwIfAborted();
  return { out: await writeProgram(out, prepared), notes: [...notes, ...differences(settings)] };
}

/** The file of options that a run left in its folder, or the file itself. */
async function optionsFileOf(run: string): Promise<string> {
  const found = await stat(run).catch((cause: unknown) => {
    throw new InputError(`${run} is not there. Give the folder of a run, or its run.yaml.`, { cause });
  });
  return found.isDirectory() ? runFolder(run).options : run;
}

/** TRL's SFTTrainer trains language models, and PEFT makes starts that change the base's weights by itself. */
function refuseInexpressible({ task, duration, method }: TrainSettings, file: string): void {
  const refuse = (what: string, wayOut: string) => {
    throw new InputError(`${file}: ${what} has no equal in TRL's SFTTrainer. ${wayOut}`);
  };
  if (task !== "sft") refuse(`task: ${task}`, "Load the trained adapter in PEFT instead, and train it on with transformers' Trainer.");
  if (duration.kind === "minutes") refuse("a length in minutes", "Give steps or epochs in the file instead of minutes.");
  if (method === FULL) {
    refuse(`method: ${method}, as a PEFT adapter,`, "In Python, give SFTTrainer the model without an adapter.");
    return;
  }
  const { base, peftFields } = variantOf(method);
  const { init_lora_weights: start, peft_type: kind } = peftFields;
  if (base !== undefined) refuse(`the base of method: ${method}`, "Train beside the run's base folder with the method lora.");
  if (kind !== undefined) refuse(`method: ${method}`, `In Python, PEFT trains it: peft_type ${String(kind)}.`);
  if (start !== undefined) refuse(`the start of method: ${method}`, `In Python, PEFT makes it: LoraConfig(init_lora_weights="${start}").`);
}

/** In what the program's numbers will differ from the run's. */
function differences({ dropout, precision }: TrainSettings): string[] {
  return [
    ...(dropout > 0 ? ["dropout draws other numbers there: losses agree on average, not one by one"] : []),
    ...(precision === "int8" || precision === "4bit"
      ? [`the run computed in ${precision}, the program in float32: losses agree as closely as those of --precision fp32 do`]
      : []),
  ];
}

/** The examples of a language task: the program holds all of them. */
const examplesOf = (part: Iterable<object>) => Array.from(part).filter((each): each is Example => "supervised" in each);

async function writeProgram(out: string, prepared: PreparedRun): Promise<string> {
  const { settings, layout, config, task } = prepared;
  const [train, validation] = [examplesOf(task.data.train), examplesOf(task.data.validation)];
  const batches = batchesOf(train, settings);
  const start = await initialiseAdapter(layout, startOf(prepared));
  return writeFolderAtomic(out, "the program", async (folder) => {
    const write = (name: string, text: string) => writeFileAtomic(join(folder, name), text);
    await write("train.py", trlProgram(trlRunOf(prepared, batches.perEpoch, validation.length > 0)));
    await write("requirements.txt", `${TRL_REQUIREMENTS.join("\n")}\n`);
    await write("train.jsonl", train.map(rowOf).join(""));
    await write("valid.jsonl", validation.map(rowOf).join(""));
    await write("batches.json", `${JSON.stringify(batches.all)}\n`);
    await writeAdapterFolder(join(folder, "start"), adapterFromVectors(config, layout, start));
  });
}

function trlRunOf({ settings, opened, layout, checkpointing }: PreparedRun, batchesPerEpoch: number, isMeasured: boolean): TrlRun {
  const { batchSize, accumulate, lr, schedule, warmup, clip, optimizer, loraPlusRatio, seed, duration } = settings;
  const updates = updatesOf(duration, batchesPerEpoch, accumulate) ?? 0;
  const parameters = layout.groups.flatMap(({ layers }) => layers.flatMap((layer) => [...layer.parameters]));
  const frozen = parameters.filter(([, { isTrained }]) => !isTrained).map(([name]) => name.replace(/\.weight$/, ""));
  return {
    model: resolve(opened.path),
    updates,
    batchSize,
    accumulate,
    learningRate: lr,
    schedule: { kind: schedule, warmupSteps: Math.round(warmup * updates) },
    clip,
    optimizer,
    loraPlusRatio,
    frozen: [...new Set(frozen)],
    seed,
    gradientCheckpointing: checkpointing.gradientCheckpointing,
    evaluateEvery: isMeasured ? trainerSettings(settings, batchesPerEpoch, undefined).evaluateEvery : undefined,
  };
}

/** A row as TRL reads tokens: what is not learned has the label -100. */
function rowOf({ ids, supervised }: Example): string {
  return `${JSON.stringify({ input_ids: [...ids], labels: Array.from(ids, (id, t) => (supervised[t] === 1 ? id : -100)) })}\n`;
}

/** Numbers of the rows of each batch of the whole run, in its order. */
function batchesOf(train: readonly Example[], settings: TrainSettings): { all: readonly number[][]; perEpoch: number } {
  const lengths = train.map(({ ids }) => ids.length);
  const epoch = (number: number) => epochPlan(lengths, settings.batchSize, settings.seed, number);
  const perEpoch = epoch(0).length;
  const { length } = trainerSettings(settings, perEpoch, undefined);
  const count =
    length.kind === "batches" ? length.batches : (updatesOf(settings.duration, perEpoch, settings.accumulate) ?? 0) * settings.accumulate;
  const epochs = Array.from({ length: Math.ceil(count / perEpoch) }, (_, number) => epoch(number));
  return { all: epochs.flat().slice(0, count), perEpoch };
}

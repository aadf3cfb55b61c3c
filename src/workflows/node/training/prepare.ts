import { createHash } from "node:crypto";
import { cpus } from "node:os";
import type { Example } from "../../../data/example.js";
import { longestRow } from "../../../data/packing.js";
import { InputError } from "../../../errors.js";
import { type AdapterConfig, configOf } from "../../../lora/adapter.js";
import { type AdapterLayout, buildLayout } from "../../../lora/layout.js";
import { type AdapterSpec, adaptGroups } from "../../../lora/spec.js";
import { variantOf } from "../../../lora/variants/index.js";
import { nodeEngine } from "../../../runtime/node/engine.js";
import type { TextCodec } from "../../../text/tokenizer.js";
import type { RunIdentity } from "../../../training/node/checkpoint-file.js";
import type { TrainSettings } from "../../options.js";
import { targetOf, trainingPrecision } from "../device.js";
import { describeModel, mapModel, type OpenedModel, type OpenOptions } from "../open-model.js";
import { encodeRun, type RunData, readRunRows } from "../run-data.js";
import { type CheckpointingChoice, checkpointingOf } from "../run-memory.js";

/** All that stands before the first step. */
export interface PreparedRun {
  readonly settings: TrainSettings;
  readonly opened: OpenedModel;
  readonly data: RunData;
  readonly spec: AdapterSpec;
  readonly layout: AdapterLayout;
  readonly config: AdapterConfig;
  readonly identity: RunIdentity;
  /** Tokens of the longest row of a batch. */
  readonly maxTokens: number;
  /** No batch of training has more learned tokens. */
  readonly maxSupervised: number;
  readonly checkpointing: CheckpointingChoice;
}

/** Reads files before the model, and the model's description before its weights: a mistake is told before it has cost time. */
export async function prepareRun(settings: TrainSettings, options: OpenOptions): Promise<PreparedRun> {
  const rows = await readRunRows(settings);
  const described = await describeModel(settings.model, options);
  checkCodec(described.codec, settings.model);
  const data = encodeRun(described.codec, rows, settings, described.model.dimensions.maxPositions);
  const spec = specOf(settings);
  const layout = buildLayout(adaptGroups(described.model.linearGroups, spec), [], variantOf(settings.method));
  const precision = await trainingPrecision(settings, described.model);
  const checkpointing = checkpointingOf(described, layout, { ...settings, precision }, data);
  const opened = await mapModel(described, { target: targetOf(settings.device), threads: settings.threads, precision }, options);
  const examples = [...data.train, ...data.validation];
  return {
    settings,
    opened,
    data,
    spec,
    layout,
    config: configOf(spec, layout, [...opened.model.linearGroups.flat(), ...(opened.model.otherLayers ?? [])], opened.name),
    checkpointing,
    identity: await identityOf(settings, opened, data, layout),
    maxTokens: longestRow(examples.reduce((longest, { ids }) => Math.max(longest, ids.length), 0)),
    maxSupervised:
      settings.batchSize *
      data.train.reduce(
        (most, { supervised }) =>
          Math.max(
            most,
            supervised.reduce((sum, one) => sum + one, 0),
          ),
        0,
      ),
  };
}

/** What the options say of a new adapter. */
export function specOf(settings: Pick<TrainSettings, Exclude<keyof AdapterSpec, "rankStabilised"> | "rslora">): AdapterSpec {
  const { method, rank, alpha, rslora, dropout, layers, initialisation } = settings;
  return { method, rank, alpha, rankStabilised: rslora, dropout, layers, initialisation };
}

/** What a checkpoint compares before a run goes on: all that its numbers depend on, and nothing else. */
async function identityOf(settings: TrainSettings, opened: OpenedModel, data: RunData, layout: AdapterLayout): Promise<RunIdentity> {
  const {
    out: _out,
    resume: _resume,
    report: _report,
    saveEvery: _saveEvery,
    precision: _precision, // what it stands for is the machine's
    gradientCheckpointing: _gradientCheckpointing, // the numbers are the same
    threads: _threads,
    device: _device,
    data: _data,
    valid: _valid,
    model: _model,
    ...options
  } = settings;
  return {
    run: {
      ...options,
      model: await modelDigest(opened),
      trainingData: digestOf(data.train),
      validationData: digestOf(data.validation),
      parameters: layout.length,
    },
    machine: {
      engine: nodeEngine.version,
      processor: cpus()[0]?.model ?? "unknown",
      threads: settings.threads ?? cpus().length,
      device: opened.compile.target,
      precision: opened.precision,
    },
  };
}

/** Bytes of each tensor that tell two fine-tunings of one model apart; the start of a matrix changes in every training. */
const SAMPLE_BYTES = 256;

/** The configuration, and of every tensor its name, type, shape and first bytes. */
async function modelDigest({ config, checkpoint }: OpenedModel): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(config));
  for (const { name, type, shape, source, offset, byteLength } of checkpoint.tensors.values()) {
    hash.update(JSON.stringify([name, type, shape])).update(await source.read(offset, Math.min(byteLength, SAMPLE_BYTES)));
  }
  return hash.digest("hex").slice(0, 16);
}

function digestOf(examples: readonly Example[]): string {
  const hash = createHash("sha256");
  for (const { ids, supervised } of examples) hash.update(ids).update(supervised).update("|");
  return hash.digest("hex").slice(0, 16);
}

/** The tokenizer must know where an answer ends, or the trained model never stops. */
function checkCodec(codec: TextCodec, model: string): void {
  if (codec.endOfTurnIds.length === 0) {
    throw new InputError(`${model}: its files name no token that ends an answer (eos_token). Add it to tokenizer_config.json.`);
  }
}

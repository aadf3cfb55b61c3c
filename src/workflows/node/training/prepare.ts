import { createHash } from "node:crypto";
import { cpus } from "node:os";
import { bucketOf } from "../../../data/batch.js";
import { type Example, encodeRows } from "../../../data/example.js";
import { readRows } from "../../../data/node/read-rows.js";
import { splitHeldOut } from "../../../data/split.js";
import { InputError } from "../../../errors.js";
import { type AdapterConfig, configOf } from "../../../lora/adapter.js";
import { type AdapterLayout, buildLayout } from "../../../lora/layout.js";
import { type AdapterSpec, adaptGroups } from "../../../lora/spec.js";
import { nodeEngine } from "../../../runtime/node/engine.js";
import type { TextCodec } from "../../../text/tokenizer.js";
import type { RunIdentity } from "../../../training/node/checkpoint-file.js";
import type { TrainSettings } from "../../options.js";
import { targetOf } from "../device.js";
import { type OpenedModel, type OpenOptions, openModel } from "../open-model.js";

/** Examples of a run, and what a person should know of them. */
export interface RunData {
  readonly train: readonly Example[];
  readonly validation: readonly Example[];
  readonly notes: readonly string[];
}

/** All that stands before the first step. */
export interface PreparedRun {
  readonly settings: TrainSettings;
  readonly opened: OpenedModel;
  readonly data: RunData;
  readonly spec: AdapterSpec;
  readonly layout: AdapterLayout;
  readonly config: AdapterConfig;
  readonly identity: RunIdentity;
  /** Tokens of the longest example, padded as in its batch. */
  readonly maxTokens: number;
}

/** Reads the data before the model's weights are touched: a mistake in a file is told at once. */
export async function prepareRun(settings: TrainSettings, options: OpenOptions): Promise<PreparedRun> {
  const rows = await readRows(settings.data);
  const validationRows = settings.valid === undefined ? undefined : await readRows(settings.valid);
  const target = await targetOf(settings.device);
  const opened = await openModel(settings.model, { target, threads: settings.threads }, options);
  const maxLength = Math.min(settings.maxLength, opened.model.dimensions.maxPositions);
  const encode = (source: Awaited<ReturnType<typeof readRows>>) =>
    encodeRows(opened.codec, source.rows, { maxLength, overflow: settings.overflow });
  const data = splitData(encode(rows), validationRows === undefined ? undefined : encode(validationRows), settings);

  const { rank, alpha, dropout, layers, initialisation } = settings;
  const spec: AdapterSpec = { rank, alpha, dropout, layers, initialisation };
  const layout = buildLayout(adaptGroups(opened.model.linearGroups, spec));
  const examples = [...data.train, ...data.validation];
  return {
    settings,
    opened,
    data,
    spec,
    layout,
    config: configOf(spec, layout, opened.model.linearGroups.flat(), opened.name),
    identity: identityOf(settings, opened, data, layout),
    maxTokens: bucketOf(examples.reduce((longest, { ids }) => Math.max(longest, ids.length), 0)),
  };
}

type Encoded = ReturnType<typeof encodeRows>;

function splitData(encoded: Encoded, validation: Encoded | undefined, { seed, data, valid }: TrainSettings): RunData {
  const notes = countNotes(data, encoded);
  if (validation !== undefined) {
    const leaked = overlap(encoded.examples, validation.examples);
    if (leaked > 0)
      notes.push(
        `${leaked} of ${validation.examples.length} prompts in ${valid} are also in ${data}: the validation loss will look too good`,
      );
    return { train: encoded.examples, validation: validation.examples, notes: [...notes, ...countNotes(valid ?? "", validation)] };
  }
  const { train, heldOut } = splitHeldOut(encoded.examples, seed);
  if (heldOut.length === 0) notes.push("nothing could be held out for validation; give examples of their own with --valid");
  else notes.push(`${heldOut.length} of ${encoded.examples.length} examples are held out for validation (seed ${seed})`);
  return { train, validation: heldOut, notes };
}

function countNotes(file: string, { counts }: Encoded): string[] {
  const notes: string[] = [];
  if (counts.cut > 0) notes.push(`${file}: ${counts.cut} examples are longer than --max-length and cut at their end`);
  if (counts.droppedTooLong > 0) notes.push(`${file}: ${counts.droppedTooLong} examples are too long and left out`);
  if (counts.droppedEmpty > 0) notes.push(`${file}: ${counts.droppedEmpty} examples have nothing to learn and are left out`);
  return notes;
}

function overlap(train: readonly Example[], validation: readonly Example[]): number {
  const prompts = new Set(train.map(({ prompt }) => prompt));
  return validation.filter(({ prompt }) => prompts.has(prompt)).length;
}

/** What a checkpoint compares before a run goes on. */
function identityOf(settings: TrainSettings, opened: OpenedModel, data: RunData, layout: AdapterLayout): RunIdentity {
  const {
    out: _out,
    resume: _resume,
    report: _report,
    threads: _threads,
    device: _device,
    data: _data,
    valid: _valid,
    model: _model,
    ...options
  } = settings;
  const weights = [...opened.checkpoint.tensors.values()].map(({ name, type, shape }) => [name, type, shape]);
  return {
    run: {
      ...options,
      model: digest([opened.config, weights]),
      trainingData: digestOf(data.train),
      validationData: digestOf(data.validation),
      parameters: layout.length,
    },
    machine: {
      engine: nodeEngine.version,
      processor: cpus()[0]?.model ?? "unknown",
      threads: settings.threads ?? cpus().length,
      device: opened.compile.target,
      precision: "fp32",
    },
  };
}

function digest(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

function digestOf(examples: readonly Example[]): string {
  const hash = createHash("sha256");
  for (const { ids, supervised } of examples) hash.update(ids).update(supervised).update("|");
  return hash.digest("hex").slice(0, 16);
}

/** The tokenizer must know where an answer ends, or the trained model never stops. */
export function checkCodec(codec: TextCodec, model: string): void {
  if (codec.endOfTurnIds.length === 0) {
    throw new InputError(`${model}: its files name no token that ends an answer (eos_token). Add it to tokenizer_config.json.`);
  }
}

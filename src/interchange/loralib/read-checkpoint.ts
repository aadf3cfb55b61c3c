import { InputError } from "../../errors.js";
import type { Adapter, TrainedTensor } from "../../lora/adapter.js";
import type { AdapterLayer, LinearLayer } from "../../lora/layer.js";
import { plainConfig } from "../../lora/plain-config.js";
import { adaptableGroups } from "../../lora/tables.js";
import { nearestNames } from "../../lora/targets.js";
import { placesOf } from "../../lora/whole-tensors.js";
import type { ModelGraph } from "../../models/architecture.js";
import type { Checkpoint } from "../../weights/checkpoint.js";
import { type LoralibPair, layerOf } from "./layer-parts.js";
import { placeNamed } from "./place-named.js";

/** As many problems as one error spells out; the rest are counted. */
const LISTED = 20;

/** What a checkpoint of loralib does not say. */
export interface LoralibReading {
  /** For messages. */
  readonly file: string;
  /** loralib's `lora_alpha`; the rank is that of the shapes. */
  readonly alpha: number;
  /** loralib's `enable_lora`, where only some parts of a layer are adapted. */
  readonly enable: readonly boolean[] | undefined;
  readonly baseModel: string;
}

/**
 * The adapter in what `lora.lora_state_dict(model, bias=…)` of Microsoft's loralib gave, the code of the paper: `lora_A` and `lora_B` of each
 * layer, and biases. Its names are those of the model that somebody built: a layer is the one whose path ends alike.
 *
 * @throws InputError with everything that does not belong to the model, and what does not fit.
 */
export async function readLoralibCheckpoint(checkpoint: Checkpoint, model: ModelGraph, reading: LoralibReading): Promise<Adapter> {
  const { pairs, biases, problems } = sortOut(checkpoint, model);
  if (pairs.size === 0 && problems.length === 0) problems.push("it holds no lora_A and lora_B");
  const layers = await readLayers(checkpoint, [...pairs], model, reading, problems);
  const trained = await readBiases(checkpoint, biases, model, problems);
  if (problems.length > 0) throw refusal(reading.file, reading.baseModel, problems);
  const own = new Set(layers.map(({ name }) => `${name}.bias`));
  const bias = trained.length === 0 ? "none" : trained.every(({ name }) => own.has(name)) ? "lora_only" : "all";
  const names = layers.map(({ name }) => name);
  const from = {
    method: "lora",
    baseModel: reading.baseModel,
    rank: 1,
    alpha: 1,
    dropout: 0,
    rankStabilised: false,
    rankPattern: {},
    alphaPattern: {},
    targetModules: names,
    excludeModules: undefined,
    blocks: undefined,
    initialisation: "peft",
    isConv1D: layers.some(({ isConv1D }) => isConv1D),
    taskType: "CAUSAL_LM",
    trainedModules: [],
    bias,
    tiesWeights: false,
  } satisfies Adapter["config"];
  return { config: plainConfig(from, layers, names), layers, trained };
}

interface Found {
  readonly pairs: ReadonlySet<string>;
  readonly biases: readonly string[];
  readonly problems: string[];
}

/** Buffers of GPT-2's attention are called biases, and so `bias="all"` saves them. */
function sortOut(checkpoint: Checkpoint, { checkpointForm }: ModelGraph): Found {
  const isConstant = (key: string) => checkpointForm?.constants?.test(key) ?? false;
  const keys = [...checkpoint.tensors.keys()].filter((key) => !isConstant(key));
  const pairs = new Set(keys.flatMap((key) => /^(?:(.*)\.)?lora_[AB]$/.exec(key)?.[1] ?? []));
  const biases = keys.filter((key) => /(^|\.)bias$/.test(key));
  const others = keys.filter((key) => !/\.lora_[AB]$/.test(key) && !biases.includes(key));
  const problems = [...checkpoint.unreadable]
    .filter(([key]) => !isConstant(key))
    .map(([key, type]) => `${key} is stored as ${type}; F32, F16 and BF16 are read`);
  if (others.length > 0)
    problems.push(
      `it holds ${others.length} other tensor${others.length === 1 ? "" : "s"} (${others.slice(0, 3).join(", ")}${others.length > 3 ? ", …" : ""}): save lora.lora_state_dict(model), not the whole model`,
    );
  return { pairs, biases, problems };
}

async function readLayers(
  checkpoint: Checkpoint,
  names: readonly string[],
  model: ModelGraph,
  { alpha, enable }: LoralibReading,
  problems: string[],
): Promise<AdapterLayer[]> {
  const all = adaptableGroups(model).flat();
  const byName = new Map(all.map((layer) => [layer.name, layer]));
  const layers = new Map<string, AdapterLayer>();
  for (const name of names) {
    const layer = byName.get(placeNamed(name, [...byName.keys()]) ?? "");
    if (layer === undefined) problems.push(noLayer(name, all));
    else if (layers.has(layer.name)) problems.push(`${name}: another layer of the file is ${layer.name} too`);
    else {
      const pair = await readPair(checkpoint, name);
      const found = typeof pair === "string" ? pair : layerOf(pair, layer, { alpha, enable });
      if (typeof found === "string") problems.push(`${name}: ${found}`);
      else layers.set(layer.name, found);
    }
  }
  return all.flatMap(({ name }) => layers.get(name) ?? []);
}

const noLayer = (name: string, layers: readonly LinearLayer[]) =>
  `${name}: the model has no such layer (nearest: ${nearestNames(
    name,
    layers.map((layer) => layer.name),
    2,
  ).join(", ")})`;

async function readPair(checkpoint: Checkpoint, name: string): Promise<LoralibPair | string> {
  const [a, b] = [checkpoint.tensors.get(`${name}.lora_A`), checkpoint.tensors.get(`${name}.lora_B`)];
  if (a === undefined || b === undefined) return `has no ${a === undefined ? "lora_A" : "lora_B"}`;
  const [rows, columns] = [a.shape, b.shape];
  const isMatrix = (shape: readonly number[]): shape is [number, number] => shape.length === 2 && shape.every((size) => size > 0);
  if (!isMatrix(rows) || !isMatrix(columns))
    return `lora_A is [${rows.join(", ")}] and lora_B [${columns.join(", ")}]; matrices are expected`;
  const pair = { a: await checkpoint.readFloat32(a.name), b: await checkpoint.readFloat32(b.name), shapeOfA: rows, shapeOfB: columns };
  return pair.a.every(Number.isFinite) && pair.b.every(Number.isFinite) ? pair : "holds values that are not finite";
}

async function readBiases(
  checkpoint: Checkpoint,
  names: readonly string[],
  model: ModelGraph,
  problems: string[],
): Promise<TrainedTensor[]> {
  const places = placesOf(model);
  const known = [...places.keys()].filter((place) => place.endsWith(".bias"));
  const found = new Map<string, TrainedTensor>();
  for (const key of names) {
    const name = placeNamed(key, known) ?? "";
    const shape = places.get(name);
    const theirs = checkpoint.tensors.get(key)?.shape ?? [];
    if (shape === undefined) problems.push(`${key}: the model has no such bias`);
    else if (found.has(name)) problems.push(`${key}: another bias of the file is ${name} too`);
    else if (theirs.join() !== shape.join()) problems.push(`${key}: it is [${theirs.join(", ")}], the model has [${shape.join(", ")}]`);
    else {
      const values = await checkpoint.readFloat32(key);
      if (!values.every(Number.isFinite)) problems.push(`${key} holds values that are not finite`);
      found.set(name, { name, shape, values });
    }
  }
  return [...found.values()];
}

function refusal(file: string, model: string, problems: readonly string[]): InputError {
  const shown = problems.slice(0, LISTED).map((problem) => `\n- ${problem}`);
  const rest = problems.length > LISTED ? `\n- and ${problems.length - LISTED} more` : "";
  const advice = problems.some((problem) => problem.includes("the file does not say which"))
    ? "\nSay which parts are adapted by --enable-lora, as enable_lora was given to lora.MergedLinear: true,false,true."
    : "";
  return new InputError(
    `${file} is no adapter of loralib for ${model}; convolutions are not adapted here.${shown.join("")}${rest}${advice}`,
  );
}

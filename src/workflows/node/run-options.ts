import { isAbsolute, relative, resolve } from "node:path";
import { Document, isScalar, type Pair, type Scalar, YAMLMap } from "yaml";
import type { Precision, TrainSettings } from "../options.js";
import { groups, infoOf, trainSet } from "../options.js";
import { assetPath } from "./assets.js";

/** Where the package keeps the JSON schema of run.yaml. */
const SCHEMA = "train.schema.json";

/**
 * The schema's path as a file in the folder names it; undefined where the package lies outside the working directory, as after a global
 * installation: such a path would be one machine's alone.
 */
export function schemaSeenFrom(folder: string): string | undefined {
  const schema = assetPath(SCHEMA);
  const fromHere = relative(process.cwd(), schema);
  if (fromHere.startsWith("..") || isAbsolute(fromHere)) return undefined;
  return relative(resolve(folder), schema).replaceAll("\\", "/");
}

/** What a run made of options that leave a choice to the machine. */
export interface Decided {
  readonly settings: Pick<TrainSettings, "duration" | "lr" | "optimizer">;
  readonly precision: Precision;
  readonly device: "cpu" | "webgpu";
  readonly threads: number;
}

/** Sentences for the head of the file, one a line. */
export interface RunOptionsNotes {
  /** Versions and the machine. */
  readonly madeBy: string;
  /** The JSON schema of the file, as seen from it; undefined where it has no place beside the file. */
  readonly schema: string | undefined;
}

/**
 * A run's options as YAML, complete: what was given, the defaults, and what was decided, so that the file alone repeats the run.
 * Options that have no value stand in it as comments.
 */
export function runOptionsText(given: Readonly<Record<string, unknown>>, decided: Decided, notes: RunOptionsNotes): string {
  const values = completed({ ...given, ...decidedOptions(decided) });
  const map = new YAMLMap();
  const absent: string[] = [];
  for (const group of Object.values(groups)) {
    let heading: string | undefined = group;
    for (const name of namesOf(group)) {
      const value = values[name];
      if (value === undefined) absent.push(absentLine(name));
      else {
        map.items.push(pairOf(name, value, heading));
        heading = undefined;
      }
    }
  }
  const document = new Document(map);
  document.commentBefore = headOf(notes, decided);
  document.comment = [" Not set:", ...absent].join("\n");
  return document.toString({ lineWidth: 0 });
}

/** Options of one command alone, which are no part of the run. */
const transient: ReadonlySet<string> = new Set(["resume"]);

/** The options with every default that the rules between options allow beside them. */
function completed(given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const values = { ...given };
  for (const name of Object.keys(trainSet.shape)) {
    const { default: byDefault } = infoOf(trainSet.shape, name);
    const fits = byDefault !== undefined && trainSet.rules({ ...values, [name]: byDefault }, (each) => each).length === 0;
    if (values[name] === undefined && fits) values[name] = byDefault;
  }
  return values;
}

const namesOf = (group: string): string[] =>
  Object.keys(trainSet.shape).filter((name) => infoOf(trainSet.shape, name).group === group && !transient.has(name));

function absentLine(name: string): string {
  const { without } = infoOf(trainSet.shape, name);
  return without === undefined ? ` ${name}` : ` ${name} (default: ${without})`;
}

function pairOf(name: string, value: unknown, heading: string | undefined): Pair {
  const pair = new Document().createPair(name, value) as Pair<Scalar, unknown>;
  if (heading !== undefined && isScalar(pair.key)) {
    pair.key.spaceBefore = true;
    pair.key.commentBefore = ` ${heading}`;
  }
  return pair;
}

function headOf({ madeBy, schema }: RunOptionsNotes, { settings }: Decided): string {
  const lines = [
    ...(schema === undefined ? [] : [`yaml-language-server: $schema=${schema}`]),
    `The options of a run, made by ${madeBy}.`,
    "`lorikeet train --config FILE` repeats it: on this machine, with the same data, bit for bit. Relative paths are seen from the folder",
    "in which the command runs. threads, precision and device are what the machine decided: remove them elsewhere.",
    ...(settings.duration.kind === "minutes"
      ? ["A run in minutes ends as far as the machine came, and its learning rate follows the clock: give steps to repeat one exactly."]
      : []),
  ];
  return lines.map((line) => ` ${line}`).join("\n");
}

/** The options that stand for what was decided, one of each set that exclude one another. */
function decidedOptions({ settings, ...machine }: Decided): Readonly<Record<string, unknown>> {
  const { duration, lr, optimizer } = settings;
  const length = { [duration.kind]: Object.values(duration).find((value) => typeof value === "number") };
  const rule =
    optimizer.kind === "adamw"
      ? { optimizer: "adamw", betas: [optimizer.beta1, optimizer.beta2] }
      : { optimizer: "sgd", momentum: optimizer.momentum };
  return { ...length, lr, ...rule, ...machine };
}

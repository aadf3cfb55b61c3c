import { parse } from "yaml";
import { InputError, reasonOf } from "../errors.js";
import { compileTest } from "../patterns/pattern.js";
import { parseRepositoryName, type RepositoryName } from "./model-name.js";

/** Rows of a data set on the Hub: those of a split, or those in a file or folder. */
export interface DataSetName extends RepositoryName {
  /** A subset, as the page of the data set calls it. */
  readonly config: string | undefined;
  readonly split: string | undefined;
}

/** Files with rows, by their endings; `.gz` may follow. */
const rowFile = /\.(?:jsonl|ndjson|json|csv|tsv|parquet)(?:\.gz)?$/i;
/** Files that data sets have beside their rows, as the Python package `datasets` leaves them out. */
const noRows = /(?:^|\/)(?:[._][^/]*(?:\/.*)?|dataset_infos?\.json|dataset_dict\.json|state\.json)$/;
/** `hf://` is the address of `huggingface_hub`'s file system; the other one stands in a browser. */
const address = /^(?:hf:\/\/|https?:\/\/(?:www\.)?(?:hf\.co|huggingface\.co)\/)datasets\//;

/**
 * Reads `hf://datasets/org/name[@revision][/path]`, or `org/name[@revision][:split]` with `:config/split` for a subset; undefined where it is
 * neither, or the name of a file.
 */
export function parseDataSetName(text: string): DataSetName | undefined {
  const isAddress = address.test(text);
  const [given = "", selection, ...more] = text.replace(address, "").split(":");
  const named = parseRepositoryName(given);
  if (named === undefined || more.length > 0 || selection === "") return undefined;
  if (!isAddress && (named.path !== "" || rowFile.test(given))) return undefined;
  const parts = selection?.split("/") ?? [];
  if (parts.length > 2 || parts.includes("") || (parts.length > 0 && named.path !== "")) return undefined;
  return { ...named, config: parts.length === 2 ? parts[0] : undefined, split: parts.at(-1) };
}

/** Whether a name can only mean a data set on the Hub. */
export const isDataSetAddress = (text: string): boolean => address.test(text);

/** A subset's splits: the patterns of the files of each. */
interface Config {
  readonly name: string;
  readonly isDefault: boolean;
  readonly splits: ReadonlyMap<string, readonly string[]>;
}

/**
 * The files with the rows that a name means, in their order.
 *
 * @param files all files of the repository
 * @param card its README.md, where it has one: the head may say which files make which split
 * @throws InputError where there are none, with the names that there are.
 */
export function chooseDataFiles(name: DataSetName, files: readonly string[], card: string | undefined): string[] {
  const rows = files.filter((file) => rowFile.test(file) && !noRows.test(file)).sort();
  if (name.path !== "") return filesAt(name, rows);
  const configs = card === undefined ? [] : configsOf(name, card);
  const config = chooseConfig(name, configs.length > 0 ? configs : [foundConfig(rows)]);
  const split = chooseSplit(name, config);
  const patterns = (config.splits.get(split) ?? []).map(globOf);
  const chosen = rows.filter((file) => patterns.some((matches) => matches(file)));
  if (chosen.length === 0) throw new InputError(`${name.name}: the split ${split} has no files of rows (${KINDS}).`);
  return chosen;
}

const KINDS = ".jsonl, .json, .csv, .tsv, .parquet, each also with .gz";

function filesAt({ name, path }: DataSetName, rows: readonly string[]): string[] {
  const matches = globOf(path);
  const found = rows.filter((file) => matches(file) || file.startsWith(`${path}/`));
  if (found.length > 0) return found;
  const some = rows.slice(0, 10).join(", ");
  throw new InputError(
    `${name} has no files of rows (${KINDS}) at ${path}. It has ${some === "" ? "none at all" : `${some}${rows.length > 10 ? ", …" : ""}`}.`,
  );
}

function chooseConfig({ name, config }: DataSetName, configs: readonly Config[]): Config {
  const listed = configs.map((each) => each.name).join(", ");
  if (config !== undefined) {
    const found = configs.find((each) => each.name === config);
    if (found !== undefined) return found;
    throw new InputError(`${name} has no subset ${config}. Its subsets: ${listed}.`);
  }
  const [only] = configs;
  const chosen =
    configs.find(({ isDefault }) => isDefault) ??
    configs.find((each) => each.name === "default") ??
    (configs.length === 1 ? only : undefined);
  if (chosen !== undefined) return chosen;
  throw new InputError(`${name} has several subsets: ${listed}. Name one with its split, as in ${name}:${only?.name}/train.`);
}

function chooseSplit({ name, split }: DataSetName, { splits }: Config): string {
  const names = [...splits.keys()];
  if (split !== undefined && splits.has(split)) return split;
  const only = names.length === 1 ? names[0] : names.find((each) => each === "train");
  if (split === undefined && only !== undefined) return only;
  const listed = names.join(", ") || "none, since it has no files of rows";
  throw new InputError(
    split === undefined
      ? `${name} has several splits: ${listed}. Name one, as in ${name}:${names[0] ?? "train"}.`
      : `${name} has no split ${split}. Its splits: ${listed}.`,
  );
}

// https://huggingface.co/docs/hub/datasets-manual-configuration
function configsOf({ name }: DataSetName, card: string): Config[] {
  const [, head] = /^---\r?\n([\s\S]*?)\r?\n---(?:\r?\n|$)/.exec(card) ?? [];
  if (head === undefined) return [];
  let value: unknown;
  try {
    value = parse(head, { maxAliasCount: 0 });
  } catch (cause) {
    throw new InputError(`${name}: the head of its README.md is not YAML: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  const { configs } = isRecord(value) ? value : {};
  return (Array.isArray(configs) ? configs : []).flatMap((config: unknown): Config[] => {
    if (!isRecord(config) || config.data_files === undefined) return [];
    const { config_name = "default", data_files, data_dir } = config;
    const folder = typeof data_dir === "string" && data_dir !== "" ? `${data_dir.replace(/^\.\/|\/$/g, "")}/` : "";
    const splits = new Map<string, readonly string[]>();
    const entries = Array.isArray(data_files) ? data_files : [data_files];
    for (const entry of entries) {
      const { split = "train", path = entry } = isRecord(entry) ? entry : {};
      const patterns = (Array.isArray(path) ? path : [path]).filter((each): each is string => typeof each === "string");
      splits.set(String(split), [
        ...(splits.get(String(split)) ?? []),
        ...patterns.map((pattern) => folder + pattern.replace(/^\.\//, "")),
      ]);
    }
    return [{ name: String(config_name), isDefault: config.default === true, splits }];
  });
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Names by which splits are told in the names of files and folders. */
const keywords: Readonly<Record<string, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "dev", "val"],
  test: ["test", "testing", "eval", "evaluation"],
};

/**
 * The splits as the names of files tell them: `data/SPLIT-00000-of-00001.parquet`, else a word between other characters. All are `train`
 * where none does. Of files of several formats, those of the most frequent are taken.
 *
 * https://huggingface.co/docs/hub/datasets-file-names-and-splits
 */
function foundConfig(all: readonly string[]): Config {
  const rows = mostFrequentFormat(all);
  const splits = new Map<string, string[]>();
  const add = (split: string, file: string) => splits.set(split, [...(splits.get(split) ?? []), escaped(file)]);
  const sharded = rows.flatMap((file) => {
    const [, split] = /^data\/([A-Za-z0-9_.]+)-\d{5}-of-\d{5}[^/]*$/.exec(file) ?? [];
    return split === undefined ? [] : [{ file, split }];
  });
  if (sharded.length > 0) for (const { file, split } of sharded) add(split, file);
  else {
    for (const file of rows) {
      const words = file.toLowerCase().split(/[^a-z]+/);
      const split = Object.keys(keywords).find((key) => keywords[key]?.some((word) => words.includes(word)));
      if (split !== undefined) add(split, file);
    }
  }
  if (splits.size === 0) for (const file of rows) add("train", file);
  return { name: "default", isDefault: true, splits };
}

function mostFrequentFormat(rows: readonly string[]): readonly string[] {
  const formatOf = (file: string) => rowFile.exec(file)?.[0].toLowerCase().replace(/\.gz$/, "") ?? "";
  const counts = new Map<string, number>();
  for (const file of rows) counts.set(formatOf(file), (counts.get(formatOf(file)) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
  return rows.filter((file) => formatOf(file) === most);
}

const escaped = (file: string): string => file.replace(/[*?[\]\\]/g, "\\$&");

/** A pattern of file names, in which `*` and `?` stand for characters of one name and `**` for folders too, as a test. */
function globOf(pattern: string): (file: string) => boolean {
  const source = pattern.replace(
    /\\(.)|\*\*\/|\*\*|\*|\?|\[([^\]/]+)\]|[^\w/-]/g,
    (match, quoted: string | undefined, set: string | undefined) => {
      if (quoted !== undefined) return literal(quoted);
      if (set !== undefined) return `[${set.replace(/^!/, "^").replace(/[\\\]]/g, "\\$&")}]`;
      if (match === "**/") return "(?:[^/]+/)*";
      if (match === "**") return ".*";
      return match === "*" ? "[^/]*" : match === "?" ? "[^/]" : literal(match);
    },
  );
  try {
    return compileTest(source, { unicode: true });
  } catch (cause) {
    throw new InputError(`${JSON.stringify(pattern)} is no pattern of file names: ${reasonOf(cause, "it is too long")}.`, { cause });
  }
}

const literal = (character: string): string => character.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

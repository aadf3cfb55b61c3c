import { gunzipSync, gzipSync } from "node:zlib";
import { parse, stringify } from "yaml";
import { damageBytes, extreme, writeInteger } from "./bytes.js";
import { damagedValue, damageJson, damageJsonLines } from "./json.js";
import { type Mutation, once, pick } from "./mutation.js";
import { damageText } from "./text.js";

// Damage that knows a format, so that it comes further than the first check.

/** The header of safetensors is JSON behind its length: the length stays right, mostly. */
const damageSafetensors: Mutation = (bytes, source) => {
  if (bytes.length < 8 || once(source.random, 2)) return damageBytes(bytes, source);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = bytes.slice(8, 8 + length);
  const damaged = damageJson(header, { ...source, other: () => header });
  const start = new Uint8Array(8);
  writeInteger(start, 0, 8, once(source.random, 8) ? extreme(source.random, damaged.length) : BigInt(damaged.length));
  return new Uint8Array(Buffer.concat([start, damaged, bytes.subarray(8 + length)]));
};

/** A number in the header of a GGUF: a count, a length, a type, or a value. */
interface Field {
  readonly at: number;
  readonly bytes: number;
}

const fixedBytes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const [STRING, ARRAY] = [8, 9];

/** Where the numbers of a whole GGUF's header stand.                https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
function ggufFields(bytes: Uint8Array): Field[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields: Field[] = [];
  let at = 4;
  const number = (size: number): number => {
    fields.push({ at, bytes: size });
    at += size;
    return size === 8 ? Number(view.getBigUint64(at - 8, true)) : size === 4 ? view.getUint32(at - 4, true) : 0;
  };
  const text = () => {
    const length = number(8);
    at += length;
  };
  const value = (type: number) => {
    if (type === STRING) return text();
    if (type !== ARRAY) return void number(fixedBytes[type] ?? 0);
    const [inner, length] = [number(4), number(8)];
    for (let index = 0; index < length; index++) value(inner);
  };
  number(4);
  const [tensors, keys] = [number(8), number(8)];
  for (let index = 0; index < keys; index++) {
    text();
    value(number(4));
  }
  for (let index = 0; index < tensors; index++) {
    text();
    const rank = number(4);
    for (let axis = 0; axis < rank; axis++) number(8);
    number(4);
    number(8);
  }
  return fields;
}

/** Other numbers in the header; long lists of values are left out half of the time. */
const damageGguf: Mutation = (original, source) => {
  if (once(source.random, 3)) return damageBytes(original, source);
  const bytes = new Uint8Array(original);
  const all = ggufFields(original);
  const fields = once(source.random, 2) ? all : all.filter((_, index) => index < 60 || index > all.length - 200);
  for (let left = 1 + source.random.below(3); left > 0; left--) {
    const { at, bytes: size } = pick(source.random, fields);
    if (once(source.random, 3)) bytes[at] = source.random.below(14);
    else writeInteger(bytes, at, size, extreme(source.random, bytes.length));
  }
  return bytes;
};

const damageYaml: Mutation = (bytes, source) => {
  if (once(source.random, 2)) return damageText(bytes, source);
  const root: unknown = parse(new TextDecoder().decode(bytes));
  if (typeof root !== "object" || root === null) return damageText(bytes, source);
  const text = damagedValue(root as Record<string, unknown>, { ...source, other: () => new TextEncoder().encode(JSON.stringify(root)) });
  try {
    return new TextEncoder().encode(once(source.random, 2) ? text : stringify(JSON.parse(text)));
  } catch {
    return new TextEncoder().encode(text); // JSON is YAML, mostly
  }
};

const byEnding: Readonly<Record<string, Mutation>> = {
  safetensors: damageSafetensors,
  gguf: damageGguf,
  json: damageJson,
  jsonl: damageJsonLines,
  yaml: damageYaml,
  csv: damageText,
  tsv: damageText,
  txt: damageText,
  jinja: damageText,
};

/** The damage that suits a file, by the ending of its name. */
export function mutationOf(name: string): Mutation {
  if (name.endsWith(".gz")) {
    const inner = mutationOf(name.slice(0, -3));
    return (bytes, source) => {
      if (once(source.random, 2)) return damageBytes(bytes, source);
      return new Uint8Array(gzipSync(inner(gunzipSync(bytes), { ...source, other: () => gunzipSync(bytes) })));
    };
  }
  return byEnding[name.slice(name.lastIndexOf(".") + 1)] ?? damageBytes;
}

// A small writer of GGUF bytes for tests, with a free hand: it writes wrong counts, types and offsets as asked.

type Part = Uint8Array;

const u32 = (value: number): Part => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
};
export const u64 = (value: number | bigint): Part => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
};
const text = (value: string | Uint8Array): Part => {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return concat([u64(bytes.length), bytes]);
};

export function concat(parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const value = {
  u32: (number: number) => concat([u32(4), u32(number)]),
  f32: (number: number) => concat([u32(6), new Uint8Array(new Float32Array([number]).buffer)]),
  string: (string: string | Uint8Array) => concat([u32(8), text(string)]),
  strings: (strings: readonly string[]) => concat([u32(9), u32(8), u64(strings.length), ...strings.map(text)]),
  flag: (flag: boolean) => concat([u32(7), Uint8Array.of(Number(flag))]),
  flags: (flags: readonly boolean[]) => concat([u32(9), u32(7), u64(flags.length), Uint8Array.from(flags, Number)]),
  raw: (...parts: Part[]) => concat(parts),
  type: u32,
};

export interface TestTensor {
  name: string;
  /** As GGUF states it: innermost dimension first. */
  dims: readonly (number | bigint)[];
  type?: number;
  offset: number | bigint;
}

export function ggufBytes(options: {
  version?: number;
  keys?: readonly (readonly [string | Uint8Array, Uint8Array])[];
  tensors?: readonly TestTensor[];
  tensorCount?: number | bigint;
  keyCount?: number | bigint;
  data?: Uint8Array;
}): Uint8Array<ArrayBuffer> {
  const { keys = [], tensors = [], data = new Uint8Array(0) } = options;
  const header = concat([
    new TextEncoder().encode("GGUF"),
    u32(options.version ?? 3),
    u64(options.tensorCount ?? tensors.length),
    u64(options.keyCount ?? keys.length),
    ...keys.flatMap(([key, encoded]) => [text(key), encoded]),
    ...tensors.flatMap(({ name, dims, type = 0, offset }) => [text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)]),
  ]);
  const padding = new Uint8Array(data.length === 0 ? 0 : Math.ceil(header.length / 32) * 32 - header.length);
  return concat([header, padding, data]);
}

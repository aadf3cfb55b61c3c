import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The folder that tests/golden/weights.py wrote. */
export const goldenFolder = fileURLToPath(new URL("../golden/weights", import.meta.url));

interface Golden {
  blocks: {
    cases: { type: string; stored: string; values: string }[];
    everyHalf: { count: number; sha256: string };
  };
  model: { tensors: Record<string, { type: string; shape: number[]; sha256: string }>; ropeFactors: string };
  shards: Record<string, { shape: number[]; values: string }>;
}

export const golden = JSON.parse(readFileSync(`${goldenFolder}/expected.json`, "utf8")) as Golden;

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text, "base64"));
}

export function floats(text: string): Float32Array {
  return new Float32Array(fromBase64(text).buffer);
}

export function bits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

export function sha256(values: ArrayBufferView): string {
  return createHash("sha256")
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex");
}

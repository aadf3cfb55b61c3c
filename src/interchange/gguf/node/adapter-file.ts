import type { Adapter } from "../../../lora/adapter.js";
import { readRawGguf } from "../../../weights/gguf.js";
import { FileByteSource } from "../../../weights/node/file-byte-source.js";
import type { BaseModel } from "../base-model.js";
import { readGgufAdapter } from "../read-adapter.js";

/** Whether a path is named as a GGUF file is. */
export const isGgufFile = (path: string): boolean => path.toLowerCase().endsWith(".gguf");

/** Reads a GGUF adapter; see `readGgufAdapter`. */
export async function readGgufAdapterFile(path: string, model?: BaseModel): Promise<Adapter> {
  return await readGgufAdapter(await readRawGguf(await FileByteSource.open(path)), path, model);
}

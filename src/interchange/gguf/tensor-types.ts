import { InputError } from "../../errors.js";
import { type StoredType, storedFormats } from "../../weights/stored-types.js";
import { isWrittenType, type WrittenType } from "../../weights/written-types.js";
import type { GgufTensorInfo } from "./header.js";

// In which type each tensor of a GGUF is written.

/** The type of a model's matrices: one for all, or "base": each as the base, a GGUF, has it. */
export type ModelType = WrittenType | "base";

/** `general.file_type`.                                                           gguf-py: constants.py, LlamaFileType */
export const fileTypes: Readonly<Record<WrittenType, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q4_K: 14,
  Q5_K: 16,
  Q6_K: 18,
  BF16: 32,
};

/** What takes the place of a type whose blocks are no part of a row.                     llama.cpp: llama-quant.cpp, tensor_type_fallback */
const substitutes: Partial<Readonly<Record<WrittenType, WrittenType>>> = { Q4_K: "Q5_0", Q5_K: "Q5_1", Q6_K: "Q8_0" };

const fits = (type: StoredType, shape: readonly number[]): boolean => (shape.at(-1) ?? 0) % storedFormats[type].weights === 0;

function fitting(type: WrittenType, shape: readonly number[]): WrittenType {
  if (fits(type, shape)) return type;
  const substitute = substitutes[type] ?? "F16";
  return fits(substitute, shape) ? substitute : "F16";
}

/** Fewer bits than eight: blocks that some tensors are spared. */
const isCoarse = (type: WrittenType): boolean => type !== "Q8_0" && storedFormats[type].weights > 1;

/**
 * The type of a tensor in a file of one type: vectors and tables of positions in F32, rows that are no whole blocks in what fits them; and
 * of the types below 8 bits, the head (or the table that is the head too) in Q6_K.
 *                                          llama.cpp: conversion/base.py, prepare_tensors; llama-quant.cpp, llama_tensor_get_type
 *
 * @param head GGUF's name of it
 */
export function typeIn(type: WrittenType, { name, shape }: Pick<GgufTensorInfo, "name" | "shape">, head: string | undefined): WrittenType {
  if (shape.length < 2 || name === "position_embd.weight") return "F32";
  if (isCoarse(type) && name === head) return fits(type, shape) ? fitting("Q6_K", shape) : fitting("Q8_0", shape);
  return fitting(type, shape);
}

/** The type of a tensor of a GGUF that no adapter changes; undefined where it stays as it stands, down to its bytes. */
export function unchangedType(wanted: ModelType, tensor: GgufTensorInfo, head: string | undefined): WrittenType | undefined {
  if (wanted === "base") return undefined;
  const type = typeIn(wanted, tensor, head);
  const isQuantised = storedFormats[tensor.type].weights > 1;
  return tensor.type === type || (isQuantised && isCoarse(wanted)) ? undefined : type;
}

/** The type of a tensor that an adapter changes, where each is to be as the base has it. */
export function typeOfBase({ name, type }: GgufTensorInfo): WrittenType {
  if (isWrittenType(type)) return type;
  throw new InputError(
    `${name} is stored as ${type}, which is read here and not written: the merged weights cannot be like the base's. Name a type: --dtype q4_k has about as many bits, q8_0 and f16 have more.`,
  );
}

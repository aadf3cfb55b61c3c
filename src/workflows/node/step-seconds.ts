import type { BatchCosts } from "./plan-batches.js";

/**
 * The share of a bare product's speed that products within a step reach, in int8 together with their rounding. What lies between
 * the products goes by the bytes that it writes. Fitted to whole steps of SmolLM2-135M, rank 16 on all layers, on the two cores of
 * an Intel and of an AMD server; `npm run bench -- --work plan` compares them with runs.
 */
const EFFICIENCY = { float: 1, int8: 0.9 } as const;
/** Bytes of values that are written in a second between the products, reading what they are made of included. */
const WRITTEN_PER_SECOND = 7e9;
/** Operations in whose time a byte of float32 is unpacked from blocks of few bits. */
const UNPACKING = 95;

/** Values that an update writes for each trainable: the gradient as it comes back, scaled by its count and clipped, and AdamW's three. */
const WRITTEN_BY_UPDATE = 6;

/** Bytes that an update of so many trainables writes. */
export const updateBytes = (trainables: number): number => 4 * WRITTEN_BY_UPDATE * trainables;

export interface MachineSpeed {
  /** Operations per second of a bare product in float32. */
  readonly flops: number;
  /** How many times as fast a product in int8 is. */
  readonly speedup: number;
  /** Whether weights are unpacked from blocks. */
  readonly unpacks: boolean;
}

/** Seconds of the batches whose operations and bytes are counted. */
export function secondsOf(
  { flops, int8Flops, copiedBytes, writtenBytes }: Pick<BatchCosts, "flops" | "int8Flops" | "copiedBytes" | "writtenBytes">,
  speed: MachineSpeed,
): number {
  const float = flops - int8Flops + (speed.unpacks ? UNPACKING * copiedBytes : 0);
  const products = (float / EFFICIENCY.float + int8Flops / (EFFICIENCY.int8 * speed.speedup)) / speed.flops;
  return products + writtenBytes / WRITTEN_PER_SECOND;
}

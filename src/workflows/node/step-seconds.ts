import type { BatchCosts } from "./plan-batches.js";

/**
 * The share of a bare product's speed that the products of a whole step reach: the rest goes into softmax, norms, and small
 * products, and in int8 into rounding. Measured in whole steps of SmolLM2-135M, rank 16 on all layers, two cores: 4 × 256 and
 * 8 × 128 tokens, with and without gradient checkpointing, give 0.80 to 0.83 in fp32 and 0.53 to 0.56 in int8.
 */
const EFFICIENCY = { float: 0.81, int8: 0.54 } as const;
/** Operations in whose time a byte of float32 is unpacked from blocks of few bits (the same steps, 4bit). */
const UNPACKING = 87;

export interface MachineSpeed {
  /** Operations per second of a bare product in float32. */
  readonly flops: number;
  /** How many times as fast a product in int8 is. */
  readonly speedup: number;
  /** Whether weights are unpacked from blocks. */
  readonly unpacks: boolean;
}

/** Seconds of the batches whose operations are counted. */
export function secondsOf(
  { flops, int8Flops, copiedBytes }: Pick<BatchCosts, "flops" | "int8Flops" | "copiedBytes">,
  speed: MachineSpeed,
): number {
  const float = flops - int8Flops + (speed.unpacks ? UNPACKING * copiedBytes : 0);
  return (float / EFFICIENCY.float + int8Flops / (EFFICIENCY.int8 * speed.speedup)) / speed.flops;
}

import type { Emitter } from "../graph/op.js";
import { binary, gemm } from "./engine-nodes.js";
import { int8Forward } from "./int8.js";
import { capped, times } from "./soft-cap.js";
import { timesTableTransposed } from "./table.js";

/** Names of the values that some rows of logits are made of. */
export interface LogitInputs {
  readonly x: string; // [S, C]
  readonly weight: string; // [V, C]
  /** Of the weight. */
  readonly shape: readonly [number, number];
  /** What a low-rank matrix beside W adds, u·Pᵀ; empty strings where there is none. */
  readonly factors: string; // u [S, R]
  readonly table: string; // P [V, R]
}

/** z = x·Wᵀ + u·Pᵀ [S, V], W in the precision in which it is stored; with a soft cap c it is c·tanh(z/c), and the tanh beside it. */
export function vocabularyLogits(
  e: Emitter,
  { x, weight, shape, factors, table }: LogitInputs,
  softCap: number | undefined,
): ReturnType<typeof capped> {
  const int8 = e.target === "cpu" ? e.int8(weight) : undefined;
  const own = int8 === undefined ? timesTableTransposed(e, x, weight, shape) : int8Forward(e, x, int8);
  const all = table === "" ? own : binary(e, "Add", own, gemm(e, factors, table, { transposeB: true }));
  return capped(e, softCap === undefined ? all : times(e, all, 1 / softCap), softCap);
}

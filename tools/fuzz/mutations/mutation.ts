import type { Random } from "../../../src/data/random.js";

/** What a mutation may draw from. */
export interface Source {
  readonly random: Random;
  /** Bytes of another file of the same kind. */
  other(): Uint8Array;
  /** Paths that lead out of an input's folder, to a place that is watched. */
  readonly escapes: readonly string[];
}

/** The file with some damage; the bytes handed in stay as they are. */
export type Mutation = (bytes: Uint8Array, source: Source) => Uint8Array;

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.below(from.length)] as T;
}

/** Whether something happens that does so once in `times`. */
export const once = (random: Random, times: number): boolean => random.below(times) === 0;

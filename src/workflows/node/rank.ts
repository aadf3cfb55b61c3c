import type { Controls, Progress, RankOptions, RankResult } from "../api.js";
import { checkOptions, inCode, rankSet } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Rank, singular values and best approximations of a matrix out of a file.
 *
 * @throws InputError for a file that holds no matrix, or several of which none is named.
 */
export async function rank({ signal, onProgress, ...options }: RankOptions & Controls): Promise<RankResult> {
  return callOnce("rank", checkOptions(rankSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}

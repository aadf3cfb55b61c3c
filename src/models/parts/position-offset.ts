import type { ModelDimensions } from "../architecture.js";

/**
 * What is added to the positions of texts of which the longest has so many tokens. Where LongRoPE turns long texts by other angles,
 * their rows of the rotary tables stand behind those of short ones.
 */
export const positionOffset = (
  { shortContext = Number.POSITIVE_INFINITY }: Pick<ModelDimensions, "shortContext">,
  tokens: number,
): number => (tokens > shortContext ? shortContext : 0);

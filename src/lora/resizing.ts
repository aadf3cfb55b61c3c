import { InputError } from "../errors.js";
import type { Adapter } from "./adapter.js";
import { directionsOf } from "./directions.js";
import { plainLayers, type WeightOf } from "./plain.js";
import { plainConfig } from "./plain-config.js";
import { type RankChoice, truncate } from "./truncation.js";

/** A layer before and after. */
export interface ResizedLayer {
  readonly name: string;
  readonly rank: number;
  readonly formerRank: number;
  /** ‖ΔW‖ before, and what is lost of it as a share. */
  readonly norm: number;
  readonly relativeError: number;
}

export interface Resized {
  readonly adapter: Adapter;
  readonly layers: readonly ResizedLayer[];
}

/** What resizing is told of its surroundings. */
export interface ResizeControls {
  /** The weights of the model, for adapters that start from them. */
  readonly weightOf?: WeightOf | undefined;
  /** Awaited before each layer, with the number of those done; it ends the work by throwing. */
  readonly pause?: ((done: number, total: number) => Promise<void>) | undefined;
}

/**
 * An adapter with fewer directions: in each layer the strongest ones of ΔW, as many as are asked for or as have a share of its energy. What
 * was trained whole beside it stays.
 *
 * @param name what messages call it
 * @throws InputError for a rank that no layer exceeds, and for variants that are no plain pairs.
 */
export async function resizeAdapter(
  adapter: Adapter,
  choice: RankChoice,
  name: string,
  { weightOf, pause }: ResizeControls = {},
): Promise<Resized> {
  const plain = await plainLayers(adapter, name, weightOf);
  const most = Math.max(0, ...plain.map(({ rank }) => rank));
  if ("rank" in choice && choice.rank >= most)
    throw new InputError(
      `${name} has rank ${most} at most already. Give a rank below ${most}: resizing leaves directions out, and adds none.`,
    );
  const resized = [];
  for (const layer of plain) {
    await pause?.(resized.length, plain.length);
    const directions = directionsOf(layer);
    const { layer: small, relativeError } = truncate(layer, directions, choice);
    resized.push({
      small,
      name: layer.name,
      rank: small.rank,
      formerRank: layer.rank,
      norm: Math.hypot(...directions.values),
      relativeError,
    });
  }
  const layers = resized.map(({ small }) => small);
  const { config } = adapter;
  return {
    adapter: { ...adapter, config: plainConfig(config, layers, config.targetModules), layers },
    layers: resized.map(({ small: _, ...rest }) => rest),
  };
}

import { InputError } from "../../errors.js";
import type { ConfigReader } from "../config-reader.js";

const FULL = "full_attention";
const SLIDING = "sliding_attention";

interface Windows {
  readonly blocks: number;
  /** Undefined where no block has one. */
  readonly window: number | undefined;
  /** Which blocks have it where `layer_types` does not say. */
  readonly slides: (block: number) => boolean;
}

/** The window of each block, undefined for those that see all that came before: as `layer_types` says, or else `slides`. */
export function attentionWindows(config: ConfigReader, { blocks, window, slides }: Windows): readonly (number | undefined)[] {
  const asDefault = Array.from({ length: blocks }, (_, block) => (window !== undefined && slides(block) ? SLIDING : FULL));
  const types = config.list("layer_types") ?? asDefault;
  if (types.length !== blocks) {
    throw new InputError(`config.json: "layer_types" names ${types.length} layers, "num_hidden_layers" is ${blocks}`);
  }
  return types.map((type) => {
    if (type === FULL) return undefined;
    if (type !== SLIDING) {
      throw new InputError(`config.json: "layer_types" holds ${JSON.stringify(type)}; supported are "${FULL}" and "${SLIDING}"`);
    }
    if (window === undefined) throw new InputError(`config.json: "layer_types" holds "${SLIDING}", but the model has no "sliding_window"`);
    return window;
  });
}

/** Qwen's windows: of the blocks from `max_window_layers` on, where `use_sliding_window` is true. */
export function qwenWindows(config: ConfigReader, blocks: number): readonly (number | undefined)[] {
  const window = config.flag("use_sliding_window", false) ? config.optionalCount("sliding_window", 4096) : undefined;
  const first = config.optionalCount("max_window_layers", 28) ?? 0;
  return attentionWindows(config, { blocks, window, slides: (block) => block >= first });
}

import { InputError } from "../errors.js";
import { type AdapterLayout, type LayoutEntry, type PlacedParameter, sizeOf } from "./layout.js";

/** A stretch [start, end) of the vector of trainables that is updated by itself. */
export interface RateSpan {
  readonly start: number;
  readonly end: number;
  /** Of the run's learning rate. */
  readonly factor: number;
  /** Whether the run's weight decay pulls at it. */
  readonly decays: boolean;
}

/**
 * LoRA+ (Hayou et al. 2024, arXiv 2402.12354, section 4): B learns faster than A, by a ratio. As in PEFT's `create_loraplus_optimizer`,
 * so does whatever else is at the output's side, and every vector that is trained whole; biases do not decay.
 */
export function rateSpans(layout: AdapterLayout, ratio: number): RateSpan[] {
  const table = layout.groups.flatMap(({ layers }) => layers).find(({ isTable }) => isTable);
  if (table !== undefined)
    throw new InputError(
      `LoRA+ gives the two sides of a layer different learning rates, and ${table.name} is a table of embeddings, for which PEFT has a third one, not a multiple of the others. Leave it out of the layers, or take a LoRA+ ratio of 1.`,
    );
  const placed: readonly PlacedParameter[] = layout.groups.flatMap(({ layers }) =>
    layers.flatMap(({ parameters }) => [...parameters.values()]),
  );
  const fast = new Set([
    ...placed.filter(({ side, isTrained }) => isTrained && side === "output").map(({ name }) => name),
    ...layout.modules.filter(({ shape }) => shape.length === 1).map(({ name }) => name),
  ]);
  const spans: RateSpan[] = [];
  for (const entry of layout.entries.values()) {
    const factor = fast.has(entry.name) ? ratio : 1;
    const decays = !entry.name.endsWith(".bias");
    const last = spans.at(-1);
    if (last?.factor === factor && last.decays === decays) spans[spans.length - 1] = { ...last, end: endOf(entry) };
    else spans.push({ start: entry.offset, end: endOf(entry), factor, decays });
  }
  return spans;
}

function endOf(entry: LayoutEntry): number {
  return entry.offset + sizeOf(entry);
}

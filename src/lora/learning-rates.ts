import { type AdapterLayout, type LayoutEntry, type PlacedParameter, sizeOf } from "./layout.js";

/** A stretch [start, end) of the vector of trainables whose learning rate is the run's times a factor. */
export interface RateSpan {
  readonly start: number;
  readonly end: number;
  readonly factor: number;
}

/**
 * LoRA+ (Hayou et al. 2024, arXiv 2402.12354, section 4): B learns faster than A, by a ratio. As in PEFT's `create_loraplus_optimizer`,
 * so does whatever else is at the output's side, and every vector that is trained whole.
 */
export function rateSpans(layout: AdapterLayout, ratio: number): RateSpan[] {
  const placed: readonly PlacedParameter[] = layout.groups.flatMap(({ layers }) =>
    layers.flatMap(({ parameters }) => [...parameters.values()]),
  );
  const fast = new Set(placed.filter(({ side, isTrained }) => isTrained && side === "output").map(({ name }) => name));
  const spans: RateSpan[] = [];
  for (const entry of layout.entries.values()) {
    const factor = fast.has(entry.name) || (layout.modules.includes(entry) && entry.shape.length === 1) ? ratio : 1;
    const last = spans.at(-1);
    if (last?.factor === factor) spans[spans.length - 1] = { ...last, end: endOf(entry) };
    else spans.push({ start: entry.offset, end: endOf(entry), factor });
  }
  return spans;
}

function endOf(entry: LayoutEntry): number {
  return entry.offset + sizeOf(entry);
}

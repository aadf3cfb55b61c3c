import type { LabelledTokens } from "./lesson.js";
import type { RowSource } from "./row.js";

/** Two texts of like meaning, such as a question and a text that answers it. */
export interface PairRow {
  readonly anchor: string;
  readonly positive: string;
  /** The row names a wrong positive of its own too, which is not learned from. */
  readonly hasNegative: boolean;
  readonly source: RowSource;
  /** As in `SourceRow`. */
  readonly group?: string;
}

/** A pair as token ids: the anchor, and beside it the positive. */
export interface PairExample extends LabelledTokens {
  readonly source: RowSource;
  /** Pairs of one anchor have the same key, and are held out together. */
  readonly prompt: string;
  /** As in `SourceRow`. */
  readonly group?: string;
  readonly row: PairRow;
}

/** Rows `{"anchor", "positive"}`. */
export function recognisePair(value: unknown): Omit<PairRow, "source"> | { readonly problem: string } {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { problem: 'expected an object with "anchor" and "positive", found another value' };
  const fields = new Map(Object.entries(value));
  const [anchor, positive] = [fields.get("anchor"), fields.get("positive")];
  if (isText(anchor) && isText(positive))
    return { anchor, positive, hasNegative: [...fields.keys()].some((key) => /^negatives?(_\d+)?$/.test(key)) };
  const present = (["anchor", "positive"] as const).find((key) => fields.has(key) && !isText(fields.get(key)));
  if (present !== undefined)
    return { problem: `expected "${present}" to be a text that is not empty, found ${JSON.stringify(fields.get(present))?.slice(0, 40)}` };
  const found = [...fields.keys()].slice(0, 12).map((key) => JSON.stringify(key));
  return { problem: `expected "anchor" and "positive", found ${found.length === 0 ? "no keys" : found.join(", ")}` };
}

const isText = (value: unknown): value is string => typeof value === "string" && value.trim() !== "";

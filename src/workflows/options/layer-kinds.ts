import * as z from "zod";
import { type LayerSelection, patternKeyTest, patternTest } from "../../lora/targets.js";
import type { ValueKind } from "../option.js";

// Kinds of values that say something of a model's layers.

/** Layers by name or by pattern. */
export function layerSelection(): ValueKind<z.ZodType<LayerSelection, string | readonly string[]>> {
  const name = z.string().trim().min(1);
  const schema = z.union([name, z.array(name).min(1).readonly()]).transform((value, context): LayerSelection => {
    if (value === "all-linear" || value === "peft") return { kind: value };
    const pattern = typeof value === "string" ? /^\/(.+)\/$/s.exec(value)?.[1] : undefined;
    if (pattern === undefined) {
      const names = typeof value === "string" ? value.split(",").map((each) => each.trim()) : value;
      if (names.includes("")) context.addIssue({ code: "custom", message: "a name in the list is empty" });
      return { kind: "names", names };
    }
    refuseBroken(context, () => patternTest(pattern));
    return { kind: "pattern", pattern };
  });
  return { kind: "layers", schema, expected: "all-linear, peft, names of layers separated by commas, or a regular expression as /…/" };
}

/** Names of modules: `lm_head,model.norm`. */
export function moduleNames(): ValueKind<z.ZodType<readonly string[], string | readonly string[]>> {
  const name = z.string().trim().min(1);
  const schema = z.union([name, z.array(name).min(1).readonly()]).transform((value, context): readonly string[] => {
    const names = typeof value === "string" ? value.split(",").map((each) => each.trim()) : value;
    if (names.includes("")) context.addIssue({ code: "custom", message: "a name in the list is empty" });
    return names;
  });
  return { kind: "layers", schema, expected: "names of modules separated by commas, such as lm_head,model.norm" };
}

/** Tokens by their text or as ids: `<|tool|>,49153`. */
export function tokenList(): ValueKind<z.ZodType<readonly (string | number)[], string | number | readonly (string | number)[]>> {
  const id = z.int().min(0);
  const text = z.string().min(1);
  const schema = z
    .union([
      text,
      id,
      z
        .array(z.union([text, id]))
        .min(1)
        .readonly(),
    ])
    .transform((value, context) => {
      const given = typeof value === "string" ? value.split(",").map((each) => each.trim()) : [value].flat();
      if (given.includes("")) context.addIssue({ code: "custom", message: "a token in the list is empty" });
      return given.map((each) => (typeof each === "string" && /^\d{1,9}$/.test(each) ? Number(each) : each));
    });
  return { kind: "layers", schema, expected: "tokens or their ids separated by commas, such as <|tool|>,49153" };
}

/** A number for each of some layers, whose names may be regular expressions: `q_proj=8,layers.0.mlp.*=4`. */
export function numbersByLayer(
  each: z.ZodNumber,
  words: string,
): ValueKind<z.ZodType<Record<string, number>, string | Record<string, number>>> {
  const schema = z.union([z.string().trim().min(1), z.record(z.string().min(1), z.number())]).transform((value, context) => {
    const pairs = typeof value === "string" ? value.split(",").map(pairOf) : Object.entries(value);
    for (const [name, found] of pairs) {
      if (name === "" || !each.safeParse(found).success)
        context.addIssue({ code: "custom", message: `${name || "a part"} has no ${words}` });
      refuseBroken(context, () => patternKeyTest(name));
    }
    return Object.fromEntries(pairs);
  });
  return { kind: "numbersByLayer", schema, expected: `${words} by layer, such as q_proj=8,mlp.up_proj=4` };
}

function pairOf(text: string): [name: string, value: number] {
  const at = text.lastIndexOf("=");
  return at < 1 ? [text.trim(), Number.NaN] : [text.slice(0, at).trim(), Number(text.slice(at + 1))];
}

/** Numbers of a model's blocks, from 0: `0,2-5`. */
export function blockNumbers(): ValueKind<z.ZodType<readonly number[], string | readonly number[]>> {
  const schema = z.union([z.string().trim().min(1), z.array(z.int().min(0)).min(1).readonly()]).transform((value, context) => {
    if (typeof value !== "string") return value;
    const numbers = value.split(",").flatMap((part) => {
      const [, from, to = from] = /^\s*(\d{1,4})(?:\s*-\s*(\d{1,4}))?\s*$/.exec(part) ?? [];
      if (from === undefined || Number(to) < Number(from)) {
        context.addIssue({ code: "custom", message: `${JSON.stringify(part)} is no block, and no range of blocks` });
        return [];
      }
      return Array.from({ length: Number(to) - Number(from) + 1 }, (_, index) => Number(from) + index);
    });
    return [...new Set(numbers)].sort((a, b) => a - b);
  });
  return { kind: "blocks", schema, expected: "numbers of blocks from 0, such as 0,2-5" };
}

function refuseBroken(context: z.RefinementCtx, compile: () => unknown): void {
  try {
    compile();
  } catch (error) {
    context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
  }
}

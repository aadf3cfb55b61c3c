import { MASKED } from "../../ops/attention-bias.js";
import { biasName } from "./decoder-graph.js";
import type { NodeList } from "./node-list.js";

// What transformers.js feeds a decoder, turned into what the decoder's graph reads. Of a mask of padding on either side, the real tokens
// are counted: a token's position is the number of those before it, wherever the padding is.

/** Inputs of the file. */
export const IDS = "input_ids";
export const MASK = "attention_mask";
export const WANTED_COUNT = "num_logits_to_keep";

/** The last of a list: no list is as long. */
const END = Number.MAX_SAFE_INTEGER;

/** Lengths [1] that a file's inputs tell. */
export interface Lengths {
  /** Sequences. */
  readonly batch: string;
  /** New tokens of a sequence. */
  readonly tokens: string;
  /** Those and the rows of the cache. */
  readonly seen: string;
}

export function lengthsOf(nodes: NodeList): Lengths {
  const axis = (input: string, start: number) =>
    nodes.add("Shape", [input], { attributes: { start: { int: start }, end: { int: start + 1 } } });
  return { batch: axis(IDS, 0), tokens: axis(IDS, 1), seen: axis(MASK, 1) };
}

/** What the decoder has of its own. */
export interface DecoderInputs {
  readonly windows: readonly (number | undefined)[];
  /** Beyond this many tokens positions are those behind the short ones; see `positionOffset`. */
  readonly shortContext?: number | undefined;
}

/** Writes the nodes whose outputs are the inputs `ids`, `positions`, `wanted` and the masks of `buildDecoderGraph`. */
export function writeDecoderInputs(nodes: NodeList, { batch, tokens, seen }: Lengths, { windows, shortContext }: DecoderInputs): void {
  const past = nodes.add("Sub", [seen, tokens]); // rows of the cache [1]
  nodes.add("Reshape", [IDS, nodes.ints([-1])], { output: "ids" });
  writePositions(nodes, { past, seen, shortContext });
  writeMasks(nodes, { past, seen, windows });

  // The last rows of each sequence; none asked for are all.
  const order = countUp(nodes, tokens); // 0 … T − 1
  const start = nodes.add("Reshape", [nodes.add("Neg", [WANTED_COUNT]), nodes.ints([1])]);
  const last = nodes.add("Slice", [order, start, nodes.ints([END]), nodes.ints([0])]);
  const first = nodes.add("Mul", [nodes.add("Unsqueeze", [countUp(nodes, batch), nodes.ints([1])]), tokens]); // [B, 1]
  nodes.add("Reshape", [nodes.add("Add", [first, last]), nodes.ints([-1])], { output: "wanted" });
}

interface Extents {
  readonly past: string;
  readonly seen: string;
}

function writePositions(nodes: NodeList, { past, seen, shortContext }: Extents & Pick<DecoderInputs, "shortContext">): void {
  const counts = nodes.add("CumSum", [MASK, nodes.ints(1)]); // [B, P + T]
  const all = nodes.add("Max", [nodes.add("Sub", [counts, nodes.ints(1)]), nodes.ints(0)]);
  const positions = (output?: string) => nodes.add("Slice", [all, past, seen, nodes.ints([1])], output === undefined ? {} : { output });
  if (shortContext === undefined) {
    positions("positions");
    return;
  }
  const longest = nodes.add("ReduceMax", [counts], { attributes: { keepdims: { int: 0 } } });
  const isLong = nodes.add("Greater", [longest, nodes.ints(shortContext)]);
  const offset = nodes.add("Where", [isLong, nodes.ints(shortContext), nodes.ints(0)]);
  nodes.add("Add", [positions(), offset], { output: "positions" });
}

/** 0 where a new token sees a row, itself and earlier ones that are no padding; else MASKED. */
function writeMasks(nodes: NodeList, { past, seen, windows }: Extents & Pick<DecoderInputs, "windows">): void {
  const order = countUp(nodes, seen); // [P + T]
  const keys = nodes.add("Unsqueeze", [order, nodes.ints([0])]); // [1, P + T]
  const queries = nodes.add("Unsqueeze", [nodes.add("Slice", [order, past, seen, nodes.ints([0])]), nodes.ints([1])]); // [T, 1]
  const isReal = nodes.add("Unsqueeze", [nodes.add("Cast", [MASK], { attributes: { to: { int: BOOL } } }), nodes.ints([1, 2])]);
  const visible = nodes.add("And", [nodes.add("LessOrEqual", [keys, queries]), isReal]); // [B, 1, T, P + T]
  for (const window of windows) {
    const near = window === undefined ? visible : nodes.add("And", [visible, isNear(nodes, queries, keys, window)]);
    nodes.add("Where", [near, nodes.float(0), nodes.float(MASKED)], { output: biasName(window) });
  }
}

/** ONNX's number of the type. */
const BOOL = 9;

const isNear = (nodes: NodeList, queries: string, keys: string, window: number) =>
  nodes.add("Less", [nodes.add("Sub", [queries, keys]), nodes.ints(window)]);

/** 0 … n − 1 of a length [1]. */
const countUp = (nodes: NodeList, length: string) =>
  nodes.add("Range", [nodes.ints(0), nodes.add("Squeeze", [length, nodes.ints([0])]), nodes.ints(1)]);

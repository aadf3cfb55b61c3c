import { splitAtTokens } from "./added-tokens.js";
import type { Message, TextCodec } from "./tokenizer.js";

/** What a stretch of rendered text is: `plain` came from a message, `learned` is what the assistant says in it. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly learned: boolean;
}

/** Four private-use characters: they open and close a learned and a merely plain stretch. */
export interface Markers {
  readonly openLearned: string;
  readonly closeLearned: string;
  readonly openPlain: string;
  readonly closePlain: string;
}

/** Picks four characters of Unicode's private-use area that occur nowhere in the given texts. */
export function chooseMarkers(texts: readonly string[]): Markers | undefined {
  const used = new Set<string>();
  for (const text of texts) for (const found of text.match(/[\uE000-\uF8FF]/g) ?? []) used.add(found);
  const free: string[] = [];
  for (let code = 0xe000; code <= 0xf8ff && free.length < 4; code++) {
    const character = String.fromCharCode(code);
    if (!used.has(character)) free.push(character);
  }
  const [openLearned, closeLearned, openPlain, closePlain] = free;
  if (openLearned === undefined || closeLearned === undefined || openPlain === undefined || closePlain === undefined) return undefined;
  return { openLearned, closeLearned, openPlain, closePlain };
}

/**
 * Where the markers go: around the whole content; inside its outer whitespace, for templates that trim; or around what follows
 * its thoughts, for templates that look for `<think>` in it.
 */
export type Placement = "whole" | "trimmed" | "after-thoughts";

function wrap(content: string, open: string, close: string, placement: Placement): string {
  if (placement === "whole") return open + content + close;
  const thoughts = placement === "after-thoughts" ? (/^\s*<think>[\s\S]*?<\/think>/.exec(content)?.[0] ?? "") : "";
  if (thoughts !== "") return thoughts + wrap(content.slice(thoughts.length), open, close, "trimmed");
  const core = content.trim();
  if (core === "") return content;
  const start = content.indexOf(core);
  return content.slice(0, start) + open + core + close + content.slice(start + core.length);
}

/** Wraps the strings inside a value that hold a control token's text, so that they stay plain text; others are left alone. */
function guard(value: unknown, codec: TextCodec, markers: Markers): unknown {
  if (typeof value === "string") {
    const steers = splitAtTokens(value, codec.controlTokens).some((piece) => piece.token !== undefined);
    return steers ? markers.openPlain + value + markers.closePlain : value;
  }
  if (Array.isArray(value)) return value.map((inner) => guard(inner, codec, markers));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, guard(inner, codec, markers)]));
  }
  return value;
}

/** The messages with markers around their contents: learned ones for the messages of which `learned` is true. */
export function markMessages(
  codec: TextCodec,
  messages: readonly Message[],
  learned: readonly boolean[],
  markers: Markers,
  placement: Placement,
): Message[] {
  return messages.map((message, index) => {
    const { role, content, ...rest } = message;
    const extra = guard(rest, codec, markers) as Record<string, unknown>;
    if (content === "") return { role, content, ...extra };
    const [open, close] = learned[index] ? [markers.openLearned, markers.closeLearned] : [markers.openPlain, markers.closePlain];
    return { role, content: wrap(content, open, close, placement), ...extra };
  });
}

/** Tool descriptions with their strings guarded in the same way. */
export const markTools = (codec: TextCodec, tools: readonly unknown[] | undefined, markers: Markers): readonly unknown[] | undefined =>
  tools === undefined ? undefined : tools.map((tool) => guard(tool, codec, markers));

/**
 * Takes the markers out of a rendering. Returns the text and its spans, or undefined when the markers are not in pairs. A plain
 * span may lie in a learned one.
 */
export function readMarkers(rendered: string, markers: Markers): { text: string; spans: Span[] } | undefined {
  const { openLearned, closeLearned, openPlain, closePlain } = markers;
  const spans: Span[] = [];
  let text = "";
  const open: { learned?: number | undefined; plain?: number | undefined } = {};
  let from = 0;
  const pattern = new RegExp(`[${openLearned}${closeLearned}${openPlain}${closePlain}]`, "g");
  for (const match of rendered.matchAll(pattern)) {
    const marker = match[0];
    text += rendered.slice(from, match.index);
    from = match.index + 1;
    const kind = marker === openLearned || marker === closeLearned ? "learned" : "plain";
    const start = open[kind];
    if (marker === openLearned || marker === openPlain) {
      if (start !== undefined) return undefined;
      open[kind] = text.length;
    } else {
      if (start === undefined) return undefined;
      spans.push({ start, end: text.length, learned: kind === "learned" });
      open[kind] = undefined;
    }
  }
  if (open.learned !== undefined || open.plain !== undefined) return undefined;
  return { text: text + rendered.slice(from), spans };
}

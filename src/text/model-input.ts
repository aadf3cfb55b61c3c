import { InputError } from "../errors.js";
import type { Step } from "./tokenizer-json.js";

/** A place in the sequence that a model reads: a token of its own (`[CLS]`), or one of the texts. */
export type TemplateItem =
  | { readonly kind: "token"; readonly id: number; readonly typeId: number }
  | { readonly kind: "text"; readonly text: "first" | "second"; readonly typeId: number };

/** How a tokenizer lays out one text and a pair of texts, e.g. `[CLS] first [SEP] second [SEP]`. */
export interface InputTemplate {
  readonly single: readonly TemplateItem[];
  readonly pair: readonly TemplateItem[];
}

/** One text, or a pair, as a model reads it: with the tokens that its tokenizer puts around them. */
export interface ModelInput {
  readonly ids: readonly number[]; // [T]
  /** Segment of each token (BERT's token_type_ids): 0 for the first text and what surrounds it, 1 for the second where the model tells them apart. */
  readonly typeIds: readonly number[]; // [T]
  /** Tokens of the texts that were cut away to keep within `maxLength`. */
  readonly cut: number;
}

export interface ModelInputOptions {
  /** Longest input in tokens, those around the texts included. Default: nothing is cut. */
  readonly maxLength?: number | undefined;
  /**
   * Which text loses its end when the input is too long, as in transformers: the longer one until both are as long, then both
   * ("longest_first", the default), or the first alone ("only_first").
   */
  readonly truncation?: "longest_first" | "only_first";
}

const token = (id: number, typeId = 0): TemplateItem => ({ kind: "token", id, typeId });
const first: TemplateItem = { kind: "text", text: "first", typeId: 0 };
const second = (typeId: number): TemplateItem => ({ kind: "text", text: "second", typeId });

/** The template of texts with tokens before and after each, as decoders have it (`<s> first`, `<s> first <s> second`). */
export function surroundingTemplate(before: readonly number[], after: readonly number[]): InputTemplate {
  const around = (text: TemplateItem, typeId: number) => [
    ...before.map((id) => token(id, typeId)),
    text,
    ...after.map((id) => token(id, typeId)),
  ];
  return { single: around(first, 0), pair: [...around(first, 0), ...around(second(1), 1)] };
}

type Resolve = (token: string) => number | undefined;

/** A piece of TemplateProcessing: `{ "SpecialToken": { id, type_id } }` or `{ "Sequence": { id: "A" | "B", type_id } }`. */
function templateItems(value: unknown, specialIds: ReadonlyMap<string, readonly number[]>, file: string): TemplateItem[] {
  const pieces: readonly unknown[] = Array.isArray(value) ? value : [];
  return pieces.flatMap((piece): TemplateItem[] => {
    const { SpecialToken: special, Sequence: sequence }: Readonly<Record<string, Readonly<{ id?: unknown; type_id?: unknown }> | null>> =
      Object(piece);
    const typeId = Number((special ?? sequence)?.type_id ?? 0);
    if (sequence != null) return [sequence.id === "B" ? second(typeId) : { ...first, typeId }];
    const name = typeof special?.id === "string" ? special.id : JSON.stringify(special?.id);
    const ids = specialIds.get(name);
    if (ids === undefined) throw new InputError(`${file}: its post_processor names the token ${JSON.stringify(name)}, which has no id.`);
    return ids.map((id) => token(id, typeId));
  });
}

function templateProcessing(step: Step, idOf: Resolve, file: string): InputTemplate {
  const specialIds = new Map<string, readonly number[]>();
  const listed = (step.special_tokens ?? {}) as Readonly<Record<string, { ids?: unknown } | undefined>>;
  for (const [name, entry] of Object.entries(listed)) if (Array.isArray(entry?.ids)) specialIds.set(name, entry.ids.map(Number));
  for (const piece of [step.single, step.pair].flat() as readonly { SpecialToken?: { id?: unknown } }[]) {
    const name = piece?.SpecialToken?.id;
    const id = typeof name === "string" && !specialIds.has(name) ? idOf(name) : undefined;
    if (typeof name === "string" && id !== undefined) specialIds.set(name, [id]);
  }
  return { single: templateItems(step.single, specialIds, file), pair: templateItems(step.pair, specialIds, file) };
}

/** The id in a `["[SEP]", 102]` of BertProcessing and RobertaProcessing. */
const idAt = (value: unknown): number => Number(Array.isArray(value) ? value[1] : Number.NaN);

/**
 * The template that a tokenizer.json's post-processor stands for. Source: `processors` of Hugging Face tokenizers; ByteLevel
 * there concerns offsets alone, and of several steps the one with a template counts.
 * @throws InputError for a post-processor of another kind.
 */
export function inputTemplateOf(step: Step | null, idOf: Resolve, file: string): InputTemplate {
  switch (step?.type) {
    case undefined:
    case "ByteLevel":
      return surroundingTemplate([], []);
    case "Sequence": {
      const inner = (Array.isArray(step.processors) ? (step.processors as readonly Step[]) : []).filter((one) => one.type !== "ByteLevel");
      if (inner.length > 1)
        throw new InputError(`${file}: its post_processor has ${inner.length} templates one after the other; expected one.`);
      return inputTemplateOf(inner[0] ?? null, idOf, file);
    }
    case "TemplateProcessing":
      return templateProcessing(step, idOf, file);
    case "BertProcessing": {
      const [cls, sep] = [idAt(step.cls), idAt(step.sep)];
      const opening = [token(cls), first, token(sep)];
      return { single: opening, pair: [...opening, second(1), token(sep, 1)] };
    }
    case "RobertaProcessing": {
      const [cls, sep] = [idAt(step.cls), idAt(step.sep)];
      const opening = [token(cls), first, token(sep)];
      return { single: opening, pair: [...opening, token(sep), second(0), token(sep)] };
    }
    default:
      throw new InputError(
        `${file}: unknown post_processor ${JSON.stringify(step?.type)}; known are TemplateProcessing, BertProcessing, RobertaProcessing and ByteLevel.`,
      );
  }
}

/** Ids that stand before a single text. */
export function openingIds(template: InputTemplate): number[] {
  const at = template.single.findIndex((item) => item.kind === "text");
  return template.single.slice(0, at).flatMap((item) => (item.kind === "token" ? [item.id] : []));
}

/** Lengths to which two texts are cut so that they have `room` tokens together: `truncate_encodings` of Hugging Face tokenizers. */
function longestFirst(a: number, b: number, room: number): [number, number] {
  if (a + b <= room) return [a, b];
  const short = Math.min(a, b);
  const long = short > room ? short : Math.max(short, room - short);
  const half = Math.floor(room / 2);
  const [shorter, longer] = short + long > room ? [half, room - half] : [short, long];
  return a > b ? [longer, shorter] : [shorter, longer];
}

function lengthsWithin(a: number, b: number, room: number, { truncation = "longest_first" }: ModelInputOptions): [number, number] {
  if (truncation === "longest_first") return longestFirst(a, b, room);
  const left = Math.min(a, room - b);
  if (left <= 0 && a + b > room) {
    throw new InputError(
      `The second text alone has ${b} tokens, and ${room} have room beside the tokens around the texts: cutting the first text is not enough. ` +
        'Raise the maximum length, or cut both with "longest_first".',
    );
  }
  return [left, b];
}

/** Lays out the ids of one text or two, cut to the longest input that is allowed. @throws InputError when no room is left for a text. */
export function layOutInput(
  template: InputTemplate,
  firstIds: readonly number[],
  secondIds: readonly number[] | undefined,
  options: ModelInputOptions = {},
): ModelInput {
  const items = secondIds === undefined ? template.single : template.pair;
  const around = items.filter((item) => item.kind === "token").length;
  const room = (options.maxLength ?? Number.POSITIVE_INFINITY) - around;
  if (room <= 0) {
    throw new InputError(`A maximum length of ${options.maxLength} leaves no room for text: the model puts ${around} tokens around it.`);
  }
  const lengths = lengthsWithin(firstIds.length, secondIds?.length ?? 0, room, options);
  const texts = { first: firstIds.slice(0, lengths[0]), second: (secondIds ?? []).slice(0, lengths[1]) };
  const ids: number[] = [];
  const typeIds: number[] = [];
  for (const item of items) {
    for (const id of item.kind === "token" ? [item.id] : texts[item.text]) {
      ids.push(id);
      typeIds.push(item.typeId);
    }
  }
  return { ids, typeIds, cut: firstIds.length + (secondIds?.length ?? 0) - texts.first.length - texts.second.length };
}

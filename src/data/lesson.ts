/** Tokens of which some are learned, each from those before it. */
export interface LearnedTokens {
  readonly ids: Int32Array; // [T]
  /** 1 where the token is learned. The first has nothing before it and is never a target. */
  readonly supervised: Uint8Array; // [T]
}

/** Tokens of which some tell something: the class or the value of a text at the place that stands for it, or of each word. */
export interface LabelledTokens {
  readonly ids: Int32Array; // [T]
  /** The text of a pair that each token belongs to, 0 or 1; all to the first where absent. */
  readonly tokenTypes?: Uint8Array; // [T]
  /** Places that tell something, ascending. */
  readonly places: Int32Array;
  /** What each of them tells: the number of a class (integers), or a value (floats). */
  readonly targets: Int32Array | Float32Array;
  /** What each of them counts for in the loss. */
  readonly weights: Float32Array;
  /** A second text that the batch holds beside this one: the positive of a pair. All examples of a batch have one, or none has. */
  readonly partner?: PartnerTokens;
}

/** The other text of a pair, and the place that stands for it. */
export interface PartnerTokens {
  readonly ids: Int32Array; // [T']
  readonly place: number;
}

export type TaughtTokens = LearnedTokens | LabelledTokens;

/** What a batch takes of an example. */
export interface Lesson {
  /** Tokens that are read, from the first on. */
  readonly read: number;
  readonly tokenTypes?: ArrayLike<number>;
  /** Places whose hidden states meet a target, ascending. */
  readonly places: ArrayLike<number>;
  readonly targets: ArrayLike<number>;
  /** 1 for each where absent. */
  readonly weights?: ArrayLike<number>;
  readonly partner?: PartnerTokens;
}

const partnerOf = (example: TaughtTokens): PartnerTokens | undefined => ("partner" in example ? example.partner : undefined);

/** Tokens of an example, both texts of a pair together. */
export const tokensOf = (example: TaughtTokens): number => example.ids.length + (partnerOf(example)?.ids.length ?? 0);

/** The texts of an example, each by itself. */
export function textsOf(example: TaughtTokens): readonly TaughtTokens[] {
  if (!("places" in example) || example.partner === undefined) return [example];
  const { partner, ids, places, targets, weights, tokenTypes } = example;
  const first = { ids, places, targets, weights, ...(tokenTypes === undefined ? {} : { tokenTypes }) };
  return [first, { ids: partner.ids, places: Int32Array.of(partner.place), targets, weights }];
}

/** A token is predicted from the place before it, and the last target and what follows it need not be read. */
export function lessonOf(example: TaughtTokens): Lesson {
  if ("places" in example) {
    const { ids, places, targets, weights, tokenTypes, partner } = example;
    return {
      read: ids.length,
      places,
      targets,
      weights,
      ...(tokenTypes === undefined ? {} : { tokenTypes }),
      ...(partner === undefined ? {} : { partner }),
    };
  }
  const { ids, supervised } = example;
  const learned = Array.from(ids.keys()).filter((t) => t > 0 && supervised[t] === 1);
  return { read: learned.at(-1) ?? 0, places: learned.map((t) => t - 1), targets: learned.map((t) => ids[t] ?? 0) };
}

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
}

/** A token is predicted from the place before it, and the last target and what follows it need not be read. */
export function lessonOf(example: TaughtTokens): Lesson {
  if ("places" in example) return { ...example, read: example.ids.length };
  const { ids, supervised } = example;
  const learned = Array.from(ids.keys()).filter((t) => t > 0 && supervised[t] === 1);
  return { read: learned.at(-1) ?? 0, places: learned.map((t) => t - 1), targets: learned.map((t) => ids[t] ?? 0) };
}

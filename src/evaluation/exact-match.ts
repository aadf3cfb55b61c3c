/** Ways to forgive a difference that does not matter before two texts are compared. */
export const NORMALISERS = {
  /** Every character counts. */
  none: (text: string): string => text,
  /** Runs of white space are one space, and none stands at the ends. */
  whitespace: (text: string): string => text.trim().replace(/\s+/g, " "),
  /**
   * White space as above; besides, capitals, the width and composition of characters (Unicode NFKC) and punctuation do not count.
   * Punctuation right before a digit stays, for "-5" is not "5", nor "1.5" "15". Articles stay too: they matter outside English
   * (the SQuAD metric, Rajpurkar et al. 2016, drops them).
   */
  loose: (text: string): string =>
    NORMALISERS.whitespace(
      text
        .normalize("NFKC")
        .toLowerCase()
        .replace(/\p{P}(?!\d)/gu, " "),
    ),
} as const;

export type Normaliser = keyof typeof NORMALISERS;

export const NORMALISER_NAMES = ["none", "whitespace", "loose"] as const satisfies readonly Normaliser[];

/** True when the texts are equal after the same normalisation. */
export function exactMatch(expected: string, actual: string, normaliser: Normaliser): boolean {
  const normalise = NORMALISERS[normaliser];
  return normalise(expected) === normalise(actual);
}

import { byteTokens } from "../byte-alphabet.js";

/** How much worse than the worst piece an unknown character is, in logarithmic probability (SentencePiece's kUnkPenalty). */
const unknownPenalty = 10;

interface Best {
  readonly score: number;
  readonly start: number;
  readonly known: boolean;
}

/** The longest piece that begins with a character, in characters. */
function longestByFirst(pieces: Iterable<string>): Map<string, number> {
  const longest = new Map<string, number>();
  for (const piece of pieces) {
    const characters = Array.from(piece);
    const first = characters[0];
    if (first !== undefined) longest.set(first, Math.max(longest.get(first) ?? 0, characters.length));
  }
  return longest;
}

/**
 * The likeliest way to write a word with pieces (Kudo 2018, "Subword Regularization", by Viterbi's algorithm), as the
 * `encode_optimized` of SentencePiece and of Hugging Face tokenizers: of equal scores the one found first, and neighbouring
 * unknown characters are one. Unknown stretches become their bytes where the vocabulary has them (`<0x41>`), else `unknown`.
 */
export function createUnigram(
  pieces: readonly (readonly [string, number])[],
  settings: { readonly unknownId: number | undefined; readonly byteFallback: boolean },
): (word: string) => string[] {
  const unknown = settings.unknownId === undefined ? undefined : pieces[settings.unknownId]?.[0];
  const scores = new Map(pieces);
  const longest = longestByFirst(scores.keys());
  const unknownScore = pieces.reduce((least, [, score]) => Math.min(least, score), Number.POSITIVE_INFINITY) - unknownPenalty;

  function bestPath(characters: readonly string[]): (Best | undefined)[] {
    const best: (Best | undefined)[] = [{ score: 0, start: 0, known: true }];
    for (let start = 0; start < characters.length; start++) {
      const before = best[start]?.score ?? 0;
      const offer = (end: number, score: number, known: boolean) => {
        const other = best[end];
        if (other === undefined || before + score > other.score) best[end] = { score: before + score, start, known };
      };
      const most = Math.min(characters.length - start, longest.get(characters[start] ?? "") ?? 0);
      let piece = "";
      for (let length = 1; length <= most; length++) {
        piece += characters[start + length - 1];
        const score = scores.get(piece);
        if (score !== undefined) offer(start + length, score, piece !== unknown);
      }
      if (!scores.has(characters[start] ?? "")) offer(start + 1, unknownScore, false);
    }
    return best;
  }

  function tokensOf(stretch: string): string[] {
    if (scores.has(stretch)) return [stretch];
    const bytes = settings.byteFallback ? byteTokens(stretch) : [];
    if (bytes.length > 0 && bytes.every((token) => scores.has(token))) return bytes;
    return unknown === undefined ? [] : [unknown];
  }

  return (word) => {
    const characters = Array.from(word);
    const best = bestPath(characters);
    const stretches: { text: string; known: boolean }[] = [];
    for (let end = characters.length; end > 0; ) {
      const { start, known } = best[end] ?? { start: end - 1, known: false };
      const text = characters.slice(start, end).join("");
      const next = stretches.at(-1);
      if (!known && next !== undefined && !next.known) next.text = text + next.text;
      else stretches.push({ text, known });
      end = start;
    }
    return stretches.reverse().flatMap(({ text }) => tokensOf(text));
  };
}

/** Words of a language that are met again and again; the rest are found anew. */
const MOST_WORDS = 8192;
/** A longer word, cut from a text, keeps the whole text in memory: V8 copies slices of up to 12 characters alone. */
const LONGEST_WORD = 12;

/** A function of a word with its last results at hand; they are shared and must not be changed. */
export function remembered<Result>(find: (word: string) => Result): (word: string) => Result {
  const known = new Map<string, Result>();
  return (word) => {
    if (word.length > LONGEST_WORD) return find(word);
    const result = known.get(word);
    if (result !== undefined) return result;
    if (known.size >= MOST_WORDS) known.clear();
    const found = find(word);
    known.set(word, found);
    return found;
  };
}

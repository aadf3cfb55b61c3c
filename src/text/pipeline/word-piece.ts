/**
 * WordPiece as BERT has it: the longest token that the word begins with, then the longest continuation (written with a prefix,
 * `##`), and so on; a word with a part that is no token is unknown as a whole. Source: Devlin et al. 2018, `WordpieceTokenizer`.
 */
export function createWordPiece(
  vocabulary: ReadonlyMap<string, number>,
  settings: { readonly unknown: string; readonly prefix: string; readonly maxWordLength: number },
): (word: string) => string[] {
  const { unknown, prefix, maxWordLength } = settings;
  return (word) => {
    const characters = Array.from(word);
    if (characters.length > maxWordLength) return [unknown];
    const tokens: string[] = [];
    let start = 0;
    while (start < characters.length) {
      let end = characters.length;
      let token: string | undefined;
      while (end > start && token === undefined) {
        const part = (start === 0 ? "" : prefix) + characters.slice(start, end).join("");
        if (vocabulary.has(part)) token = part;
        else end--;
      }
      if (token === undefined) return [unknown];
      tokens.push(token);
      start = end;
    }
    return tokens;
  };
}

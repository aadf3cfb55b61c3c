/**
 * The merges of a SentencePiece BPE vocabulary, which stores scores in their place: two neighbouring pieces merge when their
 * union is a piece, the one with the highest score first (Kudo & Richardson 2018; `bpe_model.cc` of SentencePiece). So each
 * way to cut a piece into two pieces is a merge, and merges are ordered by the score of what they make. Only normal pieces
 * take part: control tokens, unused pieces and bytes are never made by merging.
 *
 * Of equal scores, SentencePiece takes the leftmost pair of the text; the order here (by id, then by the longer left part)
 * can differ on them. Trained models have distinct scores.
 */
export function mergesFromScores(
  tokens: readonly string[],
  scores: readonly number[],
  isMergeable: (id: number) => boolean,
): [string, string][] {
  const pieces = new Set<string>();
  tokens.forEach((token, id) => {
    if (isMergeable(id)) pieces.add(token);
  });
  const order = tokens.map((_, id) => id).filter((id) => isMergeable(id));
  order.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  const merges: [string, string][] = [];
  for (const id of order) {
    const characters = Array.from(tokens[id] ?? "");
    for (let cut = characters.length - 1; cut > 0; cut--) {
      const left = characters.slice(0, cut).join("");
      const right = characters.slice(cut).join("");
      if (pieces.has(left) && pieces.has(right)) merges.push([left, right]);
    }
  }
  return merges;
}

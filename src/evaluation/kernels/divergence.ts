/** What two rows of logits say of the next token. */
export interface RowDivergence {
  /** Σ p·log(p/q), nats, of p = softmax(z) and q = softmax(y): Kullback and Leibler 1951. */
  readonly divergence: number;
  /** Whether the largest logit is at the same place. */
  readonly sameToken: boolean;
}

/** The divergence of row `row` of y from that of z, both [.., V]; summed in float64. */
export function rowDivergence(z: Float32Array, y: Float32Array, row: number, vocabulary: number): RowDivergence {
  const from = row * vocabulary;
  const [p, q] = [softmaxFacts(z, from, vocabulary), softmaxFacts(y, from, vocabulary)];
  const shift = q.logSum - p.logSum; // log p − log q = (z − y) + shift
  let divergence = 0;
  for (let i = from; i < from + vocabulary; i++) divergence += Math.exp(z[i]! - p.logSum) * (z[i]! - y[i]! + shift);
  return { divergence: Math.max(0, divergence), sameToken: p.largest === q.largest }; // rounding alone makes it less than 0
}

function softmaxFacts(values: Float32Array, from: number, count: number): { readonly logSum: number; readonly largest: number } {
  let largest = from;
  for (let i = from; i < from + count; i++) if (values[i]! > values[largest]!) largest = i;
  const top = values[largest]!;
  let sum = 0;
  for (let i = from; i < from + count; i++) sum += Math.exp(values[i]! - top);
  return { logSum: top + Math.log(sum), largest: largest - from };
}

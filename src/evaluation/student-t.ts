/** Beyond so many degrees of freedom the quantile is the normal's to four digits and moves no more. */
const MOST_DEGREES = 100_000;
const HALVINGS = 60;

/** The t for which −t to t holds `share` of Student's distribution with so many degrees of freedom (a whole number from 1). */
export function studentQuantile(share: number, degrees: number): number {
  const df = Math.min(degrees, MOST_DEGREES);
  let [low, high] = [0, Math.PI / 2];
  for (let halving = 0; halving < HALVINGS; halving++) {
    const angle = (low + high) / 2;
    if (shareWithin(angle, df) < share) low = angle;
    else high = angle;
  }
  return Math.sqrt(df) * Math.tan((low + high) / 2);
}

/** The share of the distribution between −t and t, for t = √ν · tan θ: a finite sum (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4). */
function shareWithin(angle: number, df: number): number {
  const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
  const odd = df % 2 === 1;
  let term = odd ? cosine : 1;
  let sum = df === 1 ? 0 : term;
  for (let power = odd ? 3 : 2; power <= df - 2; power += 2) {
    term *= ((power - 1) / power) * cosine ** 2;
    sum += term;
  }
  return odd ? (2 / Math.PI) * (angle + sine * sum) : sine * sum;
}

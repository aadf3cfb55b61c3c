/** The share of right answers, 0 to 1. NaN when there is none. */
export function shareOf(right: readonly boolean[]): number {
  return right.filter(Boolean).length / right.length;
}

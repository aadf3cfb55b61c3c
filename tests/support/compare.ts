/** ‖got − want‖ / ‖want‖, in double precision; the plain norm of the difference where `want` is zero. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let size = 0;
  for (let index = 0; index < want.length; index++) {
    difference += (got[index]! - want[index]!) ** 2;
    size += want[index]! ** 2;
  }
  return Math.sqrt(size === 0 ? difference : difference / size);
}

/** The largest |got − want|. */
export function largestDifference(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let index = 0; index < want.length; index++) largest = Math.max(largest, Math.abs(got[index]! - want[index]!));
  return largest;
}

/**
 * Values by position, in memory or on a disk: what rows and examples are read as. An array is one. Where values lie on a disk, each reading
 * gives an object of its own.
 */
export interface Series<T> extends Iterable<T> {
  readonly length: number;
  at(index: number): T | undefined;
}

/** Takes values one after the other. */
export interface Collector<T, Collected extends Series<T> = Series<T>> {
  /** @param origin the position of the row that the value was made of */
  push(value: T, origin: number): void;
  /** What was taken so far. */
  readonly series: Collected;
}

/** Keeps values in an array. */
export function inArray<T>(): Collector<T, readonly T[]> {
  const series: T[] = [];
  return { push: (value) => void series.push(value), series };
}

/** The values at some positions: of an array an array, of what lies elsewhere a view. */
export function select<T>(series: readonly T[], indexes: Int32Array): T[];
export function select<T>(series: Series<T>, indexes: Int32Array): Series<T>;
export function select<T>(series: Series<T>, indexes: Int32Array): Series<T> {
  if (Array.isArray(series)) return pick(series, indexes);
  return viewOf(indexes.length, (index) => {
    const place = indexes[index];
    return place === undefined ? undefined : series.at(place);
  });
}

/** The values at some positions, read now. */
export const pick = <T>(series: Series<T>, indexes: ArrayLike<number>): T[] =>
  Array.from(indexes).flatMap((index) => {
    const value = series.at(index);
    return value === undefined ? [] : [value];
  });

/** The first values, read now. */
export const firstOf = <T>(series: Series<T>, count: number): T[] =>
  pick(
    series,
    Array.from({ length: Math.min(count, series.length) }, (_, index) => index),
  );

/** Each value as `convert` makes it when it is read. */
export const mapped = <T, Made>(series: Series<T>, convert: (value: T) => Made): Series<Made> =>
  viewOf(series.length, (index) => {
    const value = series.at(index);
    return value === undefined ? undefined : convert(value);
  });

/** A series of so many values, each read when it is asked for. */
export function viewOf<T>(length: number, at: (index: number) => T | undefined): Series<T> {
  return {
    length,
    at,
    *[Symbol.iterator]() {
      for (let index = 0; index < length; index++) {
        const value = at(index);
        if (value !== undefined) yield value;
      }
    },
  };
}

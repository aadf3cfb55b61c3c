import type { CurvePoint } from "../advice.js";
import type { Curves } from "../trade-off.js";
import { lossText } from "./numbers.js";

/** The curves of a run as columns over common steps; null where a step has no such value. */
export interface CurveColumns {
  readonly steps: readonly number[];
  readonly training: readonly (number | null)[];
  /** All null where a run is too short for smoothing. */
  readonly smoothed: readonly (number | null)[];
  readonly validation: readonly (number | null)[];
  /** The lowest validation loss. */
  readonly best: CurvePoint | null;
}

/** A run of this many steps is drawn with all its points; of a longer one the extremes of neighbouring steps are kept. */
const MOST_POINTS = 1500;
/** The running mean reaches this share of the run to either side, but no further than so many steps. */
const REACH = { share: 1 / 40, most: 50 };

/** Drops what is not a finite number, sorts by step, smooths, thins, and puts both curves over the same steps. */
export function curveColumns({ train, validation }: Curves): CurveColumns {
  const raw = finite(train);
  const measured = finite(validation);
  const kept = thinned(raw.map(({ step, loss }, index) => ({ step, loss, index })));
  const means = smoothed(raw.map(({ loss }) => loss));
  const training = new Map(kept.map(({ step, loss }) => [step, loss]));
  const smooth = new Map(means === undefined ? [] : kept.map(({ step, index }) => [step, means[index] ?? null]));
  const checked = new Map(measured.map(({ step, loss }) => [step, loss]));
  const steps = [...new Set([...training.keys(), ...checked.keys()])].sort((a, b) => a - b);
  const column = (values: ReadonlyMap<number, number | null>) => steps.map((step) => values.get(step) ?? null);
  return { steps, training: column(training), smoothed: column(smooth), validation: column(checked), best: lowest(measured) };
}

/**
 * The running mean of a series, over the values within reach on either side: centred, so that it does not lag behind a falling
 * curve; at the ends over those that there are. Undefined where the series is so short that it would be the series itself.
 */
export function smoothed(values: readonly number[]): number[] | undefined {
  const reach = Math.min(REACH.most, Math.floor(values.length * REACH.share));
  if (reach < 1) return undefined;
  return values.map((_, index) => {
    const near = values.slice(Math.max(0, index - reach), index + reach + 1);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

/** The curves in a sentence or two, for those who cannot see them. */
export function curveWords({ steps, training, smoothed: smooth, validation, best }: CurveColumns): string | undefined {
  const isSmooth = smooth.some((value) => value !== null);
  const line = isSmooth ? smooth : training;
  const points = line.flatMap((loss, index) => (loss === null ? [] : [{ step: steps[index] ?? 0, loss }]));
  const [first, last] = [points[0], points.at(-1)];
  const sentences: string[] = [];
  if (first !== undefined && last !== undefined) {
    const course = last.loss < first.loss ? "fell" : last.loss > first.loss ? "rose" : "stayed";
    sentences.push(
      points.length === 1
        ? `Training loss was ${lossText(last.loss)} at step ${last.step}, the only one recorded.`
        : `Training loss${isSmooth ? ", smoothed," : ""} ${course} from ${lossText(first.loss)} to ${lossText(last.loss)} in ${last.step} steps.`,
    );
  }
  if (best !== null) {
    const once = validation.filter((value) => value !== null).length === 1;
    sentences.push(`Validation loss was ${once ? "measured once" : "lowest"}, ${lossText(best.loss)}, at step ${best.step}.`);
  } else if (sentences.length > 0) sentences.push("Validation loss was not measured during this run.");
  return sentences.length === 0 ? undefined : sentences.join(" ");
}

/** About `most` of the columns' rows, evenly spread, the first and last and every one with a validation loss where those are few. */
export function tableRows({ steps, validation }: CurveColumns, most: number): readonly number[] {
  const measured = steps.flatMap((_, index) => (validation[index] === null ? [] : [index]));
  const candidates = measured.length >= 2 ? [...new Set([0, ...measured, steps.length - 1])] : steps.map((_, index) => index);
  if (candidates.length <= most) return candidates;
  const rows = Array.from({ length: most }, (_, row) => candidates[Math.round((row * (candidates.length - 1)) / (most - 1))] ?? 0);
  return [...new Set(rows)];
}

function finite(curve: readonly CurvePoint[]): CurvePoint[] {
  return curve.filter(({ step, loss }) => Number.isFinite(step) && Number.isFinite(loss)).sort((a, b) => a.step - b.step);
}

function lowest(curve: readonly CurvePoint[]): CurvePoint | null {
  const [first, ...rest] = curve;
  return first === undefined ? null : rest.reduce((best, point) => (point.loss < best.loss ? point : best), first);
}

/** Keeps the lowest and the highest point of each stretch, so that no spike is lost, and both ends of the run. */
function thinned<T extends CurvePoint>(points: readonly T[]): readonly T[] {
  if (points.length <= MOST_POINTS) return points;
  const stretch = Math.ceil((2 * points.length) / MOST_POINTS);
  const kept = new Set<T>(points.slice(0, 1));
  for (let start = 0; start < points.length; start += stretch) {
    const part = points.slice(start, start + stretch);
    const extremes = [part.reduce((a, b) => (b.loss < a.loss ? b : a)), part.reduce((a, b) => (b.loss > a.loss ? b : a))];
    for (const point of extremes.sort((a, b) => a.step - b.step)) kept.add(point);
  }
  for (const point of points.slice(-1)) kept.add(point);
  return [...kept];
}

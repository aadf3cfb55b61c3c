/** The value at a point; writes the gradient there into `gradient`. */
export type Objective = (point: Float64Array, gradient: Float64Array) => number;

/** Steps whose curvature is remembered. */
const MEMORY = 10;
const MOST_STEPS = 1_000;
/** Share of the decrease that the gradient promises which a step must bring: Nocedal and Wright 2006, section 3.1. */
const SUFFICIENT = 1e-4;

/**
 * The minimum of a smooth convex function by L-BFGS (Nocedal and Wright 2006, "Numerical Optimization", algorithms 7.4 and 7.5) with
 * backtracking.
 *
 * @param tolerance largest component of the gradient at the end
 */
export function minimise(start: Float64Array, value: Objective, tolerance = 1e-6): Float64Array {
  let point = start.slice();
  let gradient = new Float64Array(point.length);
  let height = value(point, gradient);
  const steps: { readonly moved: Float64Array; readonly turned: Float64Array; readonly inverse: number }[] = [];
  for (let step = 0; step < MOST_STEPS && largest(gradient) > tolerance; step++) {
    const direction = descent(gradient, steps);
    const slope = dot(direction, gradient);
    let length = step === 0 ? Math.min(1, 1 / Math.sqrt(dot(gradient, gradient))) : 1;
    const next = new Float64Array(point.length);
    const nextGradient = new Float64Array(point.length);
    let nextHeight = Number.POSITIVE_INFINITY;
    for (; length > 1e-20; length /= 2) {
      next.set(point.map((x, i) => x + length * (direction[i] ?? 0)));
      nextHeight = value(next, nextGradient);
      if (nextHeight <= height + SUFFICIENT * length * slope) break;
    }
    if (!(nextHeight <= height)) break; // as low as rounding lets it be
    const moved = next.map((x, i) => x - (point[i] ?? 0));
    const turned = nextGradient.map((g, i) => g - (gradient[i] ?? 0));
    const curvature = dot(moved, turned);
    if (curvature > 0) steps.push({ moved, turned, inverse: 1 / curvature });
    if (steps.length > MEMORY) steps.shift();
    [point, gradient, height] = [next, nextGradient, nextHeight];
  }
  return point;
}

/** −H·g with the inverse Hessian H that the remembered steps stand for. */
function descent(
  gradient: Float64Array,
  steps: readonly { readonly moved: Float64Array; readonly turned: Float64Array; readonly inverse: number }[],
): Float64Array {
  const q = gradient.slice();
  const shares = steps.map(() => 0);
  for (const [index, { moved, turned, inverse }] of [...steps.entries()].reverse()) {
    const share = inverse * dot(moved, q);
    shares[index] = share;
    for (let i = 0; i < q.length; i++) q[i] = (q[i] ?? 0) - share * (turned[i] ?? 0);
  }
  const last = steps.at(-1);
  const scale = last === undefined ? 1 : 1 / (last.inverse * dot(last.turned, last.turned));
  for (let i = 0; i < q.length; i++) q[i] = (q[i] ?? 0) * scale;
  for (const [index, { moved, turned, inverse }] of steps.entries()) {
    const share = (shares[index] ?? 0) - inverse * dot(turned, q);
    for (let i = 0; i < q.length; i++) q[i] = (q[i] ?? 0) + share * (moved[i] ?? 0);
  }
  return q.map((value) => -value);
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);

const largest = (values: Float64Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

import type { HostData } from "../../src/runtime/engine.js";
import type { Feeds } from "./harness.js";

/** Large: the round-off of float32 is divided by the step, and what the step costs in truncation is taken out below. */
const STEP = 2 ** -4;

/**
 * The gradient of Σᵢ cotangentᵢ·outputᵢ for one input, by central differences.
 *
 * D(h) = Σ c·(y(x+h) − y(x−h)) / 2h is off by h²·f‴/6; (4·D(h/2) − D(h)) / 3 (Richardson 1911) leaves h⁴·f⁽⁵⁾/480, about
 * 3e-8·f⁽⁵⁾ at h = 1/16. Outputs are float32, off by 6e-8·|y| each; they are subtracted one by one, in double precision,
 * before they are summed, so that √n of those errors, divided by h, remain: about 2e-6·√n. A tolerance of 1e-4 on the
 * norm leaves a margin of ten, and a wrong rule is off by far more.
 */
export async function finiteDifferences(
  run: (feeds: Feeds) => Promise<Readonly<Record<string, Float32Array>>>,
  feeds: Feeds,
  name: string,
): Promise<Float64Array> {
  const values = feeds[name];
  if (!(values instanceof Float32Array)) throw new Error(`${name} is not a float32 input`);
  const outputsAt = async (element: number, shift: number) => {
    const moved = values.slice();
    moved[element] = values[element]! + shift;
    return run({ ...feeds, [name]: moved satisfies HostData });
  };
  const slope = async (element: number, step: number) => {
    const above = await outputsAt(element, step);
    const below = await outputsAt(element, -step);
    let sum = 0;
    for (const [output, high] of Object.entries(above)) {
      const cotangent = feeds[output.replace("output:", "cotangent:")] as Float32Array;
      const low = below[output]!;
      for (let at = 0; at < high.length; at++) sum += cotangent[at]! * (high[at]! - low[at]!);
    }
    return sum / (2 * step);
  };
  const gradient = new Float64Array(values.length);
  for (let element = 0; element < values.length; element++) {
    gradient[element] = (4 * (await slope(element, STEP / 2)) - (await slope(element, STEP))) / 3;
  }
  return gradient;
}

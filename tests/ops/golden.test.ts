import { describe, expect, test } from "vitest";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { relativeError } from "../support/compare.js";
import { golden } from "../support/golden.js";
import { type OpCase, opCases } from "./cases.js";
import { buildCase, compileCase, hostData, results } from "./harness.js";

interface GoldenCase {
  readonly dimensions: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly outputs: readonly (readonly number[])[];
  readonly cotangents?: readonly (readonly number[])[];
  readonly gradients?: Readonly<Record<string, readonly number[]>>;
}

/** float32 against PyTorch in float64: sums of at most a few dozen terms. */
const TOLERANCE = 3e-6;

const goldens = golden<Readonly<Record<string, GoldenCase>>>("ops/golden.json");

const goldenName = ({ name, whole }: OpCase) => whole?.golden ?? name;

describe("values and gradients against PyTorch", () => {
  test("every case has a golden, and every golden a case", () => {
    expect([...new Set(opCases.map(goldenName))].sort()).toEqual(Object.keys(goldens).sort());
  });

  test.each(opCases.map((opCase) => [opCase.name, opCase] as const))("%s", async (_name, opCase) => {
    const golden = goldens[goldenName(opCase)]!;
    const { inputs, outputs, cotangents = [], gradients = {} } = golden;
    const dimensions = opCase.whole?.dimensions(golden.dimensions) ?? golden.dimensions;
    const built = buildCase(opCase);
    const program = await compileCase(built.graph, nodeEngine, { target: "cpu", threads: 1 });
    const feeds = Object.fromEntries([
      ...Object.entries(opCase.inputs).map(([input, type]) => [input, hostData(type, inputs[input]!)] as const),
      ...cotangents.map((values, index) => [`cotangent:${index}`, Float32Array.from(values)] as const),
    ]);
    const found = await results(program, feeds, dimensions);
    for (const [index, want] of outputs.entries()) {
      expect(relativeError(found[`output:${index}`]!, want), `output ${index}`).toBeLessThan(TOLERANCE);
    }
    expect(built.trained).toEqual(Object.keys(gradients));
    for (const [input, want] of Object.entries(gradients)) {
      expect(relativeError(found[`gradient:${input}`]!, want), `gradient of ${input}`).toBeLessThan(TOLERANCE);
    }
    await program.release();
  });
});

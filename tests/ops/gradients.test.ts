import { describe, expect, test } from "vitest";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { relativeError } from "../support/compare.js";
import { opCases } from "./cases.js";
import { finiteDifferences } from "./finite-differences.js";
import { buildCase, buildForward, compileCase, drawFeeds, results } from "./harness.js";

/** Argued at `finiteDifferences`. */
const TOLERANCE = 1e-4;

describe("gradients against central finite differences", () => {
  const differentiable = opCases.filter(({ inputs }) => Object.values(inputs).some(({ trained }) => trained));

  test.each(differentiable.map((opCase) => [opCase.name, opCase] as const))("%s", async (_name, opCase) => {
    const built = buildCase(opCase);
    const program = await compileCase(built.graph, nodeEngine, { target: "cpu", threads: 1 });
    const forward = await compileCase(buildForward(opCase), nodeEngine, { target: "cpu", threads: 1 });
    for (const [index, dimensions] of opCase.dimensions.entries()) {
      const feeds = drawFeeds(opCase, built, dimensions, index);
      const found = await results(program, feeds, dimensions);
      for (const name of built.trained) {
        const want = await finiteDifferences((moved) => results(forward, moved, dimensions), feeds, name);
        const error = relativeError(found[`gradient:${name}`]!, want);
        expect(error, `${name} at ${JSON.stringify(dimensions)}`).toBeLessThan(TOLERANCE);
      }
    }
    await program.release();
    await forward.release();
  });
});

import { describe, expect, test } from "vitest";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { relativeError } from "../support/compare.js";
import { Random } from "../support/random.js";
import { casesOf, drawDimensions, drawnExtent, opCases } from "./cases.js";
import { finiteDifferences } from "./finite-differences.js";
import { buildCase, buildForward, compileCase, drawFeeds, results } from "./harness.js";

/** Argued at `finiteDifferences`. */
const TOLERANCE = 1e-4;

/** Every case at its smallest, and with extents of its own for each draw. */
const draws = [opCases, ...[1, 2, 3].map((seed) => casesOf(drawnExtent(new Random(seed))))];

describe("gradients against central finite differences, over random shapes", () => {
  const differentiable = [...opCases.entries()].filter(([, { inputs }]) => Object.values(inputs).some(({ trained }) => trained));

  test.each(differentiable.map(([at, { name }]) => [name, at] as const))("%s", async (_name, at) => {
    for (const [draw, cases] of draws.entries()) {
      const opCase = cases[at]!;
      const random = new Random(100 * draw + at);
      const built = buildCase(opCase);
      const program = await compileCase(built.graph, nodeEngine, { target: "cpu", threads: 1 });
      const forward = await compileCase(buildForward(opCase), nodeEngine, { target: "cpu", threads: 1 });
      const dimensions = draw === 0 ? opCase.dimensions[0]! : drawDimensions(opCase, random);
      const feeds = drawFeeds(opCase, built, dimensions, draw);
      const found = await results(program, feeds, dimensions);
      for (const name of built.trained) {
        const want = await finiteDifferences((moved) => results(forward, moved, dimensions), feeds, name);
        const error = relativeError(found[`gradient:${name}`]!, want);
        const shapes = JSON.stringify(Object.values(opCase.inputs).map(({ shape }) => shape));
        expect(error, `${name} of ${shapes} at ${JSON.stringify(dimensions)}`).toBeLessThan(TOLERANCE);
      }
      await program.release();
      await forward.release();
    }
  });
});

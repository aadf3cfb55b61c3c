import { expect, test } from "vitest";
import { Graph } from "../../src/graph/graph.js";
import { gatherRows } from "../../src/ops/gather-rows.js";
import type { StoredWeight } from "../../src/runtime/emit.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { buildOnnx, Program } from "../../src/runtime/program.js";

// A table of 256,000 rows in float32 takes 2.4 GB, of which an embedding reads a few rows.
test("of a table in bfloat16 only the rows that are read become float32", async () => {
  const bits = Uint16Array.from([0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0xc0c0]); // 1 to 5, and −6
  const stored: StoredWeight = { dtype: "bfloat16", shape: [3, 2], data: new Uint8Array(bits.buffer) };
  const graph = new Graph();
  graph.output("rows", gatherRows(graph.weight("table", [3, 2]), graph.input("index", { dtype: "int64", shape: ["n"] })));
  const { model } = buildOnnx(graph, "cpu", () => stored);
  expect(model.nodes.map(({ type, inputs }) => [type, inputs[0]])).toEqual([
    ["Gather", "weight:table"],
    ["Cast", model.nodes[0]?.outputs[0]],
  ]);
  const program = await Program.compile(graph, nodeEngine, { target: "cpu", weights: () => stored });
  const { rows } = await program.run({ index: BigInt64Array.of(2n, 0n, 2n) }, { n: 3 });
  expect([...(rows?.data ?? [])]).toEqual([5, -6, 1, 2, 5, -6]);
  await program.release();
});

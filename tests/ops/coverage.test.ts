import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { opCases } from "./cases.js";
import { buildCase } from "./harness.js";

/** Operations that nothing is trained through: parts of backward passes, masks, decoding, the update. */
const withoutGradient = [
  "AdamW",
  "AttentionBias",
  "AttentionGradient",
  "CachedAttention",
  "ClipByNorm",
  "ConcatColumns",
  "CrossEntropyGradient",
  "FrozenLayers",
  "FrozenLinearGradient",
  "GeGluGradient",
  "GeluGradient",
  "InBatchLossGradient",
  "L2NormaliseGradient",
  "LayerNormGradient",
  "OneHot",
  "PastAttention",
  "RmsNormGradient",
  "RowAdapters",
  "RowsFromGradient",
  "ScatterRows",
  "SoftCapGradient",
  "SplitRows",
  "SquaredErrorGradient",
  "SumTo",
  "SwiGluGradient",
  "TableRows",
  "VocabularyGradient",
  "ZerosLike",
];

const folder = new URL("../../src/ops/", import.meta.url);

/** Every operation that a file of src/ops defines, by its name in the source. */
const defined = readdirSync(folder)
  .filter((file) => file.endsWith(".ts"))
  .flatMap((file) => {
    const [, ...definitions] = readFileSync(new URL(file, folder), "utf8").split(/defineOp(?=[<(])/);
    return definitions.map((definition) => ({
      file,
      name: /name: "(\w+)"/.exec(definition)?.[1],
      noGradient: /^ {2}gradient: "noGradient",$/m.test(definition.split(/^\}\);$/m)[0] ?? ""),
    }));
  });

const built = opCases.map(buildCase);
const differentiated = new Set(built.flatMap((graph) => [...graph.differentiated]));
const lowered = new Set(built.flatMap((graph) => [...graph.lowered]));

test("the source was understood", () => {
  expect(defined.length).toBeGreaterThan(20);
  expect(defined.filter(({ name }) => name === undefined)).toEqual([]);
});

test("every operation is differentiated in a test, or has no gradient and is named here", () => {
  const missing = defined.filter(({ name = "", noGradient }) => (noGradient ? !withoutGradient.includes(name) : !differentiated.has(name)));
  expect(missing).toEqual([]);
  expect(defined.flatMap(({ name, noGradient }) => (noGradient ? [name] : [])).sort()).toEqual(withoutGradient);
});

test("every operation is lowered in a test", () => {
  expect(defined.filter(({ name = "" }) => !lowered.has(name))).toEqual([]);
});

import { appendFile, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readModel } from "../../src/models/index.js";
import { productOf } from "../../src/workflows/node/training/products/index.js";
import { inCode, parseOptions, trainSet } from "../../src/workflows/options.js";
import { choices, recipe } from "../../tools/experiment-rank/choices.js";
import { partByMeaning, readPairs } from "../../tools/experiment-rank/e2e.js";
import { writePage } from "../../tools/experiment-rank/page.js";
import { appendResult, type Losses, type RunResult, readResults } from "../../tools/experiment-rank/results.js";

const lines = Array.from({ length: 60 }, (_, index) => `name : ${index % 20} | area : x||Text ${index} .`);
const pairs = readPairs(lines.join("\n"), "e2e.txt");

describe("the parts of E2E NLG", () => {
  const sizes = { scored: 6, choosing: 4 };
  const parts = partByMeaning(pairs, 1, sizes);

  it("share no meaning representation, learn all texts of half of them, and measure one text each of others", () => {
    const meanings = (part: keyof typeof parts) => new Set(parts[part].map(({ meaning }) => meaning));
    const all = [...meanings("learned"), ...meanings("scored"), ...meanings("choosing")];
    expect(new Set(all).size).toBe(all.length);
    expect(parts.learned).toHaveLength(30);
    expect([parts.scored.length, meanings("scored").size]).toEqual([6, 6]);
    expect([parts.choosing.length, meanings("choosing").size]).toEqual([4, 4]);
  });

  it("follow from the seed, and from nothing but the lines", () => {
    expect(partByMeaning(pairs, 1, sizes)).toEqual(parts);
    expect(partByMeaning(pairs, 2, sizes).learned).not.toEqual(parts.learned);
  });

  it("are refused where the file is another, or too small", () => {
    expect(() => readPairs("name : a||Text\nmr,ref\n", "e2e.csv")).toThrow('e2e.csv:2: expected facts||text, found "mr,ref"');
    expect(() => partByMeaning(pairs, 1, { scored: 8, choosing: 4 })).toThrow(
      "expected at least 24 different meaning representations, found 20",
    );
  });
});

describe("the choices", () => {
  const smollm2 = readModel({
    model_type: "llama",
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    vocab_size: 49_152,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    rope_theta: 100_000,
    tie_word_embeddings: true,
  });
  const parametersOf = (id: string) => {
    const options = choices.find((choice) => choice.id === id)!.options;
    const settings = parseOptions(trainSet, { model: "m", data: "d", out: "o", ...recipe, ...options }, inCode);
    return productOf(settings).layout(smollm2, []).length;
  };

  it("by layers have one number of parameters, but for all linear layers, where rank 1 is the nearest", () => {
    const byLayers = choices.filter(({ question }) => question === "layers").map(({ id }) => [id, parametersOf(id)] as const);
    for (const [id, parameters] of byLayers) if (id !== "all-linear") expect([id, parameters]).toEqual([id, 30 * 9216]);
    expect(parametersOf("all-linear")).toBe(30 * 10_176);
    expect(byLayers).toHaveLength(8);
  });

  it("by rank have parameters as their ranks", () => {
    for (const { id, rank } of choices.filter(({ question }) => question === "rank")) expect(parametersOf(id)).toBe(30 * 1920 * rank!);
  });
});

const result = (some: Partial<RunResult>): RunResult => ({
  stage: "main",
  id: "qv-r4",
  seed: 1,
  lr: 1,
  model: "m",
  precision: "int8",
  parameters: 10,
  steps: 40,
  trainLoss: 1,
  losses: [],
  general: {
    passages: [
      [20, 10],
      [30, 10],
      [40, 10],
    ],
    right: "1100",
  },
  seconds: 1,
  ...some,
});

describe("results", () => {
  it("are lines that outlive a kill in the middle of one", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "lorikeet-test-")), "deeper", "runs.jsonl");
    expect(await readResults(file)).toEqual([]);
    const results = [result({}), result({ seed: 2 })];
    for (const each of results) await appendResult(file, each);
    await appendFile(file, '{"stage":"main","id":"qv');
    expect(await readResults(file)).toEqual(results);
    await appendResult(file, result({ seed: 3 })); // goes on behind the cut line
    expect((await readResults(file)).map(({ seed }) => seed)).toEqual([1, 2, 3]);
    await writeFile(file, "{}}\n{}\n");
    await expect(readResults(file)).rejects.toThrow(/runs\.jsonl:1: is no result of a run/);
  });

  it("become tables with differences on the same texts, and figures", () => {
    const losses = (shift: number): Losses => [
      [10 + shift, 10],
      [20 + shift, 10],
      [33 + 2 * shift, 10],
    ];
    const page = writePage([
      result({ stage: "base", id: "base", seed: 0, losses: losses(10) }),
      result({ losses: losses(0) }),
      result({ seed: 2, losses: losses(1) }),
      result({
        id: "qv-r1",
        losses: losses(2),
        general: {
          passages: [
            [21, 10],
            [31, 10],
            [41, 10],
          ],
          right: "1000",
        },
      }),
      result({ stage: "pilot", lr: 3, losses: losses(0) }),
    ]);
    const tables = page.get("tables.md")!;
    // (2 + 2 + 4) nats over 30 tokens; Student's interval with the jackknife's error of the three texts, 2 degrees of freedom:
    // without one text at a time 6/20, 6/20, 4/20; √(2/3 · Σ(x − mean)²) = 0.0667, times 4.3027.
    expect(tables).toContain(
      "| q, v: r 1 | 10 | 2.367 | – | 2.367 | +0.267 [−0.020, +0.554] | +0.100 [+0.100, +0.100] | +0.100 [+0.100, +0.100] | 1.0 of 4 |",
    );
    expect(tables).toContain("| q, v: r 4 | 10 | 2.100 | 2.233 | 2.167 | – | +0.000 [+0.000, +0.000] | – | 2.0 of 4 |");
    expect(tables).toContain("| qv-r4 | 3 | 2.100 |");
    expect([...page.keys()]).toEqual(["tables.md", "rank.svg", "trade-off.svg"]);
    expect(page.get("rank.svg")!.match(/<circle /g)).toHaveLength(2 + 2 + 3); // two keys, two means, three runs
    expect(page.get("rank.svg")).not.toMatch(/NaN|Infinity/);
  });

  it("that are not there yet make no figures", () => {
    expect([...writePage([]).keys()]).toEqual(["tables.md"]);
  });
});

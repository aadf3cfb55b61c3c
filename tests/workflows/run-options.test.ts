import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { trainSet } from "../../src/workflows/options.js";
import { trainSchemaText } from "../../tools/train-schema.js";
import { TINY_CHAT, temporaryFolder } from "./support.js";
import { jsonlFileOfLabels, questionsFile, runHere } from "./training-support.js";

// Matrix A and dropout are drawn by seed, the rate warms up: whatever run.yaml forgets changes the adapter.
const given = { model: TINY_CHAT, lr: 0.02, steps: 3, dropout: 0.1, accumulate: 2, report: false };
/** What a run wrote of its options. */
const optionsOf = async (out: string) => readFile(join(out, "run.yaml"), "utf8");
const adapterOf = (out: string) => readFile(join(out, "adapter", "adapter_model.safetensors"));

async function run(options: Readonly<Record<string, unknown>>) {
  const out = join(await temporaryFolder(), "run");
  await runHere({ ...given, ...options, out });
  return { out, text: await optionsOf(out) };
}

describe("run.yaml", () => {
  // Proves run in: repeats the run bit for bit
  test.each([
    ["AdamW", {}],
    ["SGD and a pattern of ranks", { optimizer: "sgd", momentum: 0.5, rankPattern: "q_proj=4", layers: ["q_proj", "v_proj"] }],
  ])("repeats a run bit for bit: %s", async (_name, options) => {
    const first = await run({ data: await questionsFile(), ...options });
    const second = join(await temporaryFolder(), "again");
    await runHere({ ...parse(first.text), out: second });
    expect(await adapterOf(second)).toEqual(await adapterOf(first.out));
    expect(parse(await optionsOf(second))).toEqual({ ...parse(first.text), out: second });
  });

  // Proves run out: every option, with its value or as not set
  test("names every option, with its value or as not set", async () => {
    const { text } = await run({ data: await questionsFile() });
    const written = Object.keys(parse(text));
    const absent = text.slice(text.indexOf("# Not set:")).matchAll(/^# (\w+)(?: \(default: .+\))?$/gm);
    const names = [...written, ...[...absent].map(([, name]) => name)];
    expect(names.toSorted()).toEqual(
      Object.keys(trainSet.shape)
        .filter((name) => name !== "resume")
        .toSorted(),
    );
    expect(parse(text)).toMatchObject({
      steps: 3,
      rank: 16,
      betas: [0.9, 0.999],
      precision: "fp32",
      device: "cpu",
      threads: expect.any(Number),
    });
  });

  test("leaves out a default that the rules between options refuse", async () => {
    const { text } = await run({ data: await jsonlFileOfLabels(), task: "regression" });
    expect(parse(text)).not.toHaveProperty("classWeights");
    expect(parse((await run({ data: await jsonlFileOfLabels(), task: "classification" })).text)).toHaveProperty("classWeights", "none");
  });

  test("says that a run by the clock cannot be repeated exactly", async () => {
    const { text, out } = await run({ data: await questionsFile(), steps: undefined, minutes: 0.001 });
    expect(text).toContain("its learning rate follows the clock");
    await rm(out, { recursive: true });
  });
});

describe("the schema of run.yaml", () => {
  const accepts = new Ajv2020({ strictRequired: false }).compile(JSON.parse(trainSchemaText()));

  test("is the file that comes with the package", async () => {
    expect(await readFile("assets/train.schema.json", "utf8")).toBe(trainSchemaText());
  });

  // Proves run out: the JSON schema for editors accepts it (Ajv)
  test("accepts what a run wrote", async () => {
    const { text } = await run({ data: await questionsFile() });
    expect(accepts(parse(text)), JSON.stringify(accepts.errors)).toBe(true);
  });

  test.each<[string, unknown]>([
    ["a name that is none", { rnak: 8 }],
    ["a number beyond its bounds", { rank: 0 }],
    ["a word that is no choice", { precision: "int7" }],
    ["two lengths", { epochs: 1, steps: 100 }],
    ["the numbers of two optimizers", { betas: [0.9, 0.99], momentum: 0.9 }],
  ])("refuses %s", (_name, options) => {
    expect(accepts(options)).toBe(false);
  });
});

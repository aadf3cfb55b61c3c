import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { InputError } from "../../src/errors.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { runEject } from "../../src/workflows/node/eject-run.js";
import { fakeContext, jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";

// That TRL has the run's losses with what is written here, .ci/run sees (tests/golden/check_ejected.py).

/** 40 questions with answers of the letters a to g; 30 are learned from. */
const rows = Array.from({ length: 40 }, (_, row) => ({ prompt: `number ${row}`, completion: "abcdefg".slice(0, 1 + (row % 7)) }));
const run = async (options: Readonly<Record<string, unknown>> = {}) => ({
  model: TINY_CHAT,
  data: await jsonlFile(rows),
  out: "unused",
  epochs: 1.5,
  batchSize: 4,
  accumulate: 2,
  ...options,
});

async function ejected(options: Readonly<Record<string, unknown>>) {
  const folder = await temporaryFolder();
  const file = join(folder, "run.yaml");
  await writeFile(file, stringify(options));
  const out = join(folder, "program");
  return { result: await runEject({ run: file, to: "trl", out }, fakeContext()), out, file };
}

const linesOf = async <Row>(path: string): Promise<Row[]> =>
  (await readFile(path, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("eject --to trl", () => {
  // Proves trl-program out: the rows as tokens, the order of the batches and the start are the run's
  test("writes the program, its rows as tokens, the order of its batches, and the start", async () => {
    const { result, out } = await ejected(await run());
    expect(result).toEqual({ out, notes: [] });
    expect((await readdir(out)).sort()).toEqual(["batches.json", "requirements.txt", "start", "train.jsonl", "train.py", "valid.jsonl"]);

    const train = await linesOf<{ input_ids: number[]; labels: number[] }>(join(out, "train.jsonl"));
    expect(train).toHaveLength(30);
    for (const { input_ids, labels } of train) {
      expect(labels).toHaveLength(input_ids.length);
      const learned = labels.filter((label) => label !== -100);
      expect(labels[0]).toBe(-100);
      expect(learned.length).toBeGreaterThan(1); // the answer and the end of its turn
      labels.forEach((label, t) => void (label === -100 || expect(label).toBe(input_ids[t])));
    }
    expect(await linesOf(join(out, "valid.jsonl"))).toHaveLength(10);

    const batches: number[][] = JSON.parse(await readFile(join(out, "batches.json"), "utf8"));
    expect(batches).toHaveLength(12); // 8 batches an epoch, one and a half epochs
    expect(
      batches
        .slice(0, 8)
        .flat()
        .toSorted((a, b) => a - b),
    ).toEqual(Array.from(train.keys()));
    expect(new Set(batches.slice(8).flat()).size).toBe(batches.slice(8).flat().length);

    const start = await readAdapterFolder(join(out, "start"));
    expect(start.layers.every(({ b }) => b.every((value) => value === 0))).toBe(true);
    expect(start.layers.some(({ a }) => a.some((value) => value !== 0))).toBe(true);
    expect(await readFile(join(out, "train.py"), "utf8")).toContain("UPDATES = 6\n");
  });

  test("says in what the numbers will differ", async () => {
    const { result } = await ejected(await run({ dropout: 0.1, precision: "4bit" }));
    expect(result.notes).toEqual([
      "dropout draws other numbers there: losses agree on average, not one by one",
      "the run computed in 4bit, the program in float32: losses agree as closely as those of --precision fp32 do",
    ]);
  });

  test.each([
    ["another task", { task: "regression" }, "task: regression has no equal in TRL's SFTTrainer"],
    ["a run by the clock", { epochs: undefined, minutes: 1 }, "Give steps or epochs in the file instead of minutes."],
    ["a start that changes the base", { method: "pissa" }, 'LoraConfig(init_lora_weights="pissa")'],
    ["a base of a method's own", { method: "loftq", precision: "4bit" }, "Train beside the run's base folder with the method lora."],
    ["VeRA", { method: "vera" }, "method: vera has no equal in TRL's SFTTrainer. In Python, PEFT trains it: peft_type VERA."],
    ["AdaLoRA", { method: "adalora" }, "In Python, PEFT trains it: peft_type ADALORA."],
    ["every weight", { method: "full" }, "In Python, give SFTTrainer the model without an adapter."],
    ["a wrong option", { rnak: 3 }, "run.yaml: rnak: there is no such option; did you mean rank?"],
  ])("refuses %s, and leaves nothing behind", async (_name, options, message) => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "run.yaml"), stringify(await run(options)));
    const request = runEject({ run: join(folder, "run.yaml"), to: "trl", out: join(folder, "program") }, fakeContext());
    await expect(request).rejects.toThrow(InputError);
    await expect(request).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual(["run.yaml"]);
  });

  test("says where a run is looked for", async () => {
    await expect(runEject({ run: "/no/such/run", to: "trl", out: "x" }, fakeContext())).rejects.toThrow(
      "/no/such/run is not there. Give the folder of a run, or its run.yaml.",
    );
  });
});

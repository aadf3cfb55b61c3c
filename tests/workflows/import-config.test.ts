import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { InputError } from "../../src/errors.js";
import { importConfig } from "../../src/workflows/node/import-config.js";
import { TINY_CHAT, temporaryFolder } from "./support.js";
import { questionsFile, runHere } from "./training-support.js";

async function imported(files: { readonly peft?: object; readonly trl?: object }) {
  const folder = await temporaryFolder();
  const given: Record<string, string> = {};
  for (const [tool, fields] of Object.entries(files)) {
    given[tool] = join(folder, `${tool}.yaml`);
    await writeFile(given[tool], stringify(fields));
  }
  const out = join(folder, "run.yaml");
  return { ...(await importConfig({ ...given, out })), text: await readFile(out, "utf8") };
}

const reasons = ({ lost }: { readonly lost: readonly { field: string; why: string }[] }) =>
  Object.fromEntries(lost.map(({ field, why }) => [field, why]));

describe("PEFT", () => {
  // Proves peft-config in: the adapter trained by what came of PEFT's file has PEFT's file
  test("what PEFT wrote of an adapter trains one of which Lorikeet writes the same", async () => {
    const file = join(TINY_CHAT, "adapter", "adapter_config.json");
    const out = join(await temporaryFolder(), "run.yaml");
    const result = await importConfig({ peft: file, out });
    expect(result.lost).toEqual([]);
    expect(result.missing).toEqual(["data", "out"]);

    const run = join(await temporaryFolder(), "run");
    const options = parse(await readFile(out, "utf8"));
    await runHere({ ...options, model: TINY_CHAT, data: await questionsFile(), out: run, steps: 1, report: false });
    const config = async (path: string): Promise<Record<string, unknown>> => JSON.parse(await readFile(path, "utf8"));
    const theirs = await config(file);
    const ours = await config(join(run, "adapter", "adapter_config.json"));
    const sorted = (fields: Record<string, unknown>) => ({ ...fields, target_modules: [fields.target_modules].flat().toSorted() });
    expect(sorted({ ...ours, base_model_name_or_path: null })).toEqual(sorted({ ...theirs, base_model_name_or_path: null }));
  });

  test("defaults that differ from ours are written", async () => {
    const { options, lost } = await imported({ peft: { peft_type: "LORA" } });
    expect(options).toEqual({ rank: 8, alpha: 8, dropout: 0, initialisation: "peft", layers: "peft" });
    expect(lost).toEqual([]);
  });

  test("every field that train has", async () => {
    const { options, lost } = await imported({
      peft: {
        base_model_name_or_path: "org/model",
        r: 4,
        lora_alpha: 12,
        lora_dropout: 0.05,
        target_modules: ".*\\.(q|v)_proj",
        exclude_modules: ["lm_head"],
        layers_to_transform: [0, 2],
        rank_pattern: { q_proj: 8 },
        alpha_pattern: { q_proj: 16 },
        use_rslora: true,
        init_lora_weights: "pissa_niter_6",
        task_type: "SEQ_CLS",
      },
    });
    expect(lost).toEqual([]);
    expect(options).toEqual({
      model: "org/model",
      rank: 4,
      alpha: 12,
      dropout: 0.05,
      layers: "/.*\\.(q|v)_proj/",
      exclude: ["lm_head"],
      blocks: [0, 2],
      rankPattern: { q_proj: 8 },
      alphaPattern: { q_proj: 16 },
      rslora: true,
      method: "pissa",
      svdRounds: 6,
      task: "classification",
    });
  });

  test("the kinds of tasks are those of --task", async () => {
    const task = async (task_type: string) => (await imported({ peft: { task_type } })).options.task;
    expect(await task("CAUSAL_LM")).toBeUndefined(); // the default
    expect(await task("TOKEN_CLS")).toBe("token-classification");
    expect(await task("FEATURE_EXTRACTION")).toBe("embedding");
    expect(reasons(await imported({ peft: { task_type: "SEQ_2_SEQ_LM" } })).task_type).toContain("regression and embedding");
  });

  test("what has no equal is told with its reason, in the file too", async () => {
    const result = await imported({ peft: { peft_type: "IA3", init_lora_weights: "corda", layer_replication: [[0, 4]], r: 9999 } });
    expect(Object.keys(reasons(result))).toEqual(["init_lora_weights", "peft_type", "layer_replication", "rank"]);
    expect(reasons(result).rank).toContain("expected a whole number from 1 to 4096; found 9999");
    expect(result.text).toContain('# Not carried over: peft_type: "IA3" (Lorikeet trains LoRA and its kin).');
    expect(parse(result.text)).toEqual(result.options);
  });
});

// Proves trl-config in: its fields and defaults; what could not be carried over is listed
describe("TRL", () => {
  test("defaults that differ from ours are written", async () => {
    const { options, lost } = await imported({ trl: { use_peft: true } });
    expect(options).toEqual({
      batchSize: 8,
      epochs: 3,
      lr: 2e-5,
      schedule: "linear",
      warmup: 0,
      maxLength: 1024,
      gradientCheckpointing: "on",
      rank: 16,
      alpha: 32,
      dropout: 0.05,
      initialisation: "peft",
      layers: "peft",
    });
    expect(lost).toEqual([]);
  });

  test("a run in updates, with the adapter of a file of PEFT", async () => {
    const { options, lost, missing } = await imported({
      trl: {
        model_name_or_path: "org/model",
        dataset_name: "rows.jsonl",
        output_dir: "out",
        max_steps: 200,
        num_train_epochs: 3,
        warmup_steps: 10,
        lr_scheduler_type: "cosine",
        adam_beta2: 0.95,
        weight_decay: null,
        bf16: true,
        packing: true,
        logging_steps: 5,
        use_peft: true,
        lora_r: 64,
        lora_modules_to_save: [],
      },
      peft: { r: 32, lora_alpha: 64, use_dora: true },
    });
    expect(lost).toEqual([]);
    expect(missing).toEqual([]);
    expect(options).toMatchObject({ model: "org/model", data: "rows.jsonl", out: "out", steps: 200, warmup: 0.05, schedule: "cosine" });
    expect(options).toMatchObject({ betas: [0.9, 0.95], rank: 32, alpha: 64, method: "dora" });
    expect(options).not.toHaveProperty("epochs");
  });

  test("what has no equal is told with its reason", async () => {
    const result = await imported({
      trl: {
        dataset_name: "trl-lib/Capybara",
        optim: "lion_8bit",
        lr_scheduler_type: "polynomial",
        warmup_steps: 10,
        neftune_noise_alpha: 5,
        use_peft: false,
      },
    });
    expect(reasons(result)).toEqual({
      dataset_name: "a data set of the Hub: save its rows as a file, and give it with --data",
      optim: "optimizers are adamw and sgd here; adamw is taken",
      lr_scheduler_type: "schedules are constant, linear and cosine here",
      warmup_steps: "warm-up is a share of the run here: give --warmup, these updates divided by all",
      neftune_noise_alpha: "no noise is added to embeddings here",
      use_peft: "all weights are trained there; here an adapter is",
    });
  });
});

test("a file that is there is not written over, and nothing is written without a configuration", async () => {
  const folder = await temporaryFolder();
  const [peft, out] = [join(folder, "adapter_config.json"), join(folder, "run.yaml")];
  await writeFile(peft, '{"r": 4');
  await expect(importConfig({ peft, out })).rejects.toThrow(InputError);
  await expect(importConfig({ out })).rejects.toThrow("options.peft or options.trl is missing");
  expect(await readdir(folder)).toEqual(["adapter_config.json"]);
  await writeFile(out, "mine");
  await expect(importConfig({ peft, out })).rejects.toThrow("exists already");
  expect(await readFile(out, "utf8")).toBe("mine");
});

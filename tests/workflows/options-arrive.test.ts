import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { GradientProgram } from "../../src/training/gradient-program.js";
import type { TrainEvent } from "../../src/workflows/api.js";
import { trainSet } from "../../src/workflows/options.js";
import { jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";
import { ofType, runHere } from "./training-support.js";

// Every option of train reaches what it is for: given alone, it changes what a run does, in the place where it should.

/** What can be seen of a run. */
interface Seen {
  readonly events: readonly TrainEvent[];
  readonly config: Readonly<Record<string, unknown>>;
  /** Of the adapter's weights. */
  readonly digest: string;
  readonly threads: unknown;
  readonly gradientCheckpointing: unknown;
}

type Options = Readonly<Record<string, unknown>>;

const rows = (words: number, from = 0) =>
  Array.from({ length: 12 }, (_, row) => ({
    prompt: `number ${row + from}`,
    completion: Array.from({ length: words }, (_, at) => (row + from) * 7 + at).join(" "),
    half: row % 2,
  }));

/** For what all cases share. */
let shared: string;
let common: Options;
let base: Seen;

beforeAll(async () => {
  shared = await mkdtemp(join(tmpdir(), "options-arrive-"));
  vi.stubEnv("LORIKEET_CACHE", join(shared, "cache"));
  const data = join(shared, "rows.jsonl");
  await writeFile(
    data,
    rows(4)
      .map((row) => JSON.stringify(row))
      .join("\n"),
  );
  common = { model: TINY_CHAT, data, steps: 4, batchSize: 2, lr: 1e-2, evalEvery: 2, threads: 1, report: false };
  base = await run({});
});
afterAll(() => rm(shared, { recursive: true }));
afterEach(() => void vi.restoreAllMocks());

async function run(options: Options, folder?: string): Promise<Seen> {
  const out = folder ?? join(await temporaryFolder(), "run");
  const compile = vi.spyOn(GradientProgram, "compile");
  const events = await runHere({ ...common, out, ...options });
  const [, program, settings] = compile.mock.calls[0] ?? [];
  vi.restoreAllMocks();
  const adapter = (file: string) => readFile(join(out, "adapter", file));
  return {
    events,
    config: JSON.parse(String(await adapter("adapter_config.json"))),
    digest: createHash("sha256")
      .update(await adapter("adapter_model.safetensors"))
      .digest("hex"),
    threads: settings?.threads,
    gradientCheckpointing: program?.gradientCheckpointing,
  };
}

const steps = ({ events }: Seen) => ofType(events, "step");
const rates = (seen: Seen) => steps(seen).map(({ learningRate }) => learningRate);
const started = ({ events }: Seen) => ofType(events, "start")[0];
const evaluations = ({ events }: Seen) => ofType(events, "evaluation");
const saved = ({ events }: Seen) => ofType(events, "checkpoint").map(({ step }) => step);
const digest = (seen: Seen) => seen.digest;
const config = (field: string) => (seen: Seen) => seen.config[field];

const adalora = { method: "adalora", rank: 3 };

/** The change of an option, and where it shows. What must stand beside it on both sides comes third. */
const effects: Readonly<Record<string, readonly [change: Options, shows: (seen: Seen) => unknown, beside?: Options]>> = {
  model: [{ model: join(TINY_CHAT, "tiny-chat.gguf") }, config("base_model_name_or_path")],
  rank: [{ rank: 3 }, config("r")],
  alpha: [{ alpha: 5 }, config("lora_alpha")],
  dropout: [{ dropout: 0.5 }, digest],
  layers: [{ layers: "q_proj,v_proj" }, config("target_modules")],
  method: [{ method: "dora" }, config("use_dora")],
  svdRounds: [{ svdRounds: 0 }, digest, { method: "pissa" }],
  rho: [{ rho: 1 }, config("rank_pattern"), { method: "eva", rank: 4 }],
  loftqRounds: [{ loftqRounds: 2 }, digest, { method: "loftq", precision: "4bit", rank: 2 }],
  targetRank: [{ targetRank: 1 }, config("target_r"), adalora],
  pruneFrom: [{ pruneFrom: 0.5 }, config("tinit"), adalora],
  pruneUntil: [{ pruneUntil: 1 }, config("tfinal"), adalora],
  pruneEvery: [{ pruneEvery: 1 }, config("deltaT"), adalora],
  orthogonality: [{ orthogonality: 0 }, digest, adalora],
  startBatches: [{ startBatches: 1 }, digest, { method: "eva", rank: 2 }],
  exclude: [{ exclude: "q_proj" }, config("target_modules")],
  blocks: [{ blocks: "1" }, config("target_modules")],
  rankPattern: [{ rankPattern: "q_proj=2" }, config("rank_pattern")],
  alphaPattern: [{ alphaPattern: "q_proj=2" }, config("alpha_pattern")],
  modulesToSave: [{ modulesToSave: "lm_head" }, config("modules_to_save")],
  trainableTokens: [{ trainableTokens: "5,7" }, config("trainable_token_indices")],
  tieWeights: [{ tieWeights: true }, config("ensure_weight_tying"), { modulesToSave: "lm_head" }],
  rslora: [{ rslora: true }, config("use_rslora")],
  loraPlusRatio: [{ loraPlusRatio: 8 }, digest],
  initialisation: [{ initialisation: "peft" }, digest],
  epochs: [{ epochs: 2 }, (seen) => steps(seen).at(-1)?.epoch, { steps: undefined, epochs: 1 }],
  steps: [{ steps: 3 }, (seen) => steps(seen).length],
  minutes: [{ steps: undefined, minutes: 1e-6 }, (seen) => steps(seen).length],
  lr: [{ lr: 2e-2 }, rates],
  schedule: [{ schedule: "constant" }, rates],
  warmup: [{ warmup: 1 }, rates],
  batchSize: [{ batchSize: 3 }, (seen) => steps(seen)[0]?.supervisedTokens],
  accumulate: [{ accumulate: 2 }, (seen) => steps(seen)[0]?.supervisedTokens],
  optimizer: [{ optimizer: "sgd" }, digest],
  betas: [{ betas: [0.5, 0.9] }, digest],
  momentum: [{ momentum: 0.1 }, digest, { optimizer: "sgd" }],
  weightDecay: [{ weightDecay: 10 }, digest],
  clip: [{ clip: 1e-3 }, digest, { optimizer: "sgd" }],
  seed: [{ seed: 7 }, digest],
  maxLength: [{ maxLength: 25 }, (seen) => steps(seen)[0]?.tokens],
  overflow: [{ overflow: "drop" }, (seen) => started(seen)?.trainExamples, { maxLength: 29 }],
  columns: [{ columns: "prompt=completion,completion=prompt" }, (seen) => steps(seen)[0]?.supervisedTokens],
  validShare: [{ validShare: 0.25 }, (seen) => started(seen)?.validationExamples],
  groupBy: [{ groupBy: "half" }, digest],
  evalEvery: [{ evalEvery: 1 }, (seen) => evaluations(seen).length],
  saveEvery: [{ saveEvery: 1 }, saved],
  precision: [{ precision: "int8" }, (seen) => steps(seen).map(({ loss }) => loss)],
  gradientCheckpointing: [{ gradientCheckpointing: "on" }, (seen) => seen.gradientCheckpointing],
  threads: [{ threads: 2 }, (seen) => seen.threads],
};

/** Options whose effect the cases below, or other files, show. */
const shownElsewhere: Readonly<Record<string, string>> = {
  data: "below",
  valid: "below",
  out: "every case writes there",
  resume: "below",
  bias: "below",
  report: "measuring.test.ts",
  device: "webgpu.test.ts",
  task: "label-run.test.ts",
  classWeights: "label-run.test.ts",
};

test("every option of train stands here", () => {
  const named = [effects, shownElsewhere].flatMap((each) => Object.keys(each));
  expect(named.sort()).toEqual(Object.keys(trainSet.shape).sort());
});

describe("an option given alone shows in the run", () => {
  test("and without a change nothing does", async () => {
    const again = await run({});
    for (const [name, [, shows, beside]] of Object.entries(effects))
      if (beside === undefined) expect(shows(again), name).toEqual(shows(base));
  });

  test.each(Object.entries(effects))("%s", async (_name, [change, shows, beside]) => {
    const without = beside === undefined ? base : await run(beside);
    expect(shows(await run({ ...beside, ...change }))).not.toEqual(shows(without));
  });

  test("data and valid", async () => {
    const other = await run({ data: await jsonlFile(rows(4, 100)) });
    expect(digest(other)).not.toBe(digest(base));
    const measured = await run({ valid: await jsonlFile(rows(2, 50).slice(0, 5)) });
    expect(started(measured)?.validationExamples).toBe(5);
    expect(evaluations(measured)[0]?.loss).not.toBe(evaluations(base)[0]?.loss);
  });

  test("resume", async () => {
    const out = join(await temporaryFolder(), "run");
    await run({}, out);
    await expect(run({}, out)).rejects.toThrow("resume");
    expect(started(await run({ resume: true }, out))?.resumedAt).toBe(4);
    expect(existsSync(join(out, "checkpoint.safetensors"))).toBe(true);
  });
});

test("bias arrives: a model that has none is told so", async () => {
  await expect(run({ bias: "all" })).rejects.toThrow("the model has no bias that could be trained (bias all)");
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import type {
  BatchRequest,
  CombineResult,
  ConvertResult,
  DataReport,
  DoctorReport,
  EvaluationResult,
  ExportResult,
  ExtractResult,
  GenerateRequest,
  InspectResult,
  LanguageModel,
  LoadModelOptions,
  MergeResult,
  PlanResult,
  PushResult,
  RankResult,
  ResizeResult,
  UnmergeResult,
  Workflows,
} from "../../src/workflows/api.js";
import { fakeIo, runWith } from "./support.js";

const derived = { out: "/o", files: ["adapter_config.json"], bytes: 20_000, parameters: 4900, notes: [] };
const derivedLayers = [
  { name: "model.layers.0.q_proj", rank: 4, norm: 2, relativeError: 0.1 },
  { name: "model.layers.1.q_proj", rank: 8, norm: 1, relativeError: 0.2 },
];
const combined: CombineResult = {
  ...derived,
  type: "ties_svd",
  terms: [
    { name: "a", weight: 1 },
    { name: "b", weight: 0.5 },
  ],
  relativeError: 0.12,
  layers: derivedLayers.map((layer, index) => ({ ...layer, reductionError: 0.03 - 0.01 * index })),
};
const exact: CombineResult = {
  ...combined,
  type: "cat",
  relativeError: 0,
  layers: derivedLayers.map((layer) => ({ ...layer, relativeError: 0 })),
};
const resized: ResizeResult = {
  ...derived,
  relativeError: 0.00707,
  layers: derivedLayers.map((layer, index) => ({ ...layer, rank: 4, formerRank: 16, relativeError: 0.021 * index })),
};
const converted: ConvertResult = { ...derived, layers: derivedLayers.map(({ name, rank }) => ({ name, rank })) };
const extracted: ExtractResult = { ...derived, relativeError: 0.12, layers: derivedLayers, unchanged: 3, leftOut: [] };

const evaluation: EvaluationResult = {
  model: "m",
  adapter: "a",
  data: "d.jsonl",
  comparisons: [
    {
      metric: "exact match",
      side: "target",
      unit: "share",
      n: 100,
      base: 0.03,
      adapted: 0.82,
      change: { unit: "share", before: 0.03, after: 0.82, difference: 0.79, interval: [0.7, 0.87], n: 100, verdict: "gain" },
    },
    { metric: "loss", side: "target", unit: "nats", n: 100, base: 3.0012, adapted: 1.5 },
  ],
  samples: [{ prompt: "every day\nat nine", expected: "0 9 * * *", before: "Sure!\nIt is", after: "0 9 * * *" }],
  notes: [],
  sentence: "82 of 100 right, 3 before.",
  seconds: 3,
};

const labelled: EvaluationResult = {
  ...evaluation,
  comparisons: [{ metric: "mean reciprocal rank", side: "target", unit: "score", n: 100, base: 0.314, adapted: 0.957 }],
  labels: ["ham", "spam"],
  confusion: [
    [60, 2],
    [3, 35],
  ],
};
const merged: MergeResult = {
  out: "o",
  files: ["config.json", "model.safetensors"],
  bytes: 538_090_408,
  layers: 210,
  rounding: { ofWeights: 0.0017, ofChange: 0.123, change: 0.0138, arrived: 0.998, kinds: [] },
  notes: [],
};
const rounding = { ofWeights: 0.071, ofChange: 1.22, change: 0.058, arrived: 0.063 };
const mergedInBlocks: MergeResult = {
  ...merged,
  out: "o.gguf",
  files: ["o.gguf"],
  rounding: {
    ...rounding,
    kinds: [
      { kind: "q_proj", type: "Q4_1", isAdapted: true, ...rounding },
      { kind: "up_proj", type: "Q5_0", isAdapted: false, ofWeights: 0.043, ofChange: 0, change: 0, arrived: 1 },
    ],
  },
};
const mergedNoisily: MergeResult = { ...mergedInBlocks, rounding: { ...mergedInBlocks.rounding, arrived: 0.97 } };
const restorable: MergeResult = { ...merged, record: { folder: "o/unmerge", bytes: 7_200_000 } };
const unmerged: UnmergeResult = { out: "/b", files: ["model.safetensors"], bytes: 538_090_408, layers: 210, notes: [] };
const nearlyUnmerged: UnmergeResult = { ...unmerged, approximate: { largestDistance: 0.001, largestWeight: 1.5 } };
const pushed: PushResult = {
  url: "https://hub/commit/1",
  repository: "ada/tickets",
  files: [
    { path: "README.md", bytes: 2000 },
    { path: "adapter_model.safetensors", bytes: 19_600_000 },
  ],
  card: "# LoRA adapter\n",
};
const exported: ExportResult = { out: "o", files: ["Modelfile", "adapter.gguf"], bytes: 19_587_000, layers: 210, notes: [] };
const inspected: InspectResult = {
  directory: "a",
  notes: [],
  bytes: 19_587_000,
  baseModel: "HuggingFaceTB/SmolLM2-135M-Instruct",
  rank: 16,
  alpha: 32,
  dropout: 0,
  rankStabilised: false,
  scale: 2,
  parameters: 4_884_480,
  norm: 3.25,
  layers: [
    {
      name: "model.layers.0.self_attn.q_proj",
      rank: 16,
      scale: 2,
      shape: [576, 576],
      parameters: 18_432,
      norm: 0.5,
      singularValues: [0.4, 0.2, 0.1, 0.05, 0.01],
      effectiveRank: 2.53,
    },
  ],
};
const textbook: RankResult = {
  file: "textbook.csv",
  rows: 4,
  columns: 5,
  rank: 2,
  tolerance: 2.46e-14,
  singularValues: [22.15902633, 0.98871232, 2.8e-15, 6.2e-18],
  norm: 22.181,
  effectiveRank: 1.19,
  approximations: [
    { rank: 1, error: 0.98871232, relativeError: 0.0446, largestError: 0.98871232, parameters: 9 },
    { rank: 2, error: 2.8e-15, relativeError: 1.3e-16, largestError: 2.8e-15, parameters: 18 },
  ],
  factors: {
    rank: 1,
    b: [[3.2], [7.4], [11.6], [15.8]],
    c: [[0.45, 0.55, 0.45, 0.55, 0.45]],
  },
};
const planned: PlanResult = {
  model: "smollm2-135m",
  architecture: "llama",
  layers: [0, 1].map((n) => ({ name: `model.layers.${n}.mlp.up_proj`, inFeatures: 576, outFeatures: 1536, parameters: 33_792 })),
  whole: [],
  trainableParameters: 67_584,
  totalParameters: 134_515_008,
  memory: { weights: 5.4e8, adapter: 8e5, activations: 1e9, own: 1e8, total: 1.6e9, needed: 1.3e9, available: 1e9 },
  gradientCheckpointing: false,
  changes: [
    { options: "--gradient-checkpointing on", total: 9e8, fits: true },
    { options: "--max-length 512", total: 1.4e9, fits: false },
  ],
  device: "cpu",
  precision: "fp32",
  trainExamples: 900,
  validationExamples: 100,
  steps: 225,
  tokens: 90_000,
  tokensPerSecond: 430,
  seconds: 3_725,
  notes: ["The speed was measured on this machine."],
};
const data: DataReport = {
  file: "d.jsonl",
  format: "JSON Lines",
  forms: { messages: 999, text: 1 },
  rows: 1000,
  examples: 997,
  train: 897,
  heldOut: 100,
  prompts: 950,
  duplicates: 12,
  overlap: { prompts: 4, examples: 3 },
  cut: 2,
  droppedTooLong: 0,
  droppedEmpty: 3,
  maxLength: 1024,
  longExampleRule: "Long examples are cut.",
  tokens: 90_000,
  supervisedTokens: 12_000,
  lengths: {
    least: 31,
    median: 60,
    mean: 90.27,
    percentile95: 200,
    most: 900,
    histogram: [
      { from: 0, to: 32, count: 900 },
      { from: 32, to: 64, count: 97 },
      { from: 64, to: 128, count: 0 },
    ],
  },
  samples: [
    {
      file: "d.jsonl",
      line: 7,
      tokens: 31,
      segments: [
        { text: "<|im_start|>user\nevery day at nine<|im_end|>\n<|im_start|>assistant\n", supervised: false },
        { text: "0 9 * * *<|im_end|>", supervised: true },
        { text: "\n", supervised: false },
      ],
    },
  ],
  notes: ["100 of 1000 rows are held out."],
};

const labelledData: DataReport = {
  ...data,
  forms: { "text-label": 1000 },
  supervisedTokens: 1000,
  labels: [
    { label: "ham", count: 700 },
    { label: "spam", count: 300 },
  ],
  samples: [{ file: "d.jsonl", line: 7, tokens: 31, segments: [{ text: "Win a prize", supervised: false }], tells: "spam" }],
};
const doctor: DoctorReport = {
  lorikeet: "0.1.0",
  node: "20.20.2",
  platform: "linux-x64",
  processor: { model: "A Processor", cores: 2, features: ["avx512"] },
  memory: { total: 16e9, available: 8e9 },
  devices: [
    { device: "cpu", available: true, detail: "", gigaflops: 340.4, int8: { exact: true, speedup: 1.96 } },
    { device: "webgpu", available: false, detail: "no adapter was found" },
  ],
  cache: { folder: "/home/me/.cache", bytes: 0 },
  auto: { device: "cpu", precision: "int8" },
  notes: [],
};
const doctorWithoutInt8: DoctorReport = {
  ...doctor,
  devices: [{ device: "cpu", available: true, detail: "", int8: { exact: false, speedup: 2 } }],
  auto: { device: "cpu", precision: "fp32" },
};

const results: readonly (readonly [argv: readonly string[], some: Partial<Workflows>, result: unknown, shows: readonly string[]])[] = [
  [
    ["eval", "--model", "m", "--adapter", "a", "--data", "d.jsonl"],
    { evaluate: async () => evaluation },
    evaluation,
    [
      "every day\nat nine\n  expected 0 9 * * *\n  before   Sure!\n           It is\n  after    0 9 * * *\n",
      "measure              examples  before  after  difference  95 % interval   verdict\n",
      "target: exact match       100     3 %   82 %       +79 %  +70 % to +87 %  measurable gain\n",
      "target: loss              100   3.001    1.5\n",
      "\n82 of 100 right, 3 before.\n",
    ],
  ],
  [
    ["eval", "--model", "m", "--adapter", "a", "--data", "d.jsonl"],
    { evaluate: async () => labelled },
    labelled,
    ["ham            60     2\nspam            3    35\n\nmeasure", "target: mean reciprocal rank       100   0.314  0.957\n"],
  ],
  [
    ["merge", "--model", "m", "--adapter", "a", "--out", "o"],
    { merge: async () => merged },
    merged,
    [
      "The adapter is folded into 210 layers.\nRounding the merged weights for the file moved them by 0.17 % of their size, which is 12 % of what the adapter changes.\no: config.json, model.safetensors (538 MB)\n",
    ],
  ],
  [
    ["merge", "--model", "m", "--adapter", "a", "--dtype", "q4_1", "--out", "o.gguf"],
    { merge: async () => mergedInBlocks },
    mergedInBlocks,
    [
      "moved them by 7.1 % of their size, which is 120 % of what the adapter changes.\n\n" +
        "weights          type  change  rounding  rounding / change  change that arrives\n",
      "q_proj           Q4_1   5.8 %     7.1 %              120 %                6.3 %\n",
      "up_proj          Q5_0       –     4.3 %                  –                    –\n",
      "adapted, in all  Q4_1   5.8 %     7.1 %              120 %                6.3 %\n",
      "\nMost of what the adapter changes is lost: 6.3 % of it arrives in the file.",
      "Take more bits (--dtype q8_0 or f16), or keep the adapter beside the base (lorikeet export makes it a file for llama.cpp).\no.gguf",
    ],
  ],
  [
    ["merge", "--model", "m", "--adapter", "a", "--dtype", "q4_k", "--out", "o.gguf"],
    { merge: async () => mergedNoisily },
    mergedNoisily,
    ["The change arrives in the file, under a rounding that is larger than it. That is what so few bits do to any model;"],
  ],
  [
    ["merge", "--model", "m", "--adapter", "a", "--restorable", "--out", "o"],
    { merge: async () => restorable },
    restorable,
    ["(538 MB)\no/unmerge: 7.2 MB, 1.3 % of the model. With it lorikeet unmerge restores the base bit for bit.\n"],
  ],
  [
    ["unmerge", "o", "--adapter", "a", "--out", "b"],
    { unmerge: async () => unmerged },
    unmerged,
    ["The adapter is taken out of 210 layers. The files are the base's, byte for byte (SHA-256).\n/b: model.safetensors (538 MB)\n"],
  ],
  [
    ["unmerge", "o", "--adapter", "a", "--approximate", "--out", "b"],
    { unmerge: async () => nearlyUnmerged },
    nearlyUnmerged,
    [
      "The change is subtracted from 210 layers. This is not the base bit for bit: no weight is further from it than 0.001, where the largest is 1.5, if it was merged in these types.\n/b: ",
    ],
  ],
  [
    ["export", "--model", "m", "--adapter", "a", "--to", "gguf", "--out", "o"],
    { exportAdapter: async () => exported },
    exported,
    ["The adapter sits at 210 layers.\no: Modelfile, adapter.gguf (19.6 MB)\n"],
  ],
  [
    ["eject", "run", "--to", "trl", "--out", "o"],
    { eject: async () => ({ out: "o", notes: [] }) },
    { out: "o", notes: [] },
    ["o: pip install -r requirements.txt, then python train.py\n"],
  ],
  [
    ["import", "--peft", "p.json", "--out", "run.yaml"],
    {
      importConfig: async () => ({
        out: "run.yaml",
        options: { rank: 8 },
        lost: [{ field: "bias", value: "all", why: "because" }],
        missing: [],
      }),
    },
    { out: "run.yaml", options: { rank: 8 }, lost: [{ field: "bias", value: "all", why: "because" }], missing: [] },
    ['run.yaml:\n  rank: 8\nNot carried over:\n  bias: "all": because\n'],
  ],
  [
    ["push", "run", "--to", "ada/tickets"],
    { push: async () => pushed },
    pushed,
    ["https://hub/commit/1\nREADME.md (2.0 kB), adapter_model.safetensors (19.6 MB)\n"],
  ],
  [
    ["inspect", "a"],
    { inspect: async () => inspected },
    inspected,
    [
      "alpha       32 (scale 2)\n",
      "parameters  4.9 M in 1 layers, 19.6 MB\n",
      "model.layers.0.self_attn.q_proj    16      2  576 → 576      18.4 k         0.5            2.53  0.4 0.2 0.1 0.05 …\n",
    ],
  ],
  [
    ["rank", "textbook.csv", "--best", "1"],
    { rank: async () => textbook },
    textbook,
    [
      "matrix           textbook.csv, 4 × 5 = 20 numbers\n",
      "singular values  22.16 0.9887 0 0\n",
      "rank             2 of at most 4 (singular values above 2.46e-14)\n",
      "   1        9             45 %  0.9887        4.5 %         0.9887\n   2       18             90 %       0          0 %              0\n",
      "It is a product (4 × 2) · (2 × 5): 18 numbers say all of its 20.\n",
      "C =\n  0.45000  0.55000  0.45000  0.55000  0.45000\n",
    ],
  ],
  [
    ["combine", "a + 0.5*b", "--adapter", "a=x", "--adapter", "b=y", "--out", "o", "--type", "ties_svd", "--density", "0.3"],
    {
      combine: async (options) => ({ ...combined, ...(options.adapter?.length === 2 && options.density === 0.3 ? {} : { out: "wrong" }) }),
    },
    combined,
    [
      "1 × a, 0.5 × b (ties_svd).\nIt differs from the exact sum by 12 % (at most 20 %, in model.layers.1.q_proj).\n",
      "Reducing it to a rank lost at most 3 % of a layer (model.layers.0.q_proj).\n",
      "2 layers of ranks 4 to 8, 4.9 k parameters.\n/o: adapter_config.json (20.0 kB)\n",
    ],
  ],
  [
    ["combine", "a + 0.5*b", "--out", "o"],
    { combine: async () => exact },
    exact,
    ["1 × a, 0.5 × b (cat).\nIt is the exact sum: nothing is lost.\n2 layers"],
  ],
  [
    ["resize", "d", "--rank", "4", "--out", "o"],
    { resize: async () => resized },
    resized,
    ["The layers had rank 16.\nIt lacks 0.71 % of the adapter's change (at most 2.1 %, in model.layers.1.q_proj).\n2 layers of rank 4"],
  ],
  [
    ["convert", "d", "--start", "s", "--out", "o"],
    { convert: async () => converted },
    converted,
    ["It is a plain LoRA now, for the base as it is.\n2 layers of ranks 4 to 8"],
  ],
  [
    ["extract", "--base", "b", "--tuned", "t", "--energy", "0.9", "--out", "o"],
    { extract: async () => extracted },
    extracted,
    ["The adapter lacks 12 % of the difference (at most 20 %, in model.layers.1.q_proj). 3 linear layers do not differ and have none.\n"],
  ],
  [
    ["plan", "--model", "smollm2-135m"],
    { plan: async () => planned },
    planned,
    [
      "free now  1.0 GB: not enough. What each change alone would make of it:",
      "time      about 1 h 02 min at 430 tokens/s",
      "model.layers.*.mlp.up_proj      2  576 → 1536   67.6 k\n",
    ],
  ],
  [
    ["data", "d.jsonl", "--model", "m"],
    { inspectData: async () => data },
    data,
    [
      "d.jsonl:7 31 tokens\n<|im_start|>user\nevery day at nine<|im_end|>\n<|im_start|>assistant\n⟦0 9 * * *<|im_end|>⟧\n",
      "What stands between ⟦ and ⟧ is learned",
      "d.jsonl: JSON Lines, 1000 rows (999 messages, 1 text)\n",
      "left out  0 too long, 3 with nothing to learn\n",
      "repeated  12 the same as an earlier one\n",
      "overlap   4 held-out prompts are learned from too, 3 with the same answer\n",
      "length    31 to 900 tokens; mean 90.27, half up to 60, 95 of 100 up to 200\n",
      "    1 to 32  ██████████████████████████████ 900\n   33 to 64  ████ 97\n  65 to 128   0\n",
      "Long examples are cut.\n100 of 1000 rows are held out.\n",
    ],
  ],
  [
    ["data", "d.jsonl", "--model", "m", "--task", "classification"],
    { inspectData: async () => labelledData },
    labelledData,
    ["d.jsonl:7 31 tokens\nWin a prize\n  → spam\n\nfile ", "tokens    90.0 k\nlabels    ham 700 (70 %), spam 300 (30 %)\ncut"],
  ],
  [
    ["doctor"],
    { doctor: async () => doctor },
    doctor,
    [
      "cpu         ready, 340 GFLOP/s, int8 2.0 times as fast\n",
      "webgpu      not available: no adapter was found\n",
      "auto means  device cpu, precision int8 (fp32 for models narrower than 256) to train, fp32 to answer\n",
    ],
  ],
  [
    ["doctor"],
    { doctor: async () => doctorWithoutInt8 },
    doctorWithoutInt8,
    [
      "cpu         ready, no int8 (it cuts sums of 8-bit products short)\n",
      "auto means  device cpu, precision fp32 to train, fp32 to answer\n",
    ],
  ],
  [["cache"], { cache: async () => ({ folder: "/c", bytes: 2000 }) }, { folder: "/c", bytes: 2000 }, ["/c, 2.0 kB\n"]],
  [
    ["cache", "clear"],
    { cache: async (action) => ({ folder: action, bytes: 2000 }) },
    { folder: "clear", bytes: 2000 },
    ["2.0 kB freed in clear\n"],
  ],
  [
    ["pull", "m"],
    { pull: async () => ({ kind: "folder", path: "/cache/m", notes: [] }) },
    { kind: "folder", path: "/cache/m", notes: [] },
    ["/cache/m\n"],
  ],
];

describe.each(results)("%j", (argv, some, result, shows) => {
  test("shows its result to people on standard output", async () => {
    const { code, out, err } = await runWith(argv, some);
    expect(code).toBe(0);
    expect(err).toBe("");
    for (const text of shows) expect(out).toContain(text);
  });

  test("with --json standard output is the result and nothing else", async () => {
    const { code, out, err } = await runWith([...argv, "--json"], some);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual(result);
    for (const text of shows) expect(err).toContain(text);
  });
});

test("the mask is in colour on a terminal", async () => {
  const io = fakeIo({ terminal: true, env: { TERM: "xterm" } });
  const { out } = await runWith(["data", "d.jsonl", "--model", "m"], { inspectData: async () => data }, io);
  expect(out).toContain("\u001b[32m0 9 * * *<|im_end|>\u001b[39m");
  expect(out).toContain("\u001b[32mGreen\u001b[39m is learned");
  expect(out).not.toContain("⟦");
});

test("an adapter beside its model and another adapter: two more columns, and what they mean", async () => {
  const [layer] = inspected.layers;
  const compared: InspectResult = {
    ...inspected,
    with: "b",
    html: "a.html",
    notes: ["3 of the 4 layers are not in the other adapter and are not compared."],
    layers: [
      {
        ...layer!,
        amplification: { factor: 21.5, projection: 0.32, byChance: 0.1, weightNorm: 60 },
        similarity: {
          values: [
            [0.9, 0.95],
            [0.9, 0.7],
          ],
          inputs: 576,
        },
      },
    ],
  };
  const { code, out, err } = await runWith(["inspect", "a", "--with", "b", "--model", "m"], { inspect: async () => compared });
  expect(code).toBe(0);
  expect(err).toContain("3 of the 4 layers are not in the other adapter");
  expect(out).toContain("amplification  alike, first / all");
  expect(out).toContain("2.53           21.5         0.90 / 0.70  0.4 0.2 0.1 0.05 …");
  expect(out).toMatch(/Amplification: how many times .*\nAlike: .*the other adapter \(b\) changed too; 1 is all\.\npage a\.html\n$/);
});

test("progress of long work: a plain line a task, none when quiet", async () => {
  const some: Partial<Workflows> = {
    async pull(_model, controls) {
      for (const part of [1, 2]) controls?.onProgress?.({ task: "downloading weights", done: part, total: 2, unit: "bytes" });
      controls?.onProgress?.({ task: "checking", done: 0, unit: "items" });
      return { kind: "folder", path: "p", notes: [] };
    },
  };
  expect((await runWith(["pull", "m"], some)).err).toBe("downloading weights …\nchecking …\n");
  expect((await runWith(["pull", "m", "--quiet"], some)).err).toBe("");
});

describe("generate", () => {
  function workflows(loads: unknown[], requests: GenerateRequest[]): Partial<Workflows> {
    return {
      async loadModel(name: string, { signal: _, onProgress: __, ...options }: LoadModelOptions = {}): Promise<LanguageModel> {
        loads.push({ name, ...options });
        const adapters = (options.adapters ?? []).map((directory) => ({ name: directory, directory, rank: 1, layers: 1, parameters: 1 }));
        return {
          name,
          architecture: "llama",
          parameters: 1,
          contextLength: 8,
          adapters,
          notes: [],
          dispose: async () => void loads.push("disposed"),
        };
      },
      async *generate(_model, request) {
        requests.push(request);
        yield "0 9 ";
        yield "* * *";
      },
    };
  }

  test("streams the answer and hands on every choice", async () => {
    const loads: unknown[] = [];
    const requests: GenerateRequest[] = [];
    const argv =
      "generate --model m --adapter a --merged --threads 2 --device cpu --prompt hi --system s --top-k 5 --stop x --stop y --seed 3".split(
        " ",
      );
    const { code, out, err } = await runWith(argv, workflows(loads, requests));
    expect({ code, out, err }).toEqual({ code: 0, out: "0 9 * * *\n", err: "" });
    expect(loads).toEqual([{ name: "m", adapters: ["a"], merged: true, threads: 2, device: "cpu", precision: undefined }, "disposed"]);
    expect(requests[0]).toMatchObject({
      messages: [
        { role: "system", content: "s" },
        { role: "user", content: "hi" },
      ],
      adapter: { name: "a" },
      topK: 5,
      stop: ["x", "y"],
      seed: 3,
    });
  });

  test("several adapters answer in turn; JSON has a line for each", async () => {
    const argv = ["generate", "--model", "m", "--adapter", "a", "--adapter", "b", "--prompt", "hi", "--json"];
    const { out } = await runWith(argv, workflows([], []));
    expect(out).toBe('{"adapter":"a","text":"0 9 * * *"}\n{"adapter":"b","text":"0 9 * * *"}\n');
  });

  describe("a file of prompts", () => {
    const folder = mkdtempSync(join(tmpdir(), "prompts-"));
    const file = join(folder, "prompts.jsonl");
    afterAll(() => rmSync(folder, { recursive: true }));
    /** Runs with lines of a file and two adapters, `x` and `y`; the second row is answered before the first. */
    async function run(lines: readonly unknown[], ...flags: string[]) {
      writeFileSync(file, lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));
      const loads: unknown[] = [];
      const batches: { requests: readonly BatchRequest[]; batchSize: number | undefined }[] = [];
      const ran = await runWith(["generate", "--model", "m", "--adapter", "x", "--adapter", "y", "--prompts", file, ...flags], {
        ...workflows(loads, []),
        async *generateBatch(_model, requests, { batchSize } = {}) {
          batches.push({ requests, batchSize });
          if (requests.length === 1)
            throw new InputError("requests[0]: The prompt has 9 tokens; this model takes 7 at the most. Shorten it.");
          yield { row: 1, text: "se" };
          yield { row: 0, text: "fi" };
          yield { row: 1, text: "cond", ended: "length" };
          yield { row: 0, text: "rst", ended: "stop" };
          yield { row: 2, text: "third", ended: "stop" };
        },
      });
      return { ...ran, loads, batches };
    }

    test("is answered in its order, each row by the adapter that it names", async () => {
      const lines = [
        { prompt: "a", adapter: "y", system: "s" },
        { messages: [{ role: "user", content: "b" }], adapter: null },
        "",
        { prompt: "c" },
      ];
      const { out, err, code, batches } = await run(lines, "--batch-size", "2", "--seed", "3");
      expect({ out, code }).toEqual({ out: "first\nsecond\nthird\n", code: 0 });
      expect(err).toBe("── 1: y\n── 2: no adapter\n── 3: x\n");
      const user = (content: string) => ({ role: "user", content });
      expect(batches).toMatchObject([
        {
          batchSize: 2,
          requests: [
            { messages: [{ role: "system", content: "s" }, user("a")], adapter: { name: "y" }, seed: 3 },
            { messages: [user("b")], adapter: null, seed: 3 },
            { messages: [user("c")], adapter: { name: "x" }, seed: 3 },
          ],
        },
      ]);
      const json = (await run(lines, "--json", "--quiet")).out.trim().split("\n");
      expect(json.map((line) => JSON.parse(line))).toEqual([
        { row: 1, adapter: "y", text: "first", ended: "stop" },
        { row: 2, adapter: null, text: "second", ended: "length" },
        { row: 3, adapter: "x", text: "third", ended: "stop" },
      ]);
    });

    test("with lines that are no prompts is refused with all of them, before the model is loaded", async () => {
      const { code, err, loads } = await run([{ prompt: "a" }, "hello", { prompt: "a", adaptor: "x" }, { messages: [] }, { prompt: 5 }, 7]);
      expect(code).toBe(2);
      expect(loads).toEqual([]);
      expect(err).toContain(`${file}, line 2: expected a JSON object on this line, found "hello"`);
      expect(err).toContain(`${file}, line 3: expected {"prompt": text} with an optional "system"`);
      expect(err).toContain('found {"prompt":"a","adaptor":"x"}');
      for (const line of [4, 5, 6]) expect(err).toContain(`${file}, line ${line}: expected`);
      expect((await run([])).err).toContain(`${file}: holds no prompts`);
      expect((await runWith(["generate", "--model", "m", "--prompts", join(folder, "none")], workflows([], []))).err).toContain(
        "no such file",
      );
    });

    test("that names an adapter that is not there is refused, and the model disposed of", async () => {
      const { code, err, loads, batches } = await run([
        { prompt: "a", adapter: "yy" },
        { prompt: "b", adapter: "zebra" },
      ]);
      expect(code).toBe(2);
      expect(err).toContain(`${file}, line 1: no adapter is called "yy"; did you mean y?`);
      expect(err).toContain(`${file}, line 2: no adapter is called "zebra"; there are x, y`);
      expect(batches).toEqual([]);
      expect(loads.at(-1)).toBe("disposed");
    });

    test("whose request is refused is told by its line", async () => {
      const { code, err } = await run(["", { prompt: "a" }]);
      expect({ code, err }).toMatchObject({
        code: 2,
        err: `error: ${file}, line 2: The prompt has 9 tokens; this model takes 7 at the most. Shorten it.\n`,
      });
    });

    test("stands alone, and alone has a batch size", async () => {
      expect((await run([{ prompt: "a" }], "--prompt", "b")).err).toContain("give either --prompt, --messages or --prompts");
      expect((await run([{ prompt: "a" }], "--system", "b")).err).toContain("--system belongs to --prompt");
      const { err } = await runWith(["generate", "--model", "m", "--prompt", "a", "--batch-size", "3"], workflows([], []));
      expect(err).toContain("--batch-size belongs to --prompts");
    });
  });

  test("a conversation from a file, checked", async () => {
    const folder = mkdtempSync(join(tmpdir(), "messages-"));
    const file = join(folder, "messages.json");
    const requests: GenerateRequest[] = [];
    const generate = (content: unknown) => {
      writeFileSync(file, JSON.stringify(content));
      return runWith(["generate", "--model", "m", "--messages", file], workflows([], requests));
    };
    const messages = [{ role: "user", content: "hi" }];
    expect((await generate(messages)).code).toBe(0);
    expect(requests[0]?.messages).toEqual(messages);
    const bad = await generate([...messages, { role: "user" }]);
    expect(bad).toMatchObject({
      code: 2,
      err: `error: ${file}: expected a list of {"role": text, "content": text}; found something else at 1.content\n`,
    });
    expect((await generate({})).err).toContain("found something else at the top");
    rmSync(folder, { recursive: true });
  });
});

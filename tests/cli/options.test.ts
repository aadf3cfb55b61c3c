import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { addFlags, givenFlags } from "../../src/cli/options-to-flags.js";
import { commandOptions } from "../../src/workflows/options/command-line.js";
import {
  inCode,
  infoOf,
  type OptionInfo,
  type OptionSet,
  onCommandLine,
  parseOptions,
  planSet,
  samplingSet,
  trainSet,
} from "../../src/workflows/options.js";
import type { Shape } from "../../src/workflows/parse-options.js";
import { done, events, runWith } from "./support.js";

const sets = Object.values(commandOptions) as readonly { readonly set: OptionSet<Shape, unknown, unknown>; readonly extra: Shape }[];

/** A valid value that is not the default, as text for the command line and as a value. */
function sample(name: string, info: OptionInfo): { text: string | undefined; value: unknown } {
  switch (info.kind) {
    case "integer": {
      const seven = leastOf(info) + 7;
      const value = seven === info.default ? seven + 1 : seven;
      return { text: String(value), value };
    }
    case "number": {
      const value = leastOf(info) + 0.25;
      return { text: String(value), value };
    }
    case "numbers":
      return { text: "0.8,0.95", value: [0.8, 0.95] };
    case "switch":
      return { text: undefined, value: info.default !== true };
    case "choice": {
      const words = wordsOf(info);
      const value = words.find((word) => word !== info.default) ?? words[0]!;
      return { text: value, value };
    }
    case "texts":
      return { text: `${name}-value`, value: [`${name}-value`] };
    case "layers":
      return { text: "q_proj, v_proj", value: ["q_proj", "v_proj"] };
    case "numbersByLayer":
      return { text: "q_proj=8, mlp.up_proj=4", value: { q_proj: 8, "mlp.up_proj": 4 } };
    case "blocks":
      return { text: "0,2-3", value: [0, 2, 3] };
    case "columns":
      return { text: "prompt=question, completion=a=b", value: { prompt: "question", completion: "a=b" } };
    case "size":
      return { text: "1.5GB", value: 1.5e9 };
    case "weights":
      return { text: "spam=3,ham=1", value: "spam=3,ham=1" };
    case "text": {
      const value = formed[name] ?? `${name}-value`;
      return { text: value, value };
    }
  }
}

/** Texts that have a form. */
const formed: Readonly<Record<string, string>> = { maxShardSize: "500MB" };

const leastOf = (info: OptionInfo): number => Number(/from (\d+)/.exec(info.expected)?.[1] ?? 0);
const wordsOf = (info: OptionInfo): string[] => info.expected.replace("one of ", "").split(", ");

/** What an option needs beside it, and what it must not meet. */
const company: Record<string, Record<string, unknown>> = {
  momentum: { optimizer: "sgd" },
  svdRounds: { method: "pissa" },
  rho: { method: "eva" },
  loftqRounds: { method: "loftq", precision: "4bit" },
  startBatches: { method: "eva" },
  ...Object.fromEntries(
    ["targetRank", "pruneFrom", "pruneUntil", "pruneEvery", "orthogonality"].map((name) => [name, { method: "adalora" }]),
  ),
  classWeights: { task: "classification" },
  merged: { adapter: "a" },
  "rank out": { best: 2 },
  "generate batchSize": { prompts: "f" },
  "convert alpha": { model: "m" },
  "convert enableLora": { model: "m", alpha: 8 },
};
const alone: Record<string, readonly string[]> = {
  messages: ["prompt"],
  prompts: ["prompt"],
  "generate batchSize": ["prompt"],
  "convert alpha": ["start"],
  "convert enableLora": ["start"],
};
/** Options of which one must be there, and which stand in for one another. */
const replaces: Record<string, string> = { "resize energy": "rank", "extract energy": "rank", "convert model": "start" };

function baseline(set: OptionSet<Shape, unknown, unknown>, without: readonly string[]): Record<string, unknown> {
  const given: Record<string, unknown> = {};
  for (const name of Object.keys(set.shape)) {
    const info = infoOf(set.shape, name);
    if (info.required) given[name] = info.kind === "choice" ? wordsOf(info).at(-1) : "x";
  }
  if (set.name === "generate") given.prompt = "x";
  if (set.name === "import") given.peft = "y";
  if (set.name === "resize" || set.name === "extract") given.rank = 1;
  if (set.name === "convert") given.start = "z";
  for (const name of without) delete given[name];
  return given;
}

function throughFlags(shape: Shape, argv: readonly string[]): Record<string, unknown> {
  const command = new Command().exitOverride();
  addFlags(command, shape);
  command.action(() => undefined).parse(argv, { from: "user" });
  return givenFlags(command, shape);
}

function argvOf(shape: Shape, given: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(given).flatMap(([name, value]) => {
    const info = infoOf(shape, name);
    if (info.positional) return [String(value)];
    const flag = onCommandLine(name, info);
    return info.kind === "switch" ? [flag] : [flag, String(value)];
  });
}

describe("every option reaches the parsed record, the same from command line and from code", () => {
  const cases = sets.flatMap(({ set }) => Object.keys(set.shape).map((name) => [set.name, name, set] as const));
  test.each(cases)("%s %s", (_, name, set) => {
    const info = infoOf(set.shape, name);
    const { text, value } = sample(name, info);
    const here = `${set.name} ${name}`;
    const base = { ...baseline(set, alone[here] ?? alone[name] ?? []), ...(company[here] ?? company[name]) };
    const { [replaces[here] ?? ""]: _replaced, ...beside } = base;
    const fromCode = parseOptions(set, { ...beside, [name]: value }, inCode);
    const flags = throughFlags(set.shape, argvOf(set.shape, { ...beside, [name]: text ?? true }));
    expect(parseOptions(set, flags, onCommandLine)).toEqual(fromCode);
    // A single-word choice has no other value; everything else must make a difference.
    const onlyChoice = info.kind === "choice" && !info.expected.startsWith("one of");
    if (!onlyChoice && !["messages", "prompts"].includes(name)) expect(fromCode).not.toEqual(parseOptions(set, base, inCode));
  });
});

describe("a file of options", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "options-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function train(yaml: string, ...flags: string[]) {
    const path = join(folder, "run.yaml");
    writeFileSync(path, yaml);
    let seen: Record<string, unknown> = {};
    const result = await runWith(["train", "--config", path, ...flags], {
      train(options) {
        seen = { ...options };
        delete seen.signal;
        return events([done]);
      },
    });
    return { ...result, seen, err: result.err.replaceAll(path, "run.yaml") };
  }

  const required = { model: "m", data: "d", out: "o" };

  test.each(Object.keys(trainSet.shape))("reaches train: %s", async (name) => {
    const { value } = sample(name, infoOf(trainSet.shape, name));
    const record = { ...required, ...company[name], [name]: value };
    const { seen, code } = await train(stringify(record));
    expect(code).toBe(0);
    expect(seen).toEqual(record);
  });

  test("flags win, over their rivals too", async () => {
    const { seen } = await train(
      stringify({ ...required, rank: 8, epochs: 3, betas: [0.9, 0.99] }),
      "--rank",
      "4",
      "--minutes",
      "10",
      "--optimizer",
      "sgd",
    );
    expect(seen).toEqual({ ...required, rank: 4, minutes: 10, optimizer: "sgd" });
  });

  test("keys that every object has are unknown keys like others", async () => {
    for (const key of ["toString", "constructor", "__proto__"]) {
      const { code, err } = await train(`model: m\ndata: d\nout: o\n${key}: 1\n`);
      expect([code, err]).toEqual([2, expect.stringContaining(key)]);
    }
  });

  test("parts that stand for more than memory holds, and very deep ones, are refused in words", async () => {
    const more = Array.from({ length: 9 }, (_, n) => `x${n + 1}: &x${n + 1} [${`*x${n},`.repeat(9)}]\n`).join("");
    expect((await train(`x0: &x0 [1,1]\n${more}`)).err).toMatch(/run\.yaml: expected plain options; .*names stand for more than they may/);
    expect((await train(`model:\n${"- ".repeat(200_000)}`)).err).toMatch(/run\.yaml.*expected.*nested too deeply/);
    expect((await train(`model: ${"[".repeat(20_000)}`)).err).toMatch(/run\.yaml.*expected.*nested too deeply/);
  });

  test("an unknown key is refused with the nearest name, and each problem says where", async () => {
    const { code, err } = await train("model: m\ndata: d\nout: o\nbatch-size: 4\nrnak: 8\nlr: fast\n", "--alpha", "0");
    expect(code).toBe(2);
    expect(
      err
        .split("\n")
        .map((line) => line.trim())
        .sort(),
    ).toEqual(
      [
        "",
        "error: 4 problems:",
        "--alpha: expected a number above 0, at most 1000000; found 0",
        "run.yaml: batch-size: there is no such option; did you mean batchSize?",
        'run.yaml: lr: expected a number above 0, at most 100; found "fast"',
        "run.yaml: rnak: there is no such option; did you mean rank?",
      ].sort(),
    );
  });

  test.each([
    ["json: true", "error: run.yaml: json: belongs on the command line (--json)"],
    ["- a\n- b", 'error: run.yaml: expected options, one a line, such as "batchSize: 8"; found a list'],
    ["rank: [", "error: run.yaml:1:8: expected YAML;"],
    ["rank: 1\nrank: 2", "error: run.yaml:2:1: expected YAML; Map keys must be unique"],
  ])("refuses %j", async (yaml, message) => {
    const { code, err } = await train(yaml);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });

  test("a file that is not there", async () => {
    const { code, err } = await runWith(["train", "--config", "/no/such/run.yaml"]);
    expect(code).toBe(2);
    expect(err).toContain("error: /no/such/run.yaml: the file of options cannot be read: ENOENT");
  });
});

describe("settling", () => {
  const required = { model: "m", data: "d", out: "o" };
  const settle = (more: Record<string, unknown>) => parseOptions(trainSet, { ...required, ...more }, inCode);

  test("a run lasts one epoch unless told otherwise", () => {
    expect(settle({}).duration).toEqual({ kind: "epochs", epochs: 1 });
    expect(settle({ steps: 7 }).duration).toEqual({ kind: "steps", steps: 7 });
    expect(settle({ minutes: 0.5 }).duration).toEqual({ kind: "minutes", minutes: 0.5 });
  });

  test("the optimizer carries its own numbers", () => {
    expect(settle({ weightDecay: 0.1 }).optimizer).toEqual({ kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 });
    expect(settle({ optimizer: "sgd" }).optimizer).toEqual({ kind: "sgd", momentum: 0.9, weightDecay: 0 });
    expect(() => settle({ momentum: 0.5 })).toThrow("options.momentum belongs to the optimizer sgd; adamw has options.betas");
    expect(() => settle({ optimizer: "sgd", betas: [0, 0] })).toThrow(
      "options.betas belongs to the optimizer adamw; sgd has options.momentum",
    );
  });

  test.each([
    ["all-linear", { kind: "all-linear" }],
    ["q_proj , v_proj", { kind: "names", names: ["q_proj", "v_proj"] }],
    [["q_proj"], { kind: "names", names: ["q_proj"] }],
    ["/.*\\.(q|v)_proj/", { kind: "pattern", pattern: ".*\\.(q|v)_proj" }],
  ])("layers %j", (layers, expected) => {
    expect(settle({ layers }).layers).toEqual(expected);
  });

  test("layers that cannot be meant", () => {
    expect(() => settle({ layers: "q_proj,,v_proj" })).toThrow("(a name in the list is empty)");
    expect(() => settle({ layers: "/(/" })).toThrow("is not a regular expression");
  });

  test("the defaults", () => {
    expect(settle({})).toMatchObject({
      rank: 16,
      alpha: 32,
      dropout: 0,
      layers: { kind: "all-linear" },
      method: "lora",
      task: "sft",
      lr: 2e-4,
      schedule: "cosine",
      warmup: 0.03,
      batchSize: 4,
      accumulate: 1,
      maxLength: 1024,
      clip: 1,
      seed: 42,
      precision: "auto",
      device: "auto",
      resume: false,
      report: true,
    });
  });

  test("a plan takes the options of train, its files left out", () => {
    expect(parseOptions(planSet, { model: "m", steps: 3 }, inCode)).toMatchObject({
      data: undefined,
      out: undefined,
      duration: { kind: "steps", steps: 3 },
    });
    expect(Object.keys(planSet.shape).sort()).toEqual(Object.keys(trainSet.shape).sort());
  });

  test("the library's generate has the sampling options of the command", () => {
    expect(parseOptions(samplingSet, { stop: "\n" }, inCode)).toMatchObject({ maxNewTokens: 256, temperature: 0, stop: ["\n"] });
    expect(() => parseOptions(samplingSet, { topp: 0.9 }, inCode)).toThrow("options.topp: there is no such option; did you mean topP?");
  });

  test("numbers that are none, and records that are none", () => {
    expect(() => settle({ lr: Number.NaN })).toThrow("options.lr: expected a number above 0, at most 100; found NaN");
    expect(() => settle({ rank: 1.5 })).toThrow("options.rank: expected a whole number from 1 to 4096; found 1.5");
    expect(() => parseOptions(trainSet, ["x"], inCode)).toThrow("The options of train must be a record of names and values");
  });
});

test("help is in plain words: every option has a sentence, a heading, and a value to give", () => {
  for (const { set, extra } of sets) {
    const shape: Shape = { ...set.shape, ...extra };
    for (const name of Object.keys(shape)) {
      const info = infoOf(shape, name);
      expect(info.help, name).toMatch(/^[A-Z].*\.$/);
      expect(info.help, name).not.toMatch(/\bsites?\b/);
      expect(info.value === "", name).toBe(info.kind === "switch");
    }
  }
});

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createRandom } from "../../src/data/random.js";
import { answerBatch } from "../../src/generation/answer-batch.js";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import type { Ending, RowRequest } from "../../src/generation/running-batch.js";
import { type InferenceAdapter, inferenceAdapter } from "../../src/lora/inference.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { AdapterRows } from "../../src/lora/serving/adapter-rows.js";
import { PARTS } from "../../src/lora/serving/attach-rows.js";
import { type ServedAdapter, servedAdapter } from "../../src/lora/serving/served-adapter.js";
import { sitesOf } from "../../src/lora/serving/sites.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import type { CompileOptions } from "../../src/runtime/program.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { weightsOf } from "../../src/workflows/node/applied-adapter.js";
import { type ArchitectureGolden, loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { compiled } from "../support/compiled.js";
import { golden, goldenPath } from "../support/golden.js";
import { useSwiftShader } from "../support/swiftshader.js";
import { GREEDY } from "./support.js";

// Batches whose rows name their adapters, against PEFT's `adapter_names` (tests/golden/mixed.py), and where PEFT refuses one, DoRA,
// against PEFT's logits of that adapter alone.

const TOLERANCE = 1e-4;
const MAX_TOKENS = 64;

interface MixedFacts {
  readonly rows: readonly { readonly adapter: string | null; readonly ids: readonly number[] }[];
  readonly generation: {
    readonly smallestLead: number;
    readonly answers: readonly { readonly prompt: readonly number[]; readonly ids: readonly number[] }[];
  };
}

const facts = golden<MixedFacts>("mixed/golden.json");
const names = facts.rows.map(({ adapter }) => adapter);

let model: ArchitectureGolden;
let compile: CompileOptions;
let want: Checkpoint;
const applied = new Map<string, InferenceAdapter>();
const adapters = new Map<string | null, ServedAdapter | undefined>([[null, undefined]]);
beforeAll(async () => {
  model = await loadArchitecture("qwen2");
  compile = await model.compile();
  want = await openSafetensorsFile(goldenPath("mixed/golden.safetensors"));
  const { linearGroups } = model.model;
  for (const name of ["rslora", "patterns", "pissa", "dora"]) {
    const adapter = await readAdapterFolder(goldenPath(`variants/${name}/adapter`));
    const form = await inferenceAdapter(adapter, model.model, weightsOf(model));
    applied.set(name, form);
    adapters.set(name, servedAdapter(form, linearGroups));
  }
});

const served = (names: readonly (string | null)[]) => names.map((name) => adapters.get(name));

/** A program that takes these adapters and any whose layers are among theirs. */
function openFor(names: readonly (string | null)[], on = compile): Promise<GenerationProgram> {
  const sites = sitesOf(
    served(names).flatMap((adapter) => adapter ?? []),
    model.model.linearGroups,
  );
  return GenerationProgram.compile(nodeEngine, { model: model.model, sites, maxPositions: MAX_TOKENS }, on);
}

/** Logits [B, width, V] of rows that are fed together, in pieces of so many tokens; zero behind a row's end and before a piece's last. */
async function logitsOf(program: GenerationProgram, ids: readonly (readonly number[])[], rows: AdapterRows, piece: number) {
  const width = Math.max(...ids.map(({ length }) => length));
  const all = new Float32Array(ids.length * width * program.vocabulary);
  const cache = program.cache(ids.length, width);
  const ends = new Set<number>();
  for (let from = 0; from < width; from += piece) {
    const given = ids.map((row) => row.slice(from, from + piece));
    const logits = await program.step(cache, given, rows);
    for (const [row, { length }] of given.entries()) {
      const at = row * width + from + length - 1;
      if (length > 0) {
        ends.add(at);
        all.set(logits.subarray(row * program.vocabulary, (row + 1) * program.vocabulary), at * program.vocabulary);
      }
    }
  }
  const masked = (values: Float32Array) => values.map((value, index) => (ends.has(Math.floor(index / program.vocabulary)) ? value : 0));
  return { all, masked };
}

describe("rows with adapters of their own", () => {
  let program: GenerationProgram;
  beforeAll(async () => {
    program = await openFor(names);
  });
  afterAll(() => program.release());

  test.each([1, 4, 16])("in pieces of %i tokens have the logits of PEFT's mixed batch", async (piece) => {
    const rows = new AdapterRows(program.sites!, served(names));
    const ids = facts.rows.map((row) => row.ids);
    const { all, masked } = await logitsOf(program, ids, rows, piece);
    expect(relativeError(all, masked(await want.readFloat32("logits")))).toBeLessThan(TOLERANCE);
  });

  test("are one stack while tokens are few, and parts of their own in a long prompt", () => {
    const rows = new AdapterRows(program.sites!, served(["rslora", "rslora", "rslora", "patterns", "patterns", "patterns"]));
    expect([1, 256].map((tokens) => rows.feeds(tokens).dimensions[PARTS])).toEqual([1, 2]);
    const alone = new AdapterRows(program.sites!, served(["rslora", "rslora", "rslora", "rslora"]));
    expect([1, 256].map((tokens) => alone.feeds(tokens).dimensions[PARTS])).toEqual([1, 1]);
    const others = new AdapterRows(program.sites!, served(["rslora", "patterns", null, "pissa"]));
    expect(others.feeds(256).dimensions[PARTS]).toBe(4);
  });

  test("each are what their adapter gives alone, in any arrangement", async () => {
    const ids = facts.rows[0]!.ids;
    for (const arrangement of [
      ["pissa", "rslora", "patterns", null],
      ["patterns", "patterns", "rslora", "rslora"],
      [null, null, null, "pissa"],
    ]) {
      for (const tokens of [1, 16]) {
        const rows = new AdapterRows(program.sites!, served(arrangement));
        const together = await program.step(
          program.cache(4, 16),
          arrangement.map(() => ids.slice(0, tokens)),
          rows,
        );
        for (const [row, name] of arrangement.entries()) {
          const own = new AdapterRows(program.sites!, served([name]));
          const alone = await program.step(program.cache(1, 16), [ids.slice(0, tokens)], own);
          const got = together.subarray(row * program.vocabulary, (row + 1) * program.vocabulary);
          expect(relativeError(got, alone), `${name} of ${arrangement} at ${tokens}`).toBeLessThan(1e-5);
        }
      }
    }
  });

  /** Answers of requests, as many at once as said, with how each ended. */
  async function answers(together: number, endIds: readonly number[], limits: readonly number[]) {
    const got = facts.generation.answers.map(() => ({ ids: [] as number[], ending: undefined as Ending | undefined }));
    const requests = facts.generation.answers.map(
      ({ prompt }, row): RowRequest => ({
        prompt,
        maxNewTokens: limits[row] ?? 12,
        endIds: new Set(endIds),
        sampling: GREEDY,
        random: createRandom(0),
        adapter: adapters.get(names[row] ?? null),
        onToken: (id) => got[row]!.ids.push(id) > 0,
        onEnd: (ending) => {
          got[row]!.ending = ending;
        },
      }),
    );
    await answerBatch(program, requests, { together });
    return got;
  }

  test.each([1, 2, 4, 6])("%i at once, are answered as PEFT answers all of them padded on the left", async (together) => {
    expect(facts.generation.smallestLead).toBeGreaterThan(1e-3);
    const wanted = facts.generation.answers.map(({ ids }) => ids);
    expect((await answers(together, [], [])).map(({ ids }) => ids)).toEqual(wanted);

    // Rows that end at tokens or limits of their own leave the others as they are, and their places to those that wait.
    const limits = [12, 12, 1, 3, 12, 5];
    const cut = wanted.map((ids, row) => {
      const end = ids.findIndex((id) => id === 35 || id === 53);
      const [length, ending] = end >= 0 && end < limits[row]! ? [end, "stop"] : [limits[row]!, "length"];
      return { ids: ids.slice(0, length), ending };
    });
    expect(new Set(cut.map(({ ids }) => ids.length)).size).toBeGreaterThan(3);
    expect(await answers(together, [35, 53], limits)).toEqual(cut);
  });
});

test("DoRA's rows among others' have PEFT's logits of the adapter alone", async () => {
  const { input_ids, attention_mask } = model.facts.batches[0];
  const texts = input_ids.map((row, b) => row.filter((_, t) => attention_mask[b]?.[t] === 1));
  const rows = (["dora", "rslora", null] as const).flatMap((name) => texts.map((ids, at) => ({ name, ids, at })));
  const program = await openFor(["dora", "rslora"]);
  for (const order of [rows, rows.toReversed()]) {
    for (const piece of [1, 16]) {
      const given = new AdapterRows(program.sites!, served(order.map(({ name }) => name)));
      const { all, masked } = await logitsOf(
        program,
        order.map(({ ids }) => ids),
        given,
        piece,
      );
      const expected = new Float32Array(all.length);
      for (const [row, { name, at }] of order.entries()) {
        const file = name === null ? model.golden : await openSafetensorsFile(goldenPath(`variants/${name}/golden.safetensors`));
        const logits = await file.readFloat32(name === null ? "base.logits" : "logits");
        const size = all.length / order.length;
        expected.set(logits.subarray(at * size, (at + 1) * size), row * size);
      }
      expect(relativeError(all, masked(expected))).toBeLessThan(TOLERANCE);
    }
  }
  await program.release();
});

// The frozen layers round each row by itself, so that a row is the same beside others but for sums that ran in another order.
test.each([
  { precision: "4bit", tolerance: 1e-5 },
  { precision: "int8", tolerance: 0.02 },
] as const)("in $precision each row, DoRA's too, is what a program of its adapter alone gives", async ({ precision, tolerance }) => {
  const cache = await mkdtemp(join(tmpdir(), "lorikeet-mixed-"));
  vi.stubEnv("LORIKEET_CACHE", cache);
  try {
    const on = await compiled(model, { precision, answering: true });
    const arrangement = ["dora", "patterns", null, "pissa"] as const;
    const mixed = await openFor([...arrangement], on);
    const given = new AdapterRows(mixed.sites!, served(arrangement));
    const texts = facts.rows.slice(0, 4).map(({ ids }) => ids.slice(0, 5));
    const together = mixed.cache(4, 16);
    const steps = [await mixed.step(together, texts, given)];
    for (const next of [7, 8]) steps.push(await mixed.step(together, Array(4).fill([next]), given));
    for (const [row, name] of arrangement.entries()) {
      const adapter = name === null ? undefined : applied.get(name);
      const own = await GenerationProgram.compile(nodeEngine, { model: model.model, adapter, maxPositions: MAX_TOKENS }, on);
      const single = new AdapterRows(mixed.sites!, served([name]));
      const [alone, lone] = [own.cache(1, 16), mixed.cache(1, 16)];
      for (const [index, ids] of [texts[row]!, [7], [8]].entries()) {
        const want = await own.step(alone, [ids]);
        const got = steps[index]!.subarray(row * mixed.vocabulary, (row + 1) * mixed.vocabulary);
        expect(relativeError(got, want), `${name}, step ${index}`).toBeLessThan(tolerance);
        expect(relativeError(await mixed.step(lone, [ids], single), want), `${name} by itself, step ${index}`).toBeLessThan(tolerance);
      }
      await own.release();
    }
    await mixed.release();
  } finally {
    vi.unstubAllEnvs();
    await rm(cache, { recursive: true });
  }
});

test("on WebGPU, no node left to the CPU, rows have PEFT's logits too", { timeout: 300_000 }, async () => {
  useSwiftShader();
  const on = { ...(await model.compile({ target: "webgpu" })), refuseFallback: true };
  const program = await openFor([...names, "dora"], on);
  const ids = facts.rows.map((row) => row.ids);
  const { all, masked } = await logitsOf(program, ids, new AdapterRows(program.sites!, served(names)), 4);
  expect(relativeError(all, masked(await want.readFloat32("logits")))).toBeLessThan(TOLERANCE);
  await program.release();
});

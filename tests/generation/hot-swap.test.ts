import { cp } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Adapter } from "../../src/lora/adapter.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import type { BatchPiece } from "../../src/workflows/api.js";
import {
  generateHosted,
  generateHostedBatch,
  type HostedRequest,
  type HostOptions,
  loadHostedAdapter,
  loadHostedModel,
  unloadHostedAdapter,
} from "../../src/workflows/node/model-host.js";
import { goldenPath } from "../support/golden.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "../workflows/support.js";

const ADAPTER = join(TINY_CHAT, "adapter");
const PROMPT = "What is the capital of France?";

beforeEach(async () => {
  vi.stubEnv("LORIKEET_CACHE", await temporaryFolder());
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** Sessions that the engine makes from now on. */
const sessions = () => vi.spyOn(nodeEngine, "createSession");

const load = (adapters: readonly string[], options: Partial<HostOptions> = {}) =>
  loadHostedModel(TINY_CHAT, { adapters: [...adapters], ...options }, fakeContext());

async function answer(adapter: string | null, options: Partial<HostedRequest> = {}): Promise<string> {
  const context = fakeContext();
  await generateHosted({ prompt: PROMPT, maxNewTokens: 24, ...options, adapter }, context);
  return context.events.join("");
}

/** The answer of a model that was loaded with this adapter alone. */
async function freshAnswer(adapter: string): Promise<string> {
  await load([adapter]);
  return answer(adapter);
}

/** The tiny adapter changed, in a folder of its own. */
async function changed(name: string, change: (adapter: Adapter) => Adapter, folder?: string): Promise<string> {
  const place = folder ?? join(await temporaryFolder(), name);
  await writeAdapterFolder(place, change(await readAdapterFolder(ADAPTER)));
  return place;
}

/** So many times as strong. */
const stronger = (factor: number) => (adapter: Adapter) => ({
  ...adapter,
  layers: adapter.layers.map((layer) => ({ ...layer, b: layer.b.map((value) => factor * value) })),
});

/** The first ranks alone, where there are several. */
function narrowed(adapter: Adapter): Adapter {
  const { rank, alpha } = adapter.config;
  const layers = adapter.layers.map(({ a, b, ...layer }) => ({
    ...layer,
    rank: 1,
    scale: layer.scale * 3,
    a: a.slice(0, layer.inputs),
    b: b.filter((_, index) => index % rank === 0),
  }));
  return { ...adapter, config: { ...adapter.config, rank: 1, alpha: (3 * alpha) / rank }, layers };
}

/** At the attention alone. */
const ofAttention = (adapter: Adapter): Adapter => ({
  ...adapter,
  config: { ...adapter.config, targetModules: ["q_proj", "v_proj"] },
  layers: adapter.layers
    .filter(({ name }) => /q_proj|v_proj/.test(name))
    .map((layer) => ({ ...layer, b: layer.b.map((value) => -2 * value) })),
});

describe("adapters that are swapped in a loaded model", () => {
  test("answer as freshly loaded ones, without another session, whatever their ranks", async () => {
    const other = await changed("other", narrowed);
    const fresh = [await freshAnswer(ADAPTER), await freshAnswer(other)];
    expect(fresh[0]).not.toBe(fresh[1]);

    await load([ADAPTER]);
    const made = sessions();
    expect(await answer(ADAPTER)).toBe(fresh[0]);
    expect(await loadHostedAdapter({ directory: other })).toMatchObject({ name: "other", rank: 1 });
    expect([await answer(other), await answer(ADAPTER), await answer(other)]).toEqual([fresh[1], fresh[0], fresh[1]]);
    await unloadHostedAdapter(ADAPTER);
    await expect(answer(ADAPTER)).rejects.toThrow(
      /adapter is not loaded beside this model; did you mean|is not loaded beside this model; there/,
    );
    expect(await answer("other")).toBe(fresh[1]);
    await loadHostedAdapter({ directory: ADAPTER, name: "again" });
    expect(await answer("again")).toBe(fresh[0]);
    expect(made).not.toHaveBeenCalled();

    // The model alone is a program of its own, compiled when it is first asked.
    const base = await answer(null);
    expect(fresh).not.toContain(base);
    await answer(null);
    expect(made).toHaveBeenCalledTimes(1);
  });

  test("are read anew from a folder that was written since", async () => {
    const folder = await changed("trained", narrowed);
    const [first, wanted] = [await freshAnswer(folder), await freshAnswer(await changed("later", stronger(-3)))];
    expect(first).not.toBe(wanted);
    await load([folder]);
    const made = sessions();
    expect(await answer(folder)).toBe(first);
    await changed("trained", stronger(-3), folder);
    await loadHostedAdapter({ directory: folder });
    expect(await answer(folder)).toBe(first); // loaded already: it stays as it is
    await unloadHostedAdapter("trained");
    await loadHostedAdapter({ directory: folder });
    expect(await answer(folder)).toBe(wanted);
    expect(made).not.toHaveBeenCalled();
  });

  test("make one new program where they sit at other layers, and none when the wider one has been", async () => {
    const attention = await changed("attention", ofAttention);
    const fresh = [await freshAnswer(attention), await freshAnswer(ADAPTER)];
    const made = sessions();
    await load([attention]);
    expect(made).toHaveBeenCalledTimes(1);
    expect(await answer(attention)).toBe(fresh[0]);
    await loadHostedAdapter({ directory: ADAPTER });
    expect(made).toHaveBeenCalledTimes(2);
    expect([await answer(attention), await answer(ADAPTER)]).toEqual(fresh);
    await unloadHostedAdapter(ADAPTER);
    await loadHostedAdapter({ directory: await changed("third", stronger(2)) });
    expect(made).toHaveBeenCalledTimes(2);
    made.mockClear();
    await load([attention, ADAPTER]); // one program for those that come together
    expect(made).toHaveBeenCalledTimes(1);
  });

  test("say what is wrong with a name or a folder", async () => {
    await load([ADAPTER]);
    const other = await changed("other", narrowed);
    await expect(answer("tiny-chart")).rejects.toThrow(/The adapter tiny-chart is not loaded beside this model; did you mean tiny-chat\?/);
    await expect(loadHostedAdapter({ directory: other, name: "tiny-chat" })).rejects.toThrow(
      /"tiny-chat" is the adapter .*Unload it first/,
    );
    await expect(loadHostedAdapter({ directory: ADAPTER, name: "else" })).rejects.toThrow(/is loaded as "tiny-chat" already/);
    await expect(loadHostedAdapter({ directory: other, name: " " })).rejects.toThrow(/must not be empty/);
    await expect(loadHostedAdapter({ directory: goldenPath("tiny-llama3/adapter") })).rejects.toThrow(/does not fit/);
    await unloadHostedAdapter("tiny-chat");
    await expect(unloadHostedAdapter("tiny-chat")).rejects.toThrow(/The adapter tiny-chat is not loaded beside this model; none is/);
    // What is refused leaves nothing behind.
    const runaway = (adapter: Adapter) => ({
      ...adapter,
      layers: adapter.layers.map((layer) => ({ ...layer, b: layer.b.map(() => 3e38) })),
    });
    const damaged = await changed("damaged", runaway); // finite in its file, but not times its strength
    await expect(loadHostedAdapter({ directory: damaged })).rejects.toThrow(/values at .* are no finite numbers/);
    await expect(answer("damaged")).rejects.toThrow(/none is/);
  });
});

describe("a batch of requests", () => {
  /** The texts of a batch, and how each ended. */
  async function batch(requests: readonly HostedRequest[], batchSize = 8) {
    const context = fakeContext();
    await generateHostedBatch({ requests, batchSize }, context);
    const rows = requests.map(() => ({ text: "", ended: undefined as BatchPiece["ended"] }));
    for (const { row, text, ended } of context.events as BatchPiece[]) {
      expect(rows[row]!.ended, "nothing comes after the end").toBeUndefined();
      rows[row] = { text: rows[row]!.text + text, ended };
    }
    return rows;
  }

  test.each(["fp32", "4bit"] as const)("in %s gives each row the answer that it gets alone", async (precision) => {
    const other = await changed("other", narrowed);
    await load([ADAPTER, other], { precision });
    const asked = (request: Partial<HostedRequest>): HostedRequest => ({ prompt: PROMPT, maxNewTokens: 12, adapter: null, ...request });
    const bye = asked({ adapter: "other", prompt: "Bye" });
    const [, , stop] = await answer("other", bye); // a character of the answer, which it then ends before
    const requests = [
      asked({ adapter: "tiny-chat" }),
      asked({ adapter: null, maxNewTokens: 5 }),
      asked({ adapter: "other", prompt: "Hello" }),
      asked({ adapter: "tiny-chat", temperature: 0.9, seed: 5, repetitionPenalty: 1.2 }),
      { ...bye, stop: [stop!] },
    ];
    const alone: string[] = [];
    for (const { adapter, ...request } of requests) alone.push(await answer(adapter, request));
    expect(new Set(alone).size).toBe(5);
    for (const together of [8, 2, 1]) expect((await batch(requests, together)).map(({ text }) => text)).toEqual(alone);
    const endings = (await batch(requests)).map(({ ended }) => ended);
    expect(endings[1]).toBe("length");
    expect(endings[4]).toBe("stop");
  });

  test("without an adapter needs none, and names the row that is wrong before any is answered", async () => {
    await load([]);
    const asked = (request: Partial<HostedRequest> = {}): HostedRequest => ({ prompt: PROMPT, maxNewTokens: 6, adapter: null, ...request });
    const rows = await batch([asked(), asked({ prompt: "Hi" })]);
    expect(rows.map(({ text }) => text)).toEqual([
      await answer(null, { maxNewTokens: 6 }),
      await answer(null, { prompt: "Hi", maxNewTokens: 6 }),
    ]);
    expect(await batch([])).toEqual([]);

    const context = fakeContext();
    const wrong = generateHostedBatch({ requests: [asked(), asked({ adapter: "x" })], batchSize: 8 }, context);
    await expect(wrong).rejects.toThrow(/^requests\[1\]: The adapter x is not loaded beside this model; none is/);
    const long = generateHostedBatch({ requests: [asked({ prompt: "word ".repeat(5000) })], batchSize: 8 }, context);
    await expect(long).rejects.toThrow(/^requests\[0\]: The prompt has \d+ tokens/);
    expect(context.events).toEqual([]);
    const stopped = generateHostedBatch({ requests: [asked()], batchSize: 8 }, fakeContext(AbortSignal.abort()));
    await expect(stopped).rejects.toThrow(/abort/i);
  });
});

test("the folder of a run may be moved into the place of another", async () => {
  const run = join(await temporaryFolder(), "run");
  await cp(ADAPTER, join(run, "adapter"), { recursive: true });
  await load([run]);
  expect(await answer("run")).toBe(await answer(join(run, "adapter")));
});

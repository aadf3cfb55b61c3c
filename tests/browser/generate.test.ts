import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env, pipeline } from "@huggingface/transformers";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { openModel } from "../../src/workflows/node/open-model.js";
import { greedyTokens } from "../support/greedy.js";
import { fakeContext, TINY_CHAT } from "../workflows/support.js";
import { launchChromium } from "./chromium.js";
import { servePages } from "./server.js";

// Folders of `merge --to onnx` in transformers.js itself: what a tiny model writes with them, in a browser and in Node.

declare const generate: (model: string, text: string, tokens: number, device: string) => Promise<string>;

const PAGE_TIMEOUT = 400_000;
const TEXT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n";
const TOKENS = 12;
const types = ["f32", "q8", "q4"] as const;
const adapter = join(TINY_CHAT, "adapter");

// Proves onnx-folder out: in a page the text that Node has, in f32, q8 and q4
describe("a folder of merge --to onnx in transformers.js", () => {
  let browser: Browser;
  let server: Awaited<ReturnType<typeof servePages>>;
  let folder: string;
  const inNode = new Map<string, string>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "lorikeet-onnx-"));
    env.allowRemoteModels = false;
    for (const dtype of types) {
      await runMerge({ model: TINY_CHAT, adapter, to: "onnx", dtype, out: join(folder, dtype) }, fakeContext());
      const generator = await pipeline("text-generation", join(folder, dtype));
      const output = await generator(TEXT, { max_new_tokens: TOKENS, do_sample: false, return_full_text: false });
      inNode.set(dtype, (output as { generated_text: string }[])[0]?.generated_text ?? "");
    }
    server = await servePages(["generate"], folder);
    browser = await launchChromium();
  }, PAGE_TIMEOUT);

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test("in Node it writes what the same merged model writes in Lorikeet", async () => {
    const merged = join(folder, "merged");
    await runMerge({ model: TINY_CHAT, adapter, out: merged }, fakeContext());
    const { model, compile, codec } = await openModel(merged, { target: "cpu" });
    const [ids = []] = await greedyTokens({ model, compile }, [codec.encode(TEXT)], TOKENS);
    const end = ids.findIndex((id) => codec.endOfTurnIds.includes(id));
    const text = codec.decode(end < 0 ? ids : ids.slice(0, end), { skipSpecial: true });
    expect(text.length).toBeGreaterThan(0);
    expect(inNode.get("f32")).toBe(text);
  });

  test.each<[string, string]>([...types.map((type): [string, string] => [type, "wasm"]), ["q4", "webgpu"]])(
    "%s in a page on %s: the text that Node has",
    { timeout: PAGE_TIMEOUT },
    async (type, device) => {
      const page = await browser.newPage();
      const problems: string[] = [];
      page.on("pageerror", (error) => problems.push(String(error)));
      page.on("request", (request) => {
        if (!request.url().startsWith(server.url) && !/^(blob|data):/.test(request.url())) problems.push(`asked for ${request.url()}`);
      });
      await page.goto(`${server.url}/generate.html`);
      await page.waitForFunction("typeof generate === 'function'");
      const text = await page.evaluate(([model, prompt, tokens, where]) => generate(model, prompt, tokens, where), [
        type,
        TEXT,
        TOKENS,
        device,
      ] as const);
      expect(problems).toEqual([]);
      expect(text).toBe(inNode.get(type));
      await page.close();
    },
  );
});

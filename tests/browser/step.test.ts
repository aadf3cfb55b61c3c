import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { viewOf } from "../../src/lora/layout.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { relativeError } from "../support/compare.js";
import { seededLlama } from "../support/seeded-llama.js";
import { type Step, trainingStep } from "../support/training-step.js";
import { launchChromium } from "./chromium.js";
import type { PageResult } from "./page/step.js";
import { servePages } from "./server.js";

/** Chromium compiles the shaders of a step on the CPU: half a minute for a small graph. */
const PAGE_TIMEOUT = 400_000;
const TOLERANCE = 1e-4;

declare const step: () => Promise<PageResult>;

describe("a tiny Llama's training step in headless Chromium equals the CPU's in Node", () => {
  const llama = seededLlama();
  let browser: Browser;
  let server: Awaited<ReturnType<typeof servePages>>;
  let want: Step;

  beforeAll(async () => {
    want = await trainingStep(nodeEngine, llama, { target: "cpu" });
    server = await servePages(["wasm", "webgpu"]);
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  test.each(["wasm", "webgpu"])("%s", { timeout: PAGE_TIMEOUT }, async (name) => {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("request", (request) => {
      if (!request.url().startsWith(server.url) && !/^(blob|data):/.test(request.url())) problems.push(`asked for ${request.url()}`);
    });
    await page.goto(`${server.url}/${name}.html`);
    await page.waitForFunction("typeof step === 'function'");
    expect(await page.evaluate("crossOriginIsolated")).toBe(true);
    const got = await page.evaluate(() => step());
    expect(problems).toEqual([]);
    expect(got.engine).toContain("onnxruntime-web");
    expect(Math.abs(got.loss / want.loss - 1)).toBeLessThan(TOLERANCE);
    const gradient = Float32Array.from(got.gradient);
    for (const [entryName, entry] of llama.layout.entries) {
      expect(relativeError(viewOf(gradient, entry), viewOf(want.gradient, entry)), entryName).toBeLessThan(TOLERANCE);
    }
    await page.close();
  });
});

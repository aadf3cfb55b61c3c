import { join } from "node:path";
import { generate, loadModel, type TrainOptions, train } from "lorikeet";
import { beforeAll, expect, test } from "vitest";
import { useSwiftShader } from "../support/swiftshader.js";
import { jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";

// The workflows as an application calls them, once on each device. Shaders are compiled, and run, on the CPU here.

/** What is promised of a step; a loss is a mean of such steps' terms. */
const TOLERANCE = 1e-4;
const TIMEOUT = 400_000;
const devices = ["cpu", "webgpu"] as const;
type Device = (typeof devices)[number];

beforeAll(useSwiftShader);

test("train and generate give on WebGPU what they give on the CPU", { timeout: TIMEOUT }, async () => {
  const data = await jsonlFile(
    Array.from({ length: 12 }, (_, row) => ({ prompt: `number ${row}`, completion: `value ${(row * 7) % 10}` })),
  );
  const outcomes = new Map<Device, Awaited<ReturnType<typeof outcomeOn>>>();
  for (const device of devices) outcomes.set(device, await outcomeOn(device, data));
  const [cpu, gpu] = [outcomes.get("cpu")!, outcomes.get("webgpu")!];
  expect(gpu.losses).toHaveLength(4);
  for (const [index, loss] of gpu.losses.entries()) expect(Math.abs(loss / cpu.losses[index]! - 1)).toBeLessThan(TOLERANCE);
  expect(gpu.text).not.toBe("");
  expect(gpu.text).toBe(cpu.text);
});

async function outcomeOn(device: Device, data: string) {
  const out = join(await temporaryFolder(), "run");
  const options: TrainOptions = { model: TINY_CHAT, data, out, device, steps: 2, batchSize: 2, evalEvery: 1, report: false, lr: 1e-2 };
  const losses: number[] = [];
  for await (const event of train(options)) if (event.type === "step" || event.type === "evaluation") losses.push(event.loss);
  const adapter = join(out, "adapter");
  const model = await loadModel(TINY_CHAT, { device, adapters: [adapter] });
  let text = "";
  for await (const piece of generate(model, { prompt: "number 3", adapter: model.adapters[0]!, temperature: 0, maxNewTokens: 12 }))
    text += piece;
  await model.dispose();
  return { losses, text };
}

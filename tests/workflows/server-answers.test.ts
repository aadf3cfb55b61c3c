import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TrainEvent, type TrainOptions, train } from "lorikeet";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadCheckpoint } from "../../src/training/node/checkpoint-file.js";
import { jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";

// The library as an application has it: imported by its name, in a process that has other work to do.

let server: Server;
let url: string;

beforeAll(async () => {
  server = createServer((_request, response) => response.end("here"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

const text = (number: number, words: number) => Array.from({ length: words }, (_, index) => (number * 31 + index * 7) % 1000).join(" ");

function rowsFile(rows: number, words: number): Promise<string> {
  return jsonlFile(Array.from({ length: rows }, (_, row) => ({ prompt: `number ${row}`, completion: text(row, words) })));
}

async function* labelled(options: TrainOptions & { readonly signal?: AbortSignal }, seen: TrainEvent[]): AsyncGenerator<TrainEvent> {
  for await (const event of train(options)) {
    seen.push(event);
    yield event;
  }
}

function ofType<Type extends TrainEvent["type"]>(events: readonly TrainEvent[], type: Type) {
  return events.filter((event): event is Extract<TrainEvent, { type: Type }> => event.type === type);
}

test("an HTTP server of the same process goes on answering while a model trains", async () => {
  // Long steps, of four batches each: between two of them even a blocked thread would find a moment to answer.
  const options: TrainOptions = {
    ...{ model: TINY_CHAT, data: await rowsFile(40, 80), out: join(await temporaryFolder(), "run") },
    ...{ steps: 3, batchSize: 16, accumulate: 4, evalEvery: 100, report: false },
  };
  let training = false;
  const waits: number[] = [];
  const askAgainAndAgain = async () => {
    while (training) {
      const asked = performance.now();
      const response = await fetch(url);
      expect(await response.text()).toBe("here");
      waits.push(performance.now() - asked);
    }
  };
  let asking: Promise<void> | undefined;
  const events: TrainEvent[] = [];
  for await (const event of labelled(options, events)) {
    if (event.type === "start") {
      training = true;
      asking = askAgainAndAgain();
    }
    if (event.type === "step" && event.step === event.steps) training = false;
  }
  await asking;
  const steps = ofType(events, "step");
  expect(steps.length).toBe(3);
  const secondsOfStep = (steps.at(-1)?.seconds ?? 0) / steps.length;
  expect(waits.length).toBeGreaterThan(20);
  expect(waits.length).toBeGreaterThan(5 * steps.length);
  expect(waits.toSorted((a, b) => a - b)[Math.floor(waits.length / 2)]).toBeLessThan((1000 * secondsOfStep) / 4);
});

test("an abort saves and ends with done; the resumed run has the bits of one that was never stopped", async () => {
  const folder = await temporaryFolder();
  const common = {
    ...{ model: TINY_CHAT, data: await rowsFile(40, 20), steps: 12, batchSize: 8, accumulate: 2, dropout: 0.1, lr: 1e-3 },
    ...{ evalEvery: 4, saveEvery: 100, report: false },
  } as const;
  const whole: TrainEvent[] = [];
  for await (const _ of labelled({ ...common, out: join(folder, "whole") }, whole));

  const out = join(folder, "stopped");
  const stop = new AbortController();
  const stopped: TrainEvent[] = [];
  for await (const event of labelled({ ...common, out, signal: stop.signal }, stopped)) {
    if (event.type === "step" && event.step === 1) stop.abort();
  }
  const [ending] = ofType(stopped, "done");
  expect(stopped.at(-1)).toBe(ending);
  expect(ending).toMatchObject({ reason: "interrupted", adapter: join(out, "adapter") });
  const checkpoint = ofType(stopped, "checkpoint").at(-1);
  expect(checkpoint?.step).toBe(ending?.steps);
  const { progress } = (await loadCheckpoint(checkpoint?.path ?? "")).state;
  expect(progress.step).toBe(ending?.steps);
  expect(progress.step).toBeGreaterThanOrEqual(1);
  expect(progress.step).toBeLessThan(12);

  const resumed: TrainEvent[] = [];
  for await (const _ of labelled({ ...common, out, resume: true }, resumed));
  expect(ofType(resumed, "start")[0]?.resumedAt).toBe(progress.step);
  expect(ofType(resumed, "done")[0]).toMatchObject({ reason: "finished", steps: 12 });
  expect(ofType(resumed, "warning")).toEqual([]);
  expect([...ofType(stopped, "step"), ...ofType(resumed, "step")].map(({ step, loss }) => [step, loss])).toEqual(
    ofType(whole, "step").map(({ step, loss }) => [step, loss]),
  );
  for (const kept of ["adapter", "last"]) {
    const weights = (run: string) => readFile(join(folder, run, kept, "adapter_model.safetensors"));
    expect((await weights("stopped")).equals(await weights("whole")), kept).toBe(true);
  }
});

test("leaving the loop stops the training, and what was done is saved", async () => {
  const out = join(await temporaryFolder(), "left");
  const options = { model: TINY_CHAT, data: await rowsFile(40, 20), out, steps: 100_000, report: false } as const;
  for await (const event of train(options)) if (event.type === "step" && event.step === 3) break;
  const { progress } = (await loadCheckpoint(join(out, "checkpoint.safetensors"))).state;
  expect(progress.step).toBeGreaterThanOrEqual(3);
  expect(progress.step).toBeLessThan(100_000);
});

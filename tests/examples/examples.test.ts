import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { generate, loadAdapter, loadModel } from "lorikeet";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

// The examples as a reader runs them, from their own processes, with a tiny model in place of the real one.
const MODEL = "tests/golden/tiny-chat";
const ADAPTER = `${MODEL}/adapter`;
const PROMPT = "Every Monday at nine";

const folder = mkdtempSync(join(tmpdir(), "lorikeet-examples-"));
const trained = join(folder, "trained");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function runExample(name: string, ...parameters: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ["examples/run.mjs", name, ...parameters]);
  return stdout;
}

beforeAll(async () => {
  const rows = Array.from({ length: 40 }, (_, hour) => ({ prompt: `at ${hour % 24}, ${hour} times`, completion: `0 ${hour % 24} * * *` }));
  writeFileSync(join(folder, "rows.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
});

test("train in ten lines: the loss falls, and the adapter is there", async () => {
  const lines = (await runExample("train-in-ten-lines", MODEL, join(folder, "rows.jsonl"), trained)).trimEnd().split("\n");
  const losses = lines.flatMap((line) => /^\d+\/16 {2}loss (\d+\.\d{3})$/.exec(line)?.[1] ?? []).map(Number);
  expect(losses.length).toBe(16); // 30 rows by four make eight updates, twice
  expect(Math.min(...losses.slice(-4))).toBeLessThan(Math.min(...losses.slice(0, 4)));
  const measured = lines.flatMap((line) => /^held-out loss (\d+\.\d{3})$/.exec(line)?.[1] ?? []).map(Number);
  expect(measured.at(-1)).toBeLessThan(measured[0] ?? 0);
  expect(lines.at(-1)).toBe(`adapter: ${join(trained, "adapter")}`);
  const config: unknown = JSON.parse(await readFile(join(trained, "adapter", "adapter_config.json"), "utf8"));
  expect(config).toMatchObject({ peft_type: "LORA", r: 16, lora_alpha: 32 });
});

test("two adapters on one base: three voices asked together, each the library's own, and one swapped for another", async () => {
  const model = await loadModel(MODEL);
  const adapters = [null, await loadAdapter(model, ADAPTER), await loadAdapter(model, trained)];
  const lines: string[] = [];
  for (const adapter of adapters) {
    let answer = "";
    for await (const piece of generate(model, { prompt: PROMPT, adapter, maxNewTokens: 32 })) answer += piece;
    lines.push(`${adapter?.name ?? "base"}: ${answer}\n`);
  }
  await model.dispose();
  expect(new Set(lines.map((line) => line.slice(line.indexOf(": ")))).size).toBe(3);
  expect(adapters.map((adapter) => adapter?.name)).toEqual([undefined, "tiny-chat", "trained"]);
  const swapped = lines[2]!.replace("trained: ", "assistant: ");
  expect(await runExample("two-adapters-one-base", MODEL, ADAPTER, trained, PROMPT)).toBe([...lines, swapped].join(""));
});

describe("stream over HTTP", () => {
  let child: ChildProcess;
  let url: string;

  beforeAll(async () => {
    child = spawn(process.execPath, ["examples/run.mjs", "stream-over-http", MODEL, ADAPTER], {
      env: { ...process.env, PORT: "0" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    url = await new Promise((resolve, reject) => {
      let output = "";
      child.stdout?.setEncoding("utf8").on("data", (piece: string) => {
        output += piece;
        const [, address] = /listening on (http:\S+)\n/.exec(output) ?? [];
        if (address !== undefined) resolve(address);
      });
      child.on("exit", (code) => reject(new Error(`the example ended with ${code}`)));
    });
  });
  afterAll(() => child.kill());

  test("answers piece by piece, and the same to the same question", async () => {
    const pieces: string[] = [];
    const response = await fetch(url, { method: "POST", body: PROMPT });
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) pieces.push(decoder.decode(bytes, { stream: true }));
    expect(response.status).toBe(200);
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.join("").length).toBeGreaterThan(10);
    const again = await fetch(url, { method: "POST", body: PROMPT });
    expect(await again.text()).toBe(pieces.join(""));
  });

  test("a caller that hangs up, and one without a prompt, do no harm", async () => {
    const gone = new AbortController();
    const response = await fetch(url, { method: "POST", body: "A long story", signal: gone.signal });
    expect(response.status).toBe(200);
    gone.abort();
    const empty = await fetch(url, { method: "POST", body: "" });
    expect([empty.status, await empty.text()]).toEqual([400, "Send the prompt as the body of a POST request.\n"]);
    expect((await fetch(url, { method: "POST", body: PROMPT })).status).toBe(200);
  });
});

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { beforeEach, describe, expect, test } from "vitest";
import type { WorkerClient } from "../../src/workflows/node/worker/client.js";
import { temporaryFolder } from "./support.js";

// The client of the worker beside workers that die, each in a way of its own.

const DIES = "The worker that runs the model ended (code 7). Is the memory full?";
/** Answers `echo`, tells one event and then ends itself at `die`, and throws outside of any call at `throw`. */
const MORTAL = `
  import { parentPort } from "node:worker_threads";
  parentPort.on("message", ({ type, id, method, params }) => {
    if (type !== "call") return;
    if (method === "echo") parentPort.postMessage({ type: "result", id, result: params });
    if (method === "throw") throw new RangeError("the engine broke");
    if (method !== "die") return;
    parentPort.postMessage({ type: "event", id, event: "alive" });
    setTimeout(() => process.exit(7), 50);
  });`;

let Client: typeof WorkerClient;
beforeEach(async () => {
  Client = await clientBeside(MORTAL);
});

/** The client, as it is built, in a folder where another program is its worker. */
async function clientBeside(worker: string): Promise<typeof WorkerClient> {
  const folder = await temporaryFolder();
  const outfile = join(folder, "client.mjs");
  const entryPoints = ["src/workflows/node/worker/client.ts"];
  await build({ entryPoints, bundle: true, platform: "node", format: "esm", outfile, logLevel: "silent" });
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await writeFile(join(folder, "main.js"), worker);
  const built: { WorkerClient: typeof WorkerClient } = await import(/* @vite-ignore */ pathToFileURL(outfile).href);
  return built.WorkerClient;
}

const ignore = () => undefined;

describe("a worker that ends by itself", () => {
  test("fails every call that is under way, and every later one, with words for a person", async () => {
    const client = new Client();
    expect(await client.call("echo", [1, "two"], ignore)).toEqual([1, "two"]);
    const waiting = client.call("silent", {}, ignore);
    const dying = client.call("die", {}, ignore);
    await expect(waiting).rejects.toMatchObject({ name: "RunError", message: DIES });
    await expect(dying).rejects.toMatchObject({ name: "RunError", message: DIES });
    await expect(client.call("echo", 1, ignore)).rejects.toMatchObject({ name: "RunError", message: DIES });
    await client.close();
    await expect(client.call("echo", 1, ignore)).rejects.toMatchObject({ message: DIES });
  });

  test("ends a stream after the events that came before", async () => {
    const client = new Client();
    const events: unknown[] = [];
    const reading = async () => {
      for await (const event of client.stream("die", {})) events.push(event);
    };
    await expect(reading()).rejects.toMatchObject({ name: "RunError", message: DIES });
    expect(events).toEqual(["alive"]);
    await client.close();
  });

  test("after an error outside of any call: that error, not its consequence, is told", async () => {
    const client = new Client();
    const waiting = client.call("silent", {}, ignore);
    const breaking = client.call("throw", {}, ignore);
    await expect(waiting).rejects.toThrow("the engine broke");
    await expect(breaking).rejects.toThrow("the engine broke");
    await expect(client.call("echo", 1, ignore)).rejects.toThrow("the engine broke");
  });
});

test("a client that was closed says so, to the call under way and to the next", async () => {
  const client = new Client();
  const waiting = client.call("silent", {}, ignore);
  const told = expect(waiting).rejects.toMatchObject({ name: "InputError", message: expect.stringContaining("was disposed of") });
  await client.close();
  await told;
  await expect(client.call("echo", 1, ignore)).rejects.toMatchObject({ name: "InputError" });
});

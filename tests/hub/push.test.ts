import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { InputError, RunError } from "../../src/errors.js";
import { processFetch } from "../../src/hub/node/proxied-fetch.js";
import { push } from "../../src/workflows/node/push.js";
import { report } from "../cli/support.js";
import { TINY_CHAT, temporaryFolder } from "../workflows/support.js";
import { PushHub, send } from "./push-hub.js";

const patience = { stallMilliseconds: 2000, retryMilliseconds: 5, retries: 2 };

let hub: PushHub;
beforeEach(async () => {
  hub = new PushHub();
  await hub.start();
  vi.stubEnv("HF_ENDPOINT", hub.address);
  vi.stubEnv("HF_TOKEN", "hf_write");
  vi.stubEnv("HF_HUB_OFFLINE", "");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
});

/** A run of which the adapter is PEFT's, as training leaves it. */
async function run(): Promise<string> {
  const folder = join(await temporaryFolder(), "run");
  await mkdir(folder);
  await cp(join(TINY_CHAT, "adapter"), join(folder, "adapter"), { recursive: true });
  await writeFile(join(folder, "report.json"), JSON.stringify(report));
  await writeFile(
    join(folder, "run.yaml"),
    stringify({ model: "smollm2-135m", data: "/home/ada/secret/tickets.jsonl", out: folder, rank: 16, layers: ["q_proj", "v_proj"] }),
  );
  return folder;
}

const pushRun = async (options: object = {}) => push({ adapter: await run(), to: "ada/tickets", ...options }, { patience });

// Proves hub-adapter out: one commit, byte for byte, to a server that speaks the Hub's protocol
describe("push", () => {
  test("makes the repository and commits the adapter with its card, byte for byte", async () => {
    const result = await pushRun({ private: true });
    expect(result.url).toBe(`${hub.address}/commit/${"c".repeat(40)}`);
    const repository = hub.repositories.get("ada/tickets");
    expect(repository).toMatchObject({ visibility: "private", titles: ["Adapter trained with Lorikeet"] });
    expect([...(repository?.files.keys() ?? [])].sort()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
    for (const name of ["adapter_config.json", "adapter_model.safetensors"]) {
      expect(Buffer.from(repository?.files.get(name) ?? [])).toEqual(await readFile(join(TINY_CHAT, "adapter", name)));
    }
    expect(Buffer.from(repository?.files.get("README.md") ?? []).toString()).toBe(result.card);
    // The token goes to the Hub, and not to the storage that it names.
    for (const { path, authorization } of hub.seen) {
      expect(authorization, path).toBe(path.startsWith("storage") ? undefined : "Bearer hf_write");
    }
  });

  test("the card states base, data, options, scores and cost, and where nothing lies on this machine", async () => {
    const { card } = await pushRun({ dryRun: true });
    expect(hub.seen).toEqual([]);
    expect(card).toContain("base_model: tiny-chat");
    expect(card).toContain("| the task: exact match | 100 | 3 % | 82 % | +79 points | +70 to +87 |");
    expect(card).toContain("| general text: perplexity | 40 | 20.10 | 20.90 | +4 % | +1 to +7 |");
    expect(card).toContain("1 min 01 s of training, 432 tokens a second, 2.1 GB of memory at the peak.");
    expect(card).toContain("| data | tickets.jsonl |");
    expect(card).toContain('| layers | ["q_proj","v_proj"] |');
    expect(card).toContain('PeftModel.from_pretrained(base, "ada/tickets")');
    expect(card).not.toMatch(/secret|\/home|on Mondays/);
  });

  test("an adapter without a run has a card of itself alone", async () => {
    const { card } = await push({ adapter: join(TINY_CHAT, "adapter"), to: "ada/tickets", dryRun: true });
    expect(card).toContain("# LoRA adapter");
    expect(card).not.toContain("## How it was trained");
  });

  test("a repository that is there is taken, and a busy Hub is asked again", async () => {
    await pushRun();
    let busy = 2;
    hub.intercept = ({ path }, response) => {
      if (!path.includes("/commit/") || busy-- <= 0) return false;
      send(response, 503, { error: "busy" });
      return true;
    };
    await pushRun({ message: "Again" });
    expect(hub.repositories.get("ada/tickets")?.titles).toEqual(["Adapter trained with Lorikeet", "Again"]);
  });

  test.each([
    [401, /does not know the access token \(status 401\)/],
    [403, /may not write to ada\/tickets \(status 403\)/],
    [400, /refused ada\/tickets \(status 400/],
    [429, /was asked too often.*Nothing was committed/],
    [500, /an error of its own.*Nothing was committed/],
  ])("status %i is explained, and nothing is committed", async (status, message) => {
    hub.intercept = ({ path }, response) => {
      if (path.startsWith("/api/repos")) return false;
      send(response, status, { error: "no" });
      return true;
    };
    await expect(pushRun()).rejects.toThrow(message);
    expect(hub.repositories.get("ada/tickets")?.files.size).toBe(0);
  });

  test("a connection that breaks off is said to have committed nothing", async () => {
    hub.intercept = ({ path }, response) => {
      if (path.startsWith("/api/repos")) return false;
      response.destroy();
      return true;
    };
    await expect(pushRun()).rejects.toThrow(RunError);
    await expect(pushRun()).rejects.toThrow("Nothing was committed; run the command again.");
  });

  test("what cannot be pushed is told before the network is asked", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    await expect(pushRun()).rejects.toThrow("HF_HUB_OFFLINE forbids");
    vi.stubEnv("HF_HUB_OFFLINE", "");
    vi.stubEnv("HF_TOKEN", "");
    vi.stubEnv("HF_HOME", await temporaryFolder());
    await expect(pushRun()).rejects.toThrow(/needs an access token that may write/);
    await expect(pushRun({ to: "tickets" })).rejects.toThrow("expected a name on the Hub, owner/name");
    await expect(push({ adapter: "/no/such/run", to: "ada/tickets" })).rejects.toThrow(InputError);
    expect(hub.seen).toEqual([]);
  });
});

// Proves hub-adapter out: a proxy is obeyed
describe("a proxy", () => {
  test("is obeyed, except for the hosts of NO_PROXY", async () => {
    const asked: string[] = [];
    const proxy = createServer();
    proxy.on("connect", (request, socket) => {
      asked.push(request.url ?? "");
      const [host, port] = (request.url ?? "").split(":");
      const through = connect(Number(port), host, () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        through.pipe(socket).pipe(through);
      });
    });
    await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const body = JSON.stringify({ name: "tickets", organization: "ada" });
    const make = (proxied: typeof fetch) => proxied(`${hub.address}/api/repos/create`, { method: "POST", body });
    expect((await make(processFetch({ HTTP_PROXY: address }))).status).toBe(200);
    expect(asked).toEqual([new URL(hub.address).host]);
    expect((await make(processFetch({ HTTP_PROXY: address, NO_PROXY: "127.0.0.1" }))).status).toBe(409);
    expect(asked).toHaveLength(1);
    expect(processFetch({})).toBe(globalThis.fetch);
    proxy.closeAllConnections();
    proxy.close();
  });
});

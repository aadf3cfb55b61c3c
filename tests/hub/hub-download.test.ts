import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { InputError, RunError } from "../../src/errors.js";
import type { DownloadProgress } from "../../src/hub/node/download-file.js";
import { type ResolveOptions, resolveModel } from "../../src/hub/node/resolve-model.js";
import { FakeHub, gitHash, type Intercept, sendRange } from "./fake-hub.js";

const text = (value: string) => new TextEncoder().encode(value);
const weights = new Uint8Array(300_000).map((_, i) => (i * 31 + (i >> 8)) % 251);
const digest = createHash("sha256").update(weights).digest("hex");
const commit = "c0ffee".padEnd(40, "0");
const quick: ResolveOptions = { patience: { connectMilliseconds: 20_000, stallMilliseconds: 20_000, retryMilliseconds: 5, retries: 2 } };
/** For servers that stand still. */
const hasty: ResolveOptions = { patience: { ...quick.patience, connectMilliseconds: 400, stallMilliseconds: 300 } };

let root: string;
let hub: FakeHub;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "lorikeet-hub-"));
  hub = new FakeHub();
  await hub.start();
  hub.repositories.set("org/tiny", {
    commit,
    files: {
      "config.json": text('{"model_type":"llama"}'),
      "tokenizer.json": text("{}"),
      "tokenizer_config.json": text("{}"),
      "chat_template.jinja": text("{{ messages }}"),
      "model.safetensors": weights,
      "pytorch_model.bin": text("not wanted"),
      "README.md": text("not wanted"),
    },
    large: ["model.safetensors"],
  });
  vi.stubEnv("HF_ENDPOINT", hub.address);
  vi.stubEnv("HF_HOME", join(root, "hf"));
  vi.stubEnv("LORIKEET_CACHE", join(root, "cache"));
  for (const name of ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_TOKEN_PATH"])
    vi.stubEnv(name, "");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
  await rm(root, { recursive: true, force: true });
});

const storage = () => join(root, "hf", "hub", "models--org--tiny");
const blob = () => join(storage(), "blobs", digest);
/** Intercepts requests for the weights on the storage server, counting them from 1. */
function onWeights(answer: (count: number, ...rest: Parameters<Intercept>) => boolean): void {
  let count = 0;
  hub.intercept = (request, response) => request.server === "storage" && answer(++count, request, response);
}
/** Compares as buffers: the matcher takes half a second for arrays of this size. */
async function isWeights(path: string): Promise<boolean> {
  return Buffer.compare(await readFile(path), weights) === 0;
}
async function failure(promise: Promise<unknown>): Promise<Error> {
  return await promise.then(
    () => expect.unreachable("it succeeded"),
    (error: Error) => error,
  );
}

// Proves hub-model in: the files that are needed, into Hugging Face's cache; revisions, tokens; from a server that speaks the Hub's protocol
describe("downloading from the Hub", () => {
  it("puts the files that are needed into Hugging Face's cache, in its layout", async () => {
    const progress: DownloadProgress[] = [];
    const found = await resolveModel("org/tiny", { ...quick, onProgress: (at) => progress.push(at) });
    expect(found).toEqual({ kind: "folder", path: join(storage(), "snapshots", commit) });
    expect((await readdir(found.path)).sort()).toEqual([
      "chat_template.jinja",
      "config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    expect(await isWeights(join(found.path, "model.safetensors"))).toBe(true);
    expect(await readlink(join(found.path, "model.safetensors"))).toBe(`../../blobs/${digest}`);
    expect(await readlink(join(found.path, "config.json"))).toBe(`../../blobs/${gitHash(text('{"model_type":"llama"}'))}`);
    expect(await readFile(join(storage(), "refs", "main"), "utf8")).toBe(commit);
    expect(progress.at(-1)).toEqual({ file: "model.safetensors", received: 300_000, total: 300_000 });
    expect((await readdir(join(storage(), "blobs"))).filter((name) => name.includes("."))).toEqual([]);
  });

  it("fetches how a sentence encoder pools, which lies in a folder of its own", async () => {
    const repository = hub.repositories.get("org/tiny")!;
    const pooling = {
      "modules.json": text("[]"),
      "1_Pooling/config.json": text('{"pooling_mode_cls_token":true}'),
      "onnx/model.onnx": text(""),
    };
    hub.repositories.set("org/tiny", { ...repository, files: { ...repository.files, ...pooling } });
    const { path } = await resolveModel("org/tiny", quick);
    expect(await readFile(join(path, "1_Pooling", "config.json"), "utf8")).toBe('{"pooling_mode_cls_token":true}');
    expect(await readlink(join(path, "1_Pooling", "config.json"))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\//);
    const inTop = (await readdir(path)).filter((name) => ["modules.json", "onnx"].includes(name));
    expect(inTop).toEqual(["modules.json"]);
  });

  it("takes what is in the cache without asking, and asks for the newest when told to", async () => {
    await resolveModel("org/tiny", quick);
    hub.seen.length = 0;
    await resolveModel("org/tiny", quick);
    await resolveModel("https://huggingface.co/org/tiny", quick);
    expect(hub.seen).toEqual([]);
    const newer = "beef".padEnd(40, "1");
    const repository = hub.repositories.get("org/tiny")!;
    hub.repositories.set("org/tiny", { ...repository, commit: newer, files: { ...repository.files, "config.json": text("{}") } });
    expect((await resolveModel("org/tiny", { ...quick, refresh: true })).path).toContain(newer);
    expect(hub.seen.filter(({ server }) => server === "storage")).toEqual([]); // the weights are the same blob
    expect((await resolveModel("org/tiny", { ...quick, revision: commit })).path).toContain(commit);
  });

  it("completes a cache that Python began without the tokenizer", async () => {
    await mkdir(join(storage(), "refs"), { recursive: true });
    await mkdir(join(storage(), "snapshots", commit), { recursive: true });
    await writeFile(join(storage(), "refs", "main"), commit);
    await writeFile(join(storage(), "snapshots", commit, "config.json"), "{}");
    await writeFile(join(storage(), "snapshots", commit, "model.safetensors"), weights);
    await resolveModel("org/tiny", quick);
    expect(await readdir(join(storage(), "snapshots", commit))).toContain("tokenizer.json");
  });

  it("fetches shards by their index, and a GGUF file by its name", async () => {
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const index = JSON.stringify({ weight_map: { a: shards[0], b: shards[1] } });
    hub.repositories.set("org/tiny", {
      commit,
      files: {
        "config.json": text("{}"),
        "tokenizer_config.json": text("{}"),
        "model.safetensors.index.json": text(index),
        [shards[0]!]: weights,
        [shards[1]!]: text("second"),
        "consolidated.safetensors": text("not wanted"),
        "tiny.Q4_1.gguf": text("GGUF"),
      },
      large: shards,
    });
    const { path } = await resolveModel("org/tiny", quick);
    expect(await readdir(path)).toHaveLength(5);
    expect(await resolveModel("org/tiny:tiny.Q4_1.gguf", quick)).toEqual({ kind: "gguf", path: join(path, "tiny.Q4_1.gguf") });
    expect((await failure(resolveModel("org/tiny:no.gguf", quick))).message).toContain(
      "has no file no.gguf. Its .gguf files: tiny.Q4_1.gguf",
    );
    // A snapshot that lacks a shard is completed.
    await rm(await realpath(join(path, shards[0]!)));
    await resolveModel("org/tiny", quick);
    expect(await isWeights(join(path, shards[0]!))).toBe(true);
  });

  it("fetches all parts of a GGUF, whichever of them is named", async () => {
    const parts = [1, 2].map((part) => `tiny-0000${part}-of-00002.gguf`);
    const files = Object.fromEntries(parts.map((part) => [part, text(part)]));
    hub.repositories.set("org/parts", { commit, files: { ...files, "tiny.gguf": text("not wanted") } });
    const { path } = await resolveModel(`org/parts:${parts[1]}`, quick);
    expect((await readdir(dirname(path))).sort()).toEqual(parts);
    // A snapshot that lacks a part is completed.
    await rm(join(dirname(path), parts[0]!));
    await resolveModel(`org/parts:${parts[1]}`, quick);
    expect((await readdir(dirname(path))).sort()).toEqual(parts);
    hub.repositories.set("org/cut", { commit, files: { [parts[0]!]: text("first") } });
    expect((await failure(resolveModel(`org/cut:${parts[0]}`, quick))).message).toContain(
      `has no file ${parts[1]}. Its .gguf files: ${parts[0]}`,
    );
  });

  it("gives the token to the Hub and to nobody else", async () => {
    vi.stubEnv("HF_TOKEN", "a-token");
    await resolveModel("org/tiny", quick);
    expect(new Set(hub.seen.map(({ server, authorization }) => `${server} ${authorization}`))).toEqual(
      new Set(["hub Bearer a-token", "storage undefined"]),
    );
  });

  it("uses the token that a sign-in stored", async () => {
    await mkdir(join(root, "hf"));
    await writeFile(join(root, "hf", "token"), "stored\n");
    await resolveModel("org/tiny", quick);
    expect(hub.seen[0]?.authorization).toBe("Bearer stored");
  });
});

// Proves hub-model in: resumed, checked against the checksum, given up where a server stands still
describe("a connection that breaks", () => {
  it("goes on where it stopped, time and again, as long as something arrives", async () => {
    onWeights((count, { range }, response) => {
      if (count > 8) return false;
      const begin = Number(/\d+/.exec(range ?? "0")?.[0]);
      response.writeHead(begin === 0 ? 200 : 206, {
        "Content-Length": weights.length - begin,
        "Content-Range": `bytes ${begin}-${weights.length - 1}/${weights.length}`,
      });
      response.write(weights.subarray(begin, begin + 20_000), () => setTimeout(() => response.destroy(), 60));
      return true;
    });
    const received: number[] = [];
    await resolveModel("org/tiny", { ...quick, onProgress: ({ file, received: at }) => file === "model.safetensors" && received.push(at) });
    expect(await isWeights(blob())).toBe(true);
    expect(received).toEqual([...received].sort((a, b) => a - b)); // never back to the start
    expect(hub.seen.filter(({ server, range }) => server === "storage" && range !== undefined).length).toBeGreaterThan(2);
  });

  it("continues what an earlier run left", async () => {
    await mkdir(join(storage(), "blobs"), { recursive: true });
    await writeFile(`${blob()}.incomplete`, weights.subarray(0, 123_456));
    await resolveModel("org/tiny", quick);
    expect(hub.seen.find(({ server }) => server === "storage")?.range).toBe("bytes=123456-");
    expect(await isWeights(blob())).toBe(true);
  });

  it("starts over when the part that is here is of something else", async () => {
    await mkdir(join(storage(), "blobs"), { recursive: true });
    await writeFile(`${blob()}.incomplete`, new Uint8Array(1000).fill(7));
    await resolveModel("org/tiny", quick);
    expect(hub.seen.filter(({ server }) => server === "storage").map(({ range }) => range)).toEqual(["bytes=1000-", undefined]);
    expect(await isWeights(blob())).toBe(true);
  });

  it("takes the whole file from a server that knows no ranges", async () => {
    await mkdir(join(storage(), "blobs"), { recursive: true });
    await writeFile(`${blob()}.incomplete`, weights.subarray(0, 5000));
    onWeights((_, __, response) => {
      sendRange(response, weights, undefined);
      return true;
    });
    await resolveModel("org/tiny", quick);
    expect(await isWeights(blob())).toBe(true);
  });

  it("starts over after 416", async () => {
    await mkdir(join(storage(), "blobs"), { recursive: true });
    await writeFile(`${blob()}.incomplete`, weights.subarray(0, 5000));
    onWeights((count, _, response) => {
      if (count === 1) response.writeHead(416).end();
      return count === 1;
    });
    await resolveModel("org/tiny", quick);
    expect(await isWeights(blob())).toBe(true);
  });

  it("gives up on a server that stands still, and keeps what arrived", async () => {
    onWeights((count, { range }, response) => {
      const begin = Number(/\d+/.exec(range ?? "0")?.[0]);
      response.writeHead(begin === 0 ? 200 : 206, { "Content-Range": `bytes ${begin}-${weights.length - 1}/${weights.length}` });
      if (count === 1) response.write(weights.subarray(0, 40_000));
      else response.flushHeaders();
      return true;
    });
    const error = await failure(resolveModel("org/tiny", hasty));
    expect(error).toBeInstanceOf(RunError);
    expect(error.message).toContain("model.safetensors could not be downloaded: nothing arrived for 0.3 s. What has arrived is kept");
    expect(await readFile(`${blob()}.incomplete`)).toHaveLength(40_000);
    expect(await readdir(join(storage(), "snapshots", commit))).not.toContain("model.safetensors");
  });

  it("never takes a file with the wrong checksum", async () => {
    onWeights((_, __, response) => {
      sendRange(response, new Uint8Array(weights.length), undefined);
      return true;
    });
    const error = await failure(resolveModel("org/tiny", quick));
    expect(error).toBeInstanceOf(RunError);
    expect(error.message).toContain("does not have the checksum that the Hub states");
    expect((await readdir(join(storage(), "blobs"))).filter((name) => name.startsWith(digest))).toEqual([]);
  });

  it("refuses a file that is longer than the Hub says", async () => {
    onWeights((_, __, response) => {
      sendRange(response, new Uint8Array(weights.length + 1), undefined);
      return true;
    });
    expect((await failure(resolveModel("org/tiny", quick))).message).toContain("sends more than the 300000 bytes");
  });

  it("stops at once with the signal", async () => {
    onWeights((_, __, response) => {
      response.writeHead(200).write(weights.subarray(0, 1000));
      return true;
    });
    const controller = new AbortController();
    const onProgress = ({ received }: DownloadProgress) => received === 1000 && controller.abort(new Error("enough"));
    const error = await failure(resolveModel("org/tiny", { onProgress, signal: controller.signal }));
    expect(error.message).toBe("enough");
  });
});

// Proves hub-model in: 401, 403, 404, 429 and 5xx in words; offline from the cache
describe("a Hub that refuses", () => {
  const always = (status: number, path: RegExp, headers: Record<string, string> = {}) => {
    let count = 0;
    hub.intercept = (request, response) => {
      if (!path.test(request.path)) return false;
      count++;
      response.writeHead(status, headers).end();
      return true;
    };
    return () => count;
  };

  it("401: says what to do, with and without a token", async () => {
    const error = await failure(resolveModel("org/unknown", quick));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toContain("does not give out org/unknown (status 401): the name is wrong, or the model is private or gated.");
    expect(error.message).toContain("set HF_TOKEN");
    expect((await failure(resolveModel("org/unknown", { ...quick, token: "mine" }))).message).toContain("was not enough");
  });

  it("403 on a file: gated", async () => {
    always(403, /resolve/);
    const error = await failure(resolveModel("org/tiny", quick));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toContain("(status 403): the model is gated or private. Accept its terms");
  });

  it("404: no such revision", async () => {
    const error = await failure(resolveModel("org/tiny", { ...quick, revision: "v9" }));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toContain("has no model org/tiny (or not that revision)");
  });

  it("404 on a file that was listed", async () => {
    always(404, /resolve/);
    expect((await failure(resolveModel("org/tiny", quick))).message).toContain("is not given out (status 404)");
  });

  it.each([429, 500, 503])("%i: tries again, then says so", async (status) => {
    const count = always(status, /^\/api/);
    const error = await failure(resolveModel("org/tiny", quick));
    expect(error).toBeInstanceOf(RunError);
    expect(error.message).toContain(`(status ${status})`);
    expect(count()).toBe(3);
  });

  it("429 once, with Retry-After: waits and goes on", async () => {
    let busy = true;
    hub.intercept = (_, response) => {
      if (!busy) return false;
      busy = false;
      response.writeHead(429, { "Retry-After": "1" }).end();
      return true;
    };
    const start = Date.now();
    await resolveModel("org/tiny", quick);
    expect(Date.now() - start).toBeGreaterThan(950);
  });

  it("does not answer: gives up soon", async () => {
    hub.intercept = () => true;
    const start = Date.now();
    const error = await failure(resolveModel("org/tiny", hasty));
    expect(error).toBeInstanceOf(RunError);
    expect(error.message).toContain("did not answer within 0.4 s. Connect to the network, or set HF_ENDPOINT to a mirror");
    expect(Date.now() - start).toBeLessThan(2000);
  });

  it("answers with a page of a proxy", async () => {
    hub.intercept = (_, response) => {
      response.writeHead(200, { "Content-Type": "text/html" }).end("<html>Sign in</html>");
      return true;
    };
    expect((await failure(resolveModel("org/tiny", quick))).message).toContain("answered with something that is not the Hub's");
  });

  it("lists a checksum that would leave the cache", async () => {
    hub.intercept = ({ path }, response) => {
      if (!path.includes("/tree/")) return false;
      const entry = (name: string) => ({ type: "file", path: name, size: 2, oid: "../../../evil" });
      response.writeHead(200).end(JSON.stringify(["config.json", "model.safetensors"].map(entry)));
      return true;
    };
    expect((await failure(resolveModel("org/tiny", quick))).message).toContain("without a usable checksum");
  });

  it("has no safetensors", async () => {
    hub.repositories.set("org/ggufs", { commit, files: { "a.gguf": text("GGUF"), "README.md": text("") } });
    const error = await failure(resolveModel("org/ggufs", quick));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toContain("It has GGUF files: name one, as in org/ggufs:a.gguf.");
  });

  it("must not be asked (HF_HUB_OFFLINE)", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect((await failure(resolveModel("org/tiny", quick))).message).toContain("HF_HUB_OFFLINE forbids to ask the Hub");
    vi.stubEnv("HF_HUB_OFFLINE", "0");
    await resolveModel("org/tiny", quick);
    vi.stubEnv("HF_HUB_OFFLINE", "yes");
    hub.seen.length = 0;
    await resolveModel("org/tiny", { ...quick, refresh: true });
    expect(hub.seen).toEqual([]);
  });

  it("is gone, while the cache has an older copy", async () => {
    await resolveModel("org/tiny", quick);
    hub.intercept = (_, response) => Boolean(response.destroy());
    const notices: string[] = [];
    const found = await resolveModel("org/tiny", { ...quick, refresh: true, onNotice: (message) => notices.push(message) });
    expect(found.path).toContain(commit);
    expect(notices[0]).toContain("the copy of org/tiny in the cache is used");
  });
});

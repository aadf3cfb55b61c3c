import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readRows } from "../../src/data/node/read-rows.js";
import { chooseDataFiles, parseDataSetName } from "../../src/hub/data-set.js";
import type { HubOptions } from "../../src/hub/node/from-hub.js";
import { resolveDataSet } from "../../src/hub/node/resolve-data-set.js";
import { fetchWith } from "../../src/workflows/node/row-pass.js";
import { FakeHub, sendRange } from "./fake-hub.js";

const commit = "da7a5e7".padEnd(40, "0");
const quick: HubOptions = { patience: { connectMilliseconds: 20_000, stallMilliseconds: 20_000, retryMilliseconds: 5, retries: 2 } };
const lines = (...texts: string[]) => new TextEncoder().encode(texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
const parquet = await readFile(new URL("../golden/parquet/plain-snappy-groups.parquet", import.meta.url));

let root: string;
let hub: FakeHub;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "lorikeet-hub-"));
  hub = new FakeHub();
  await hub.start();
  hub.repositories.set("org/set", {
    type: "dataset",
    commit,
    files: {
      "README.md": new TextEncoder().encode("# A set\n"),
      "dataset_infos.json": new TextEncoder().encode("{}"),
      "data/train-00000-of-00002.jsonl": lines("a", "b"),
      "data/train-00001-of-00002.jsonl": lines("c"),
      "data/test-00000-of-00001.jsonl": lines("t"),
      "picture.png": new Uint8Array(3),
    },
    large: ["data/train-00000-of-00002.jsonl"],
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

const read = async (name: string, options = quick) => {
  const { rows, files } = await readRows(name, { fetchDataSet: (given) => resolveDataSet(given, options) });
  return { files, texts: rows.map(({ row }) => (row.kind === "text" ? row.text : row.kind)) };
};

// Proves hub-data in: splits, subsets, revisions, private ones, offline, a broken connection, checksums
describe("a data set of the Hub", () => {
  test("that is none may have been meant for a file; a full address may not", async () => {
    await expect(fetchWith({})("org/none")).rejects.toThrow(/^org\/none does not exist here, and as the name of a data set on the Hub: /);
    await expect(fetchWith({})("hf://datasets/org/none")).rejects.not.toThrow("does not exist here");
  });

  test("gives the rows of a split, and fetches its files alone", async () => {
    const { files, texts } = await read("org/set");
    expect(texts).toEqual(["a", "b", "c"]);
    expect(files).toEqual(["0", "1"].map((part) => `org/set@${commit.slice(0, 10)}/data/train-0000${part}-of-00002.jsonl`));
    expect(hub.paths.filter((path) => path.includes("/resolve/")).map((path) => path.split("/").at(-1))).toEqual(
      expect.arrayContaining(["README.md", "train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"]),
    );
    expect(hub.paths.join()).not.toMatch(/test-00000|infos\.json$|png/);
    expect((await read("org/set:test")).texts).toEqual(["t"]);
    expect((await read("hf://datasets/org/set/data/test-00000-of-00001.jsonl")).texts).toEqual(["t"]);
    expect((await read(`https://huggingface.co/datasets/org/set@${commit}`)).texts).toEqual(["a", "b", "c"]);
  });

  test("lies where huggingface_hub puts it; what is there is not fetched again, and is read without the Hub", async () => {
    await read("org/set");
    const folder = join(root, "hf", "hub", "datasets--org--set", "snapshots", commit, "data");
    expect(await readFile(join(folder, "train-00001-of-00002.jsonl"), "utf8")).toBe('{"text":"c"}\n');
    hub.seen.length = 0;
    expect((await read("org/set")).texts).toHaveLength(3);
    expect(hub.paths.join()).not.toContain("/resolve/");
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    hub.seen.length = 0;
    expect((await read("org/set")).texts).toHaveLength(3);
    expect(hub.seen).toEqual([]);
    await expect(read("org/set:test")).rejects.toThrow("org/set is not in the cache");
  });

  test("that the Hub cannot give now is read from the cache, with a notice", async () => {
    await read("org/set");
    hub.intercept = (_request, response) => {
      response.destroy();
      return true;
    };
    const notices: string[] = [];
    expect((await read("org/set", { ...quick, onNotice: (notice) => notices.push(notice) })).texts).toHaveLength(3);
    expect(notices.join()).toContain("the copy of org/set in the cache is used");
  });

  test("comes with a token to the Hub alone, goes on where the connection broke, and is checked", async () => {
    vi.stubEnv("HF_TOKEN", "hf_secret");
    const content = hub.repositories.get("org/set")?.files["data/train-00000-of-00002.jsonl"] ?? new Uint8Array();
    let count = 0;
    hub.intercept = ({ server }, response) => {
      if (server !== "storage" || ++count > 1) return false;
      response.writeHead(200, { "Content-Length": content.length });
      response.write(content.subarray(0, 7), () => setTimeout(() => response.destroy(), 100));
      return true;
    };
    expect((await read("org/set")).texts).toEqual(["a", "b", "c"]);
    expect(hub.seen.filter(({ server }) => server === "storage").map(({ range, authorization }) => [range, authorization])).toEqual([
      [undefined, undefined],
      ["bytes=7-", undefined],
    ]);
    expect(hub.seen.filter(({ server }) => server === "hub").every(({ authorization }) => authorization === "Bearer hf_secret")).toBe(true);

    await rm(join(root, "hf"), { recursive: true });
    hub.intercept = ({ server, range }, response) => {
      if (server !== "storage") return false;
      sendRange(response, content.slice().fill(32, 3, 5), range);
      return true;
    };
    await expect(read("org/set")).rejects.toThrow("does not have the checksum that the Hub states");
  });

  test("that is private, missing or not a data set is told as such", async () => {
    await expect(read("org/none")).rejects.toThrow(
      "does not give out org/none (status 401): the name is wrong, or the data set is private",
    );
    hub.repositories.set("org/model", { commit, files: {} });
    await expect(read("org/model")).rejects.toThrow(/has no data set org\/model .*\/datasets\.$/);
    await expect(read("org/set@v2")).rejects.toThrow("has no data set org/set (or not that revision)");
    await expect(read("./org/none")).rejects.toThrow("./org/none: no such file.");
    await expect(read("data/rows.jsonl")).rejects.toThrow("data/rows.jsonl: no such file.");
    expect(hub.paths.join()).not.toContain("rows.jsonl");
  });

  test("of Parquet files is decoded", async () => {
    hub.repositories.set("org/tables", { type: "dataset", commit, files: { "default/train/0000.parquet": parquet } });
    const fetched = await resolveDataSet("org/tables", quick);
    expect(fetched?.map(({ name }) => name)).toEqual([`org/tables@${commit.slice(0, 10)}/default/train/0000.parquet`]);
    expect(Buffer.compare(await readFile(fetched?.[0]?.path ?? ""), parquet)).toBe(0);
  });
});

describe("names", () => {
  test.each([
    ["org/name", { name: "org/name", revision: "main", path: "", config: undefined, split: undefined }],
    ["org/name:dev", { name: "org/name", revision: "main", path: "", config: undefined, split: "dev" }],
    ["org/name@v1:en/dev", { name: "org/name", revision: "v1", path: "", config: "en", split: "dev" }],
    ["hf://datasets/org/name@v1/a/b.csv", { name: "org/name", revision: "v1", path: "a/b.csv", config: undefined, split: undefined }],
    ["hf://datasets/org/name:test", { name: "org/name", revision: "main", path: "", config: undefined, split: "test" }],
  ])("%s", (text, expected) => {
    expect(parseDataSetName(text)).toEqual(expected);
  });

  test.each([
    "rows.jsonl",
    "data/rows.jsonl",
    "a/b/c",
    "/a/b",
    "./a/b",
    "../a/b",
    "a//b",
    "org/name:",
    "org/name:a/b/c",
    "hf://org/name",
    "hf://datasets/org/name/../x",
  ])("%s is none", (text) => {
    expect(parseDataSetName(text)).toBeUndefined();
  });
});

describe("which files make a split", () => {
  const chosen = (text: string, files: string[], card?: string) => {
    const name = parseDataSetName(text);
    if (name === undefined) throw new Error(text);
    return chooseDataFiles(name, files, card);
  };
  const card = (configs: string) => `---\nlicense: mit\n${configs}\n---\n# Card\n`;

  test("is told by the card", () => {
    const files = ["en/dev.csv", "en/part/1.csv", "en/part/2.csv", "de/all.csv", "other.csv"];
    const two = card(
      "configs:\n- config_name: en\n  data_files:\n  - split: train\n    path: [en/part/*.csv]\n  - split: dev\n    path: en/d?v.csv\n- config_name: de\n  data_dir: de\n  data_files: '**/*.csv'",
    );
    expect(chosen("o/n:en/train", files, two)).toEqual(["en/part/1.csv", "en/part/2.csv"]);
    expect(chosen("o/n:en/dev", files, two)).toEqual(["en/dev.csv"]);
    expect(chosen("o/n:de/train", files, two)).toEqual(["de/all.csv"]);
    expect(() => chosen("o/n", files, two)).toThrow("o/n has several subsets: en, de. Name one with its split, as in o/n:en/train.");
    expect(() => chosen("o/n:fr/train", files, two)).toThrow("o/n has no subset fr. Its subsets: en, de.");
    expect(() => chosen("o/n:en/test", files, two)).toThrow("o/n has no split test. Its splits: train, dev.");
    expect(chosen("o/n", files, two.replace("- config_name: en", "- config_name: en\n  default: true"))).toEqual([
      "en/part/1.csv",
      "en/part/2.csv",
    ]);
    const pattern = (path: string) => card(`configs:\n- config_name: en\n  data_files: '${path}'`);
    expect(() =>
      chosen(
        "o/n",
        ["a".repeat(200)].map((name) => `${name}.csv`),
        pattern(`${"*a".repeat(40)}!.csv`),
      ),
    ).toThrow("has no files of rows");
    expect(() => chosen("o/n", files, pattern("[z-a].csv"))).toThrow('"[z-a].csv" is no pattern of file names: Invalid regular expression');
    expect(() => chosen("o/n", files, "---\na: [\n---\n")).toThrow("the head of its README.md is not YAML");
  });

  test("is told by the names of files", () => {
    expect(chosen("o/n:train_sft", ["data/train_sft-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"])).toEqual([
      "data/train_sft-00000-of-00001.parquet",
    ]);
    const files = ["my_train_file.jsonl", "dev/a.jsonl", "test.jsonl.gz", "extra.csv", ".hidden/train.jsonl"];
    expect(chosen("o/n", files)).toEqual(["my_train_file.jsonl"]);
    expect(chosen("o/n:validation", files)).toEqual(["dev/a.jsonl"]);
    expect(chosen("o/n:test", files)).toEqual(["test.jsonl.gz"]);
    expect(chosen("o/n", ["one.jsonl", "two.jsonl", "table.csv"])).toEqual(["one.jsonl", "two.jsonl"]);
    expect(() => chosen("o/n", ["a.test.csv", "b.valid.csv"])).toThrow(
      "o/n has several splits: test, validation. Name one, as in o/n:test.",
    );
    expect(() => chosen("o/n", ["picture.png"])).toThrow("has several splits: none, since it has no files of rows");
  });

  test("is a file or a folder by its path", () => {
    const files = ["a/1.csv", "a/2.csv", "ab.csv"];
    expect(chosen("hf://datasets/o/n/a", files)).toEqual(["a/1.csv", "a/2.csv"]);
    expect(chosen("hf://datasets/o/n/a*.csv", files)).toEqual(["ab.csv"]);
    expect(() => chosen("hf://datasets/o/n/c", files)).toThrow("at c. It has a/1.csv, a/2.csv, ab.csv.");
  });
});

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { modelfile } from "../../src/interchange/ollama.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { readFittingAdapter } from "../../src/workflows/node/adapter-place.js";
import { runExport } from "../../src/workflows/node/export-run.js";
import { runInspect } from "../../src/workflows/node/inspect-run.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { describeModel } from "../../src/workflows/node/open-model.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "./support.js";

const adapter = join(TINY_CHAT, "adapter");

// Proves modelfile out: it names base, adapter and stop texts
// Proves gguf-adapter in: merged, the weights are those of PEFT's folder merged, byte for byte
test("PEFT's adapter becomes a folder for llama.cpp and Ollama, and is the same where it is given as an adapter", async () => {
  const folder = await temporaryFolder();
  const out = join(folder, "support");
  const result = await runExport({ model: TINY_CHAT, adapter, to: "gguf", out }, fakeContext());
  expect(result).toMatchObject({ out, files: ["Modelfile", "adapter.gguf"], layers: 14, notes: [] });
  expect(await readFile(join(out, "Modelfile"), "utf8")).toContain(
    `FROM ${TINY_CHAT}\nADAPTER ./adapter.gguf\nPARAMETER stop "<|im_end|>"\n`,
  );

  const file = join(out, "adapter.gguf");
  const peft = await readAdapterFolder(adapter);
  const { adapter: read } = await readFittingAdapter(file, await describeModel(TINY_CHAT));
  const byName = (layers: typeof peft.layers) => [...layers].sort((a, b) => (a.name < b.name ? -1 : 1));
  expect(byName(read.layers)).toEqual(byName(peft.layers));
  expect(await runInspect({ directory: file }, fakeContext())).toMatchObject({
    rank: peft.config.rank,
    alpha: peft.config.alpha,
    directory: file,
  });

  const [ours, theirs] = [join(folder, "from-gguf"), join(folder, "from-peft")];
  await runMerge({ model: TINY_CHAT, adapter: file, out: ours }, fakeContext());
  await runMerge({ model: TINY_CHAT, adapter, out: theirs }, fakeContext());
  const weights = (place: string) => readFile(join(place, "model.safetensors"));
  expect(await weights(ours)).toEqual(await weights(theirs));
});

test("a .gguf file alone, and nothing is written over", async () => {
  const folder = await temporaryFolder();
  const out = join(folder, "mine.gguf");
  const options = { model: TINY_CHAT, adapter, to: "gguf", out };
  expect(await runExport(options, fakeContext())).toMatchObject({ out, files: ["mine.gguf"] });
  await expect(runExport(options, fakeContext())).rejects.toThrow(
    "mine.gguf exists already. Choose another name for the adapter, or remove it.",
  );
  await writeFile(join(folder, "mine.txt"), "");
  await expect(runExport({ ...options, out: folder }, fakeContext())).rejects.toThrow("is not empty. Choose a new folder for the adapter");
  const aborted = fakeContext(AbortSignal.abort(new Error("enough")));
  await expect(runExport({ ...options, out: join(folder, "new") }, aborted)).rejects.toThrow("enough");
  expect((await readdir(folder)).sort()).toEqual(["mine.gguf", "mine.txt"]);
});

test("a stop text with a quotation mark", () => {
  expect(modelfile({ from: "m", adapter: "a", stops: ['<"end">'] })).toContain('PARAMETER stop """<"end">"""\n');
});

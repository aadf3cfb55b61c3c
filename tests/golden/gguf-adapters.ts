// Writes PEFT's adapter of every decoder's golden as `lorikeet export` does, for check_gguf_adapter.py. Run from the repository's root:
//   npx esbuild tests/golden/gguf-adapters.ts --bundle --platform=node --format=esm --packages=external | node --input-type=module - OUT
// OUT/NAME.gguf is the adapter of tests/golden/NAME.
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeGguf } from "../../src/interchange/gguf/node/write-gguf.js";
import { ggufAdapter } from "../../src/interchange/gguf/write-adapter.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { readLanguageModel } from "../../src/models/index.js";
import { architectures } from "../models/architectures.js";

const [out] = process.argv.slice(2);
if (out === undefined) throw new Error("OUT is needed");
await mkdir(out, { recursive: true });
for (const name of [...architectures, "gemma3"]) {
  const folder = join("tests", "golden", name);
  const model = readLanguageModel(JSON.parse(readFileSync(join(folder, "config.json"), "utf8")));
  const { entries, tensors } = ggufAdapter(await readAdapterFolder(join(folder, "adapter")), model, name);
  await writeGguf(join(out, `${name}.gguf`), entries, tensors);
}

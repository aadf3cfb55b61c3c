// Reads the adapter of every architecture's golden, as PEFT saved it, and writes it anew as Lorikeet does, for check_adapter.py.
// Run from the repository's root:
//   npx esbuild tests/golden/rewrite-adapters.ts --bundle --platform=node --format=esm --packages=external | node --input-type=module - OUT
// OUT/NAME is the adapter of tests/golden/NAME.
import { join } from "node:path";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { architectures } from "../models/architectures.js";

const [out] = process.argv.slice(2);
if (out === undefined) throw new Error("OUT is needed");
for (const name of architectures) {
  await writeAdapterFolder(join(out, name), await readAdapterFolder(join("tests", "golden", name, "adapter")));
}

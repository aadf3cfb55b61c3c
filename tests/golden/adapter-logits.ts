// Reads an adapter and writes it anew as Lorikeet does, with the logits that Lorikeet computes, for check_adapter.py to compare
// with PEFT's of the same files. Run from the repository's root:
//   npx esbuild tests/golden/adapter-logits.ts --bundle --platform=node --format=esm --packages=external | node --input-type=module - MODEL_FOLDER ADAPTER OUT
// OUT/adapter is the adapter's folder; OUT/logits.json holds the `ids` [T] of TEXT and the `logits` [T, V] after each of them.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { vectorFromAdapter } from "../../src/lora/adapter.js";
import { checkFit } from "../../src/lora/fit.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { findAdapter } from "../../src/workflows/node/adapter-place.js";
import { openModel } from "../../src/workflows/node/open-model.js";

const TEXT = "every weekday at half past nine\n30 9 * * 1-5";

const [modelFolder, adapterFolder, out] = process.argv.slice(2);
if (modelFolder === undefined || adapterFolder === undefined || out === undefined) throw new Error("MODEL_FOLDER ADAPTER OUT are needed");

await writeAdapterFolder(join(out, "adapter"), await readAdapterFolder(await findAdapter(adapterFolder)));

const { model, codec, name, compile } = await openModel(modelFolder, { target: "cpu" });
const adapter = await readAdapterFolder(join(out, "adapter"));
checkFit(adapter, model.linearGroups.flat(), name);
const ids = codec.encode(TEXT);
const options = { model, adapter: vectorFromAdapter(adapter, model), maxPositions: ids.length };
const program = await GenerationProgram.compile(nodeEngine, options, compile);
const cache = program.cache(1, ids.length);
const logits: number[][] = [];
for (const id of ids) logits.push([...(await program.step(cache, [[id]]))]);
await writeFile(join(out, "logits.json"), JSON.stringify({ ids, logits }));

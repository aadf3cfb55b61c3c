// node examples/run.mjs two-adapters-one-base MODEL ADAPTER ADAPTER PROMPT
import { generate, generateBatch, type LoadedAdapter, loadAdapter, loadModel, unloadAdapter } from "lorikeet";

const [name, first, second, prompt] = process.argv.slice(2);
if (name === undefined || first === undefined || second === undefined || prompt === undefined) {
  throw new Error("give a model, two folders of adapters, and a prompt");
}

// The weights are in memory once. Each adapter is a few small matrices beside them.
const model = await loadModel(name);
const adapters: readonly (LoadedAdapter | null)[] = [null, await loadAdapter(model, first), await loadAdapter(model, second)];

// All are asked together, each row by its own adapter.
const requests = adapters.map((adapter) => ({ prompt, adapter, maxNewTokens: 32 }));
const answers = requests.map(() => "");
for await (const { row, text } of generateBatch(model, requests)) answers[row] += text;
for (const [row, adapter] of adapters.entries()) console.log(`${adapter?.name ?? "base"}: ${answers[row]}`);

// Swap: the second takes the place of the first under its name. Nothing is loaded or compiled but the adapter.
for (const adapter of adapters) if (adapter !== null) await unloadAdapter(model, adapter);
await loadAdapter(model, second, { name: "assistant" });
process.stdout.write("assistant: ");
for await (const piece of generate(model, { prompt, adapter: "assistant", maxNewTokens: 32 })) process.stdout.write(piece);
process.stdout.write("\n");
await model.dispose();

// node examples/run.mjs two-adapters-one-base MODEL ADAPTER ADAPTER PROMPT
import { generate, type LoadedAdapter, loadAdapter, loadModel } from "lorikeet";

const [name, first, second, prompt] = process.argv.slice(2);
if (name === undefined || first === undefined || second === undefined || prompt === undefined) {
  throw new Error("give a model, two folders of adapters, and a prompt");
}

// The weights are in memory once. Each adapter is a few small matrices beside them, and has a conversation of its own.
const model = await loadModel(name);
const adapters: readonly (LoadedAdapter | null)[] = [null, await loadAdapter(model, first), await loadAdapter(model, second)];

for (const adapter of adapters) {
  process.stdout.write(`${adapter?.name ?? "base"}: `);
  for await (const piece of generate(model, { prompt, adapter, maxNewTokens: 32 })) process.stdout.write(piece);
  process.stdout.write("\n");
}
await model.dispose();

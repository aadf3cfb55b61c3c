import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { generateHostedBatch, loadHostedModel } from "../../src/workflows/node/model-host.js";
import { goldenPath } from "../support/golden.js";
import { fakeContext, temporaryFolder } from "../workflows/support.js";

test.each(["embedding", "head", "tokens"])("an adapter of the vocabulary (%s) is refused in a batch, with what to do", async (name) => {
  const folder = await temporaryFolder();
  for (const source of [goldenPath("tiny-chat"), goldenPath("qwen2")])
    await cp(source, folder, { recursive: true, filter: (path) => !path.includes("adapter") });
  // The model has 96 of the tokenizer's 640 tokens: the template adds none beyond them.
  const file = join(folder, "tokenizer_config.json");
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), chat_template: "{{ messages[0].content }}" }));
  await loadHostedModel(folder, { adapters: [goldenPath(`variants/${name}/adapter`)] }, fakeContext());
  const requests = [{ prompt: "1", adapter: goldenPath(`variants/${name}/adapter`), maxNewTokens: 1 }];
  await expect(generateHostedBatch({ requests, batchSize: 2 }, fakeContext())).rejects.toThrow(
    /requests\[0\]: the adapter .* a LoRA of the table of embeddings or the head.*Ask it with generate, or merge it/,
  );
});

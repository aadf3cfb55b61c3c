import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Adapter } from "../../src/lora/adapter.js";
import { combineAdapters } from "../../src/lora/combination/combine.js";
import type { CombinationType } from "../../src/lora/combination/types.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { resizeAdapter } from "../../src/lora/resizing.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { relativeError } from "../support/compare.js";
import { golden, goldenPath } from "../support/golden.js";
import { changeOf } from "./change.js";

// Beside a table of embeddings PEFT's A has a column for each token: what it does to A and to B is done the other way round here.

interface Case {
  readonly combination_type: CombinationType;
  readonly svd_rank?: number;
  readonly density?: number;
}
const { weights, cases } = golden<{ weights: number[]; cases: Record<string, Case> }>("combine-tables/cases.json");
const theirs = await openSafetensorsFile(goldenPath("combine-tables/changes.safetensors"));
const read = (name: string) => readAdapterFolder(goldenPath(`combine-tables/${name}`));

/** The changes that a file of the adapter holds for PEFT, which knows a table by its tensors' names. */
async function expectChanges(adapter: Adapter, name: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "lorikeet-test-"));
  try {
    await writeAdapterFolder(folder, adapter);
    const { tensors } = await openSafetensorsFile(join(folder, "adapter_model.safetensors"));
    expect([...tensors.keys()].sort()).toEqual(
      ["embed_tokens.lora_embedding_A", "embed_tokens.lora_embedding_B", "lm_head.lora_A.weight", "lm_head.lora_B.weight"].map(
        (key) => `base_model.model.${key}`,
      ),
    );
    for (const layer of (await readAdapterFolder(folder)).layers)
      expect(relativeError(changeOf(layer), await theirs.readFloat32(`${name}/${layer.name}`)), layer.name).toBeLessThan(2e-6);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test.each(Object.entries(cases))("%s of tables and heads is PEFT's", async (name, { combination_type: type, svd_rank, density = 1 }) => {
  const parts = [];
  for (const [index, each] of ["first", "second"].entries()) parts.push({ name: each, weight: weights[index]!, adapter: await read(each) });
  const mask = () => {
    throw new Error("no mask was expected");
  };
  const { adapter } = await combineAdapters(parts, { type, choice: { rank: svd_rank ?? 3 }, density, signs: "total", mask });
  await expectChanges(adapter, name);
});

test("an adapter of a table and a head in fewer ranks is PyTorch's best approximation", async () => {
  const { adapter } = await resizeAdapter(await read("first"), { rank: 1 }, "first");
  await expectChanges(adapter, "rank-1");
});

import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { inspectAdapter } from "../../src/lora/inspection.js";
import { torchUniform } from "../../src/lora/kernels/torch-uniform.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { weightsOf } from "../../src/workflows/node/applied-adapter.js";
import { loadArchitecture } from "../support/architecture.js";
import { goldenPath } from "../support/golden.js";
import { temporaryFolder } from "../workflows/support.js";

// What VeRA has beside the contract of all variants (variants.test.ts), against the folder that PEFT saved.

const FOLDER = goldenPath("variants/vera/adapter");

test("A and B are drawn as PyTorch draws them, bit for bit", async () => {
  const saved = await openSafetensorsFile(join(FOLDER, "adapter_model.safetensors"));
  const [a, b] = [await saved.readFloat32("base_model.vera_A"), await saved.readFloat32("base_model.vera_B")];
  const fill = torchUniform(2 ** 32 + 7); // PyTorch takes the lower 32 bits
  const [ourA, ourB] = [new Float32Array(a.length), new Float32Array(b.length)];
  fill(ourA, Math.sqrt(6 / 48));
  fill(ourB, Math.sqrt(6 / 6));
  expect(ourA).toEqual(a);
  expect(ourB).toEqual(b);
});

test("a layer's change is seen beside its model, which says how wide it is", async () => {
  const model = await loadArchitecture("qwen2");
  const adapter = await readAdapterFolder(FOLDER);
  await expect(inspectAdapter(adapter)).rejects.toThrow(
    /a file of the method vera does not say how many inputs a layer has. Give the model/,
  );
  const { layers, parameters } = await inspectAdapter(adapter, { weightOf: weightsOf(model) });
  expect(parameters).toBe(adapter.layers.reduce((sum, { outputs, rank }) => sum + outputs + rank, 0));
  for (const { name, shape, norm } of layers) {
    const { a, b, vectors, rank } = adapter.layers.find((layer) => layer.name === name)!;
    const [lambdaB, lambdaD] = [vectors!.get("vera_lambda_b")!, vectors!.get("vera_lambda_d")!];
    let sum = 0;
    for (let output = 0; output < shape[0]; output++) {
      for (let input = 0; input < shape[1]; input++) {
        let value = 0;
        for (let r = 0; r < rank; r++) value += lambdaB[output]! * b[output * rank + r]! * lambdaD[r]! * a[r * (a.length / rank) + input]!;
        sum += value ** 2;
      }
    }
    expect(norm / Math.sqrt(sum)).toBeCloseTo(1, 5);
  }
});

test("a folder without its random matrices is refused by name", async () => {
  const folder = join(await temporaryFolder(), "adapter");
  await cp(goldenPath("variants/rslora/adapter"), folder, { recursive: true });
  await cp(join(FOLDER, "adapter_config.json"), join(folder, "adapter_config.json"));
  await expect(readAdapterFolder(folder)).rejects.toThrow(/lora_A\.weight is neither/);

  const bytes = await readFile(join(FOLDER, "adapter_model.safetensors"));
  const renamed = bytes.toString("latin1").replace("base_model.vera_A", "base_model.vera_Z");
  await writeFile(join(folder, "adapter_model.safetensors"), renamed, "latin1");
  await expect(readAdapterFolder(folder)).rejects.toThrow(
    /the file has no vera_A and vera_B: it was saved without them \(save_projection\)/,
  );
});

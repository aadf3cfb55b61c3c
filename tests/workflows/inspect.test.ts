import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { findAdapter } from "../../src/workflows/node/adapter-place.js";
import { runInspect } from "../../src/workflows/node/inspect-run.js";
import { goldenPath } from "../support/golden.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "./support.js";

const ADAPTER = join(TINY_CHAT, "adapter");

test("an adapter that PEFT saved: its sizes, and every layer's change", async () => {
  const result = await runInspect({ directory: ADAPTER }, fakeContext());
  expect(result).toMatchObject({ directory: ADAPTER, baseModel: "tiny-chat", rank: 4, alpha: 8, scale: 2, rankStabilised: false });
  expect(result.layers).toHaveLength(14);
  expect(result.bytes).toBe((await readFile(join(ADAPTER, "adapter_model.safetensors"))).length);
  for (const layer of result.layers) {
    expect(layer.norm).toBeGreaterThan(0);
    expect(layer.singularValues).toHaveLength(4);
    expect(Math.hypot(...layer.singularValues)).toBeCloseTo(layer.norm, 4);
  }
  expect(structuredClone(result)).toEqual(result); // it crosses the border of a thread
});

test("beside its model and another adapter, and as a page in a new folder", async () => {
  const other = join(await temporaryFolder(), "other");
  await cp(ADAPTER, other, { recursive: true });
  const html = join(await temporaryFolder(), "pages", "adapter.html");
  const result = await runInspect({ directory: ADAPTER, with: other, model: TINY_CHAT, html }, fakeContext());
  expect(result).toMatchObject({ with: other, html, notes: [] });
  for (const { amplification, similarity, rank } of result.layers) {
    expect(amplification!.factor).toBeGreaterThan(0);
    expect(similarity!.values[rank - 1]![rank - 1]).toBeCloseTo(1, 9); // the same adapter
  }
  const page = await readFile(html, "utf8");
  expect(page).toContain("The two changed nearly the same directions.");
  expect(structuredClone(result)).toEqual(result);
});

test("what cannot be compared is said", async () => {
  const result = await runInspect({ directory: ADAPTER, with: goldenPath("lora/patterns") }, fakeContext());
  const alone = result.layers.filter(({ similarity }) => similarity === undefined).length;
  expect(alone).toBeGreaterThan(0);
  expect(result.notes).toEqual([`${alone} of the 14 layers are not in the other adapter and are not compared.`]);
  const foreign = runInspect({ directory: goldenPath("tiny-llama3/adapter"), model: TINY_CHAT }, fakeContext());
  await expect(foreign).rejects.toThrow(/does not fit the model/);
  const dora = await runInspect({ directory: goldenPath("variants/dora") }, fakeContext());
  expect(dora.notes).toEqual([expect.stringContaining("lora_magnitude_vector")]);
});

test("it tells how far it is, and stops between two layers", async () => {
  const stop = new AbortController();
  const { events, signal, emit } = fakeContext(stop.signal);
  const abortAtThird = (event: unknown) => {
    emit(event);
    if (events.length === 3) stop.abort(new Error("enough"));
  };
  await expect(runInspect({ directory: ADAPTER }, { signal, emit: abortAtThird })).rejects.toThrow("enough");
  expect(events).toEqual([0, 1, 2].map((done) => ({ task: "measuring layers", done, total: 14, unit: "items" })));
});

test("the folder of a run stands for its best adapter; an adapter of its own comes first", async () => {
  const run = await temporaryFolder();
  await cp(ADAPTER, join(run, "adapter"), { recursive: true });
  expect(await findAdapter(run)).toBe(join(run, "adapter"));
  expect((await runInspect({ directory: run }, fakeContext())).directory).toBe(join(run, "adapter"));
  await writeFile(join(run, "adapter_config.json"), "{}");
  expect(await findAdapter(run)).toBe(run);
});

test("what holds no adapter is refused by name", async () => {
  const empty = await temporaryFolder();
  const unfinished = await temporaryFolder();
  await writeFile(join(unfinished, "checkpoint.safetensors"), "");
  await mkdir(join(unfinished, "adapter"));
  const refusals: [string, RegExp][] = [
    [join(empty, "nowhere"), /nowhere does not exist\. Give the folder of an adapter/],
    [join(TINY_CHAT, "config.json"), /config\.json is a file/],
    [empty, /neither adapter_config\.json nor adapter.adapter_config\.json/],
    [unfinished, /has not ended, without an adapter yet.*--resume/],
    [TINY_CHAT.replace("tiny-chat", "text/byte-level"), /holds no adapter/],
  ];
  for (const [directory, message] of refusals) {
    await expect(findAdapter(directory)).rejects.toThrow(message);
    await expect(findAdapter(directory)).rejects.toBeInstanceOf(InputError);
  }
  const model = await temporaryFolder();
  await writeFile(join(model, "config.json"), "{}");
  await expect(findAdapter(model)).rejects.toThrow(/is a whole model, not an adapter/);
});

test("a folder of adapters with names, as PEFT saves several, says which there are", async () => {
  const folder = await temporaryFolder();
  for (const name of ["formal", "short"]) await cp(join(TINY_CHAT, "adapter"), join(folder, name), { recursive: true });
  await expect(findAdapter(folder)).rejects.toThrow(
    `holds adapters of several names: give one of ${join(folder, "formal")}, ${join(folder, "short")}.`,
  );
  expect(await findAdapter(join(folder, "short"))).toBe(join(folder, "short"));
});

test("an adapter of PEFT that changes its base is said to be one", async () => {
  const { notes } = await runInspect({ directory: goldenPath("variants/pissa/raw") }, fakeContext());
  expect(notes).toEqual([expect.stringMatching(/PEFT's method pissa, and changes its base.*lorikeet convert/)]);
});

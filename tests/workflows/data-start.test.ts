import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { TINY_CHAT, temporaryFolder } from "./support.js";
import { ofType, questionsFile, runHere } from "./training-support.js";

// A run whose adapter starts from a look at its own data.

describe("a run of EVA", () => {
  const LOOKING = "looking at what the layers read";

  test("goes on from a checkpoint without another look, to the same bits", async () => {
    const data = await questionsFile();
    const options = { model: TINY_CHAT, data, method: "eva", rank: 2, steps: 4, saveEvery: 2, batchSize: 4, threads: 1, report: false };
    const [whole, cut] = [join(await temporaryFolder(), "run"), join(await temporaryFolder(), "run")];
    const looked = ofType(await runHere({ ...options, out: whole }), "progress").filter(({ task }) => task === LOOKING);
    expect(looked.length).toBeGreaterThan(0);
    await expect(
      runHere(
        { ...options, out: cut },
        {
          onEvent: (event) => {
            if (event.type === "step" && event.step === 3) throw new Error("killed");
          },
        },
      ),
    ).rejects.toThrow("killed");
    const again = ofType(await runHere({ ...options, out: cut, resume: true }), "progress");
    expect(again.filter(({ task }) => task === LOOKING)).toEqual([]);
    for (const file of ["adapter_config.json", "adapter_model.safetensors"]) {
      expect(await readFile(join(cut, "last", file))).toEqual(await readFile(join(whole, "last", file)));
    }
    const { rank_pattern: ranks, init_lora_weights: start } = JSON.parse(
      await readFile(join(whole, "last", "adapter_config.json"), "utf8"),
    );
    expect(Object.keys(ranks).length).toBeGreaterThan(0);
    expect(start).toBe("eva");
  });

  test("says that its options belong to it", async () => {
    const options = { model: TINY_CHAT, data: "-", out: "nowhere", rho: 2, method: "dora" };
    await expect(runHere(options)).rejects.toThrow("options.rho belongs to the method eva; options.method is dora");
  });
});

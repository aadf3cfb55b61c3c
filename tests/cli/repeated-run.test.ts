import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { done, events, runWith } from "./support.js";

describe("train --config RUN/run.yaml", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "lorikeet-repeat-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Where a run goes whose options stand in `file`. */
  async function outOf(file: string, out: string, ...flags: string[]): Promise<unknown> {
    writeFileSync(file, stringify({ model: "m", data: "d", out }));
    let seen: unknown;
    await runWith(["train", "--config", file, ...flags], {
      train(options) {
        seen = options.out;
        return events([done]);
      },
    });
    return seen;
  }

  function makeRun(name: string): string {
    const run = join(folder, name);
    mkdirSync(run);
    return run;
  }

  test("repeats the run beside itself, in the first folder that is free", async () => {
    const run = makeRun("run");
    expect(await outOf(join(run, "run.yaml"), run)).toBe(join(folder, "run-2"));
    makeRun("run-2");
    expect(await outOf(join(run, "run.yaml"), `${run}/`)).toBe(join(folder, "run-3"));
  });

  test("goes on with it where --resume says so, and elsewhere where --out does", async () => {
    const run = makeRun("run");
    expect(await outOf(join(run, "run.yaml"), run, "--resume")).toBe(run);
    expect(await outOf(join(run, "run.yaml"), run, "--out", "elsewhere")).toBe("elsewhere");
  });

  test("takes a file that stands elsewhere at its word", async () => {
    expect(await outOf(join(folder, "my.yaml"), makeRun("run"))).toBe(join(folder, "run"));
  });
});

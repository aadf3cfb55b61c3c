import { expect, test } from "vitest";
import { done, runWith } from "./support.js";

async function* interrupted() {
  yield { ...done, reason: "interrupted" as const };
}

test("an interrupted run says how to go on, and the demo, which has no --resume, how to start again", async () => {
  const train = await runWith(["train", "--model", "m", "--data", "d", "--out", "o"], { train: interrupted });
  expect(train.code).toBe(130);
  expect(train.out).toContain("Interrupted and saved. The same command with --resume goes on from here.\n");
  const demo = await runWith(["demo"], { demo: interrupted });
  expect(demo.code).toBe(130);
  expect(demo.out).toContain("Interrupted and saved. The same command starts again from the beginning.\n");
  expect(demo.out).not.toContain("--resume");
});

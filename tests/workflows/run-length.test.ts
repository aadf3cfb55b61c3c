import { expect, test } from "vitest";
import { batchesIn, updatesIn, updatesOf } from "../../src/workflows/node/training/length.js";

test.each([
  [1, 7, 7],
  [1.1, 10, 11], // not the 12 that 11.000000000000002 would be rounded up to
  [0.1, 7, 1],
  [2.5, 3, 8],
  [1e-3, 7, 1],
])("%d epochs of %d batches are %d batches", (epochs, perEpoch, batches) => {
  expect(batchesIn(epochs, perEpoch)).toBe(batches);
});

test("updates are counted with the short last one", () => {
  expect(updatesIn(1, 7, 4)).toBe(2);
  expect(updatesIn(2, 7, 4)).toBe(4); // 14 batches: 4, 4, 4 and 2
  expect(updatesOf({ kind: "steps", steps: 3 }, 7, 4)).toBe(3);
  expect(updatesOf({ kind: "minutes", minutes: 3 }, 7, 4)).toBeUndefined();
});

import { expect, test } from "vitest";
import type { DoneEvent, TrainEvent } from "../../src/workflows/api.js";
import { done, events, report, runWith } from "./support.js";

// What the terminal says last about the validation loss, with a report and without one.

const argv = ["train", "--model", "m", "--data", "d", "--out", "o"];
const RISING = "Validation loss was lowest, 1.100, at step 2 and rose to 1.500 by step 6:";

function measured(...losses: number[]): TrainEvent[] {
  return losses.map((loss, index) => ({ type: "evaluation", step: 2 * (index + 1), loss, perplexity: Math.exp(loss), best: index === 0 }));
}

async function ending(seen: readonly TrainEvent[], last: Partial<DoneEvent> = {}): Promise<string> {
  const end: DoneEvent = { ...done, steps: 6, ...last };
  return (await runWith(argv, { train: () => events([...seen, end]) })).out;
}

test("that it rose is said without a report, also after an interruption", async () => {
  expect(await ending(measured(1.1, 1.2, 1.5))).toContain(RISING);
  expect(await ending(measured(1.1, 1.2, 1.5), { reason: "interrupted" })).toContain(RISING);
});

test("a resumed run remembers the best that it does not see again", async () => {
  const [last] = measured(1.5);
  expect(await ending([{ ...last!, step: 6 } as TrainEvent])).toContain(RISING);
});

test("that it still fell is said of a run that ended by itself", async () => {
  const falling = { bestLoss: 0.5, bestStep: 6 };
  expect(await ending(measured(1.1, 0.9, 0.5), falling)).toContain("Validation loss was still falling at the end");
  expect(await ending(measured(1.1, 0.9, 0.5), { ...falling, reason: "interrupted" })).not.toContain("Validation loss was");
});

test("with a report it is said once, by the report", async () => {
  const told: TrainEvent = { type: "report", report: { ...report, validation: `${RISING} the report.` }, path: "out/report.html" };
  const out = await ending([...measured(1.1, 1.2, 1.5), told]);
  expect(out.split(RISING)).toHaveLength(2);
  expect(out).toContain(`${RISING} the report.`);
});

test("of pairs: how many anchors find their positive first, and the mean reciprocal rank", async () => {
  const ranking = (accuracy: number, meanReciprocalRank: number) => ({ anchors: 40, positives: 30, accuracy, meanReciprocalRank, loss: 1 });
  const out = await ending([], { ranking: { before: ranking(0.3, 0.4567), after: ranking(0.9, 0.95) } });
  expect(out).toContain(
    "36 of 40 held-out anchors find a positive of their own first among 30 (12 without the adapter); mean reciprocal rank 0.950 (0.457).\n",
  );
});

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { RunError } from "../../src/errors.js";
import type { Precision } from "../../src/workflows/options.js";
import { buildCommand, lorikeetTrain } from "../lorikeet.js";
import { model as modelName } from "../recipe.js";
import type { LossRow } from "../rows.js";
import type { Surroundings, Work } from "../work.js";

const STEPS = 200;
/** As the demo trains. */
const RECIPE = ["--lr", "1e-3", "--batch-size", "8", "--seed", "1"];

export const lossWork: Work = {
  name: "loss-200",
  description: `loss on the demo's held-out rows after ${STEPS} updates in fp32 and in int8, not timed; takes half an hour`,
  measure,
};

async function measure(surroundings: Surroundings): Promise<LossRow> {
  const { options, precisions } = surroundings;
  const steps = options.steps ?? STEPS;
  await buildCommand(surroundings);
  const fp32 = await heldOutLoss(surroundings, "fp32", steps);
  const int8 = precisions.includes("int8") ? await heldOutLoss(surroundings, "int8", steps) : null;
  return { kind: "loss", work: "loss-200", date: new Date().toISOString(), steps, fp32, int8, ratio: int8 === null ? null : int8 / fp32 };
}

async function heldOutLoss(surroundings: Surroundings, precision: Precision, steps: number): Promise<number> {
  const { root, scratch, note } = surroundings;
  const out = join(scratch, `loss-${precision}`);
  await rm(out, { recursive: true, force: true });
  const demo = (part: string) => join(root, `assets/demo/cron-${part}.jsonl`);
  const files = ["--model", modelName, "--data", demo("train"), "--valid", demo("valid"), "--out", out];
  const length = ["--steps", `${steps}`, "--eval-every", `${steps}`, "--no-report"];
  let loss: number | undefined;
  for await (const event of lorikeetTrain(surroundings, [...files, ...RECIPE, ...length, "--precision", precision])) {
    if (event.type === "step" && (event.step % 20 === 0 || event.step === steps))
      note(`loss-200, ${precision}, update ${event.step} of ${steps}: loss ${event.loss.toFixed(4)}`);
    if (event.type === "evaluation" && event.step === steps) loss = event.loss;
  }
  if (loss === undefined) throw new RunError("lorikeet train ended without measuring the held-out rows.");
  return loss;
}

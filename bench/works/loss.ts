import { rm } from "node:fs/promises";
import { join } from "node:path";
import { RunError } from "../../src/errors.js";
import type { Precision } from "../../src/workflows/options.js";
import { buildCommand, lorikeetTrain } from "../lorikeet.js";
import { model as modelName } from "../recipe.js";
import type { LossRow, SeedLoss } from "../rows.js";
import type { Surroundings, Work } from "../work.js";

const STEPS = 200;
/** One run ends anywhere within some percent, whatever the precision. */
const SEEDS = [1, 2, 3];
/** As the demo trains. */
const RECIPE = ["--lr", "1e-3", "--batch-size", "8"];

export const lossWork: Work = {
  name: "loss-200",
  description: `loss on the demo's held-out rows after ${STEPS} updates in fp32 and in int8, ${SEEDS.length} seeds, not timed; takes half an hour`,
  measure,
};

async function measure(surroundings: Surroundings): Promise<LossRow> {
  const { options, precisions } = surroundings;
  const steps = options.steps ?? STEPS;
  await buildCommand(surroundings);
  const seeds: SeedLoss[] = [];
  for (const seed of SEEDS) {
    const loss = (precision: Precision) => heldOutLoss(surroundings, { precision, seed, steps });
    seeds.push({ seed, fp32: await loss("fp32"), int8: precisions.includes("int8") ? await loss("int8") : null });
  }
  return { kind: "loss", work: "loss-200", date: new Date().toISOString(), steps, seeds, ...meansOf(seeds) };
}

export function meansOf(seeds: readonly SeedLoss[]): Pick<LossRow, "fp32" | "int8" | "ratio"> {
  const mean = (losses: readonly number[]) => losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  const fp32 = mean(seeds.map((loss) => loss.fp32));
  const rounded = seeds.flatMap(({ int8 }) => int8 ?? []);
  const int8 = rounded.length === 0 ? null : mean(rounded);
  return { fp32, int8, ratio: int8 === null ? null : int8 / fp32 };
}

async function heldOutLoss(
  surroundings: Surroundings,
  { precision, seed, steps }: { readonly precision: Precision; readonly seed: number; readonly steps: number },
): Promise<number> {
  const { root, scratch, note } = surroundings;
  const out = join(scratch, `loss-${precision}`);
  await rm(out, { recursive: true, force: true });
  const demo = (part: string) => join(root, `assets/demo/cron-${part}.jsonl`);
  const files = ["--model", modelName, "--data", demo("train"), "--valid", demo("valid"), "--out", out];
  const length = ["--steps", `${steps}`, "--eval-every", `${steps}`, "--seed", `${seed}`, "--no-report"];
  let loss: number | undefined;
  for await (const event of lorikeetTrain(surroundings, [...files, ...RECIPE, ...length, "--precision", precision])) {
    if (event.type === "step" && (event.step % 20 === 0 || event.step === steps))
      note(`loss-200, seed ${seed}, ${precision}, update ${event.step} of ${steps}: loss ${event.loss.toFixed(4)}`);
    if (event.type === "evaluation" && event.step === steps) loss = event.loss;
  }
  if (loss === undefined) throw new RunError("lorikeet train ended without measuring the held-out rows.");
  return loss;
}

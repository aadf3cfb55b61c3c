import { rm } from "node:fs/promises";
import { join } from "node:path";
import { RunError } from "../../src/errors.js";
import type { PlanResult } from "../../src/workflows/api.js";
import { runForJson } from "../child.js";
import { median } from "../comparison.js";
import { buildCommand, lorikeetTrain } from "../lorikeet.js";
import { model as modelName } from "../recipe.js";
import type { PlannedRun, PlanRow } from "../rows.js";
import type { Surroundings, Work } from "../work.js";

const STEPS = 8;
/** The first updates are slower: the engine takes its memory in them. */
const WARM = 2;

type Choice = Pick<PlannedRun, "data" | "precision" | "gradientCheckpointing">;

/** Short conversations of which the answers are learned, and whole passages of text. */
const data = {
  demo: { train: "assets/demo/cron-train.jsonl", valid: "assets/demo/cron-valid.jsonl", options: ["--batch-size", "8"] },
  text: { train: "assets/probe/general.jsonl", valid: "assets/probe/general.jsonl", options: ["--batch-size", "4", "--max-length", "512"] },
} as const;

const choices: readonly Choice[] = [
  { data: "demo", precision: "fp32", gradientCheckpointing: false },
  { data: "demo", precision: "int8", gradientCheckpointing: false },
  { data: "demo", precision: "int8", gradientCheckpointing: true },
  { data: "demo", precision: "4bit", gradientCheckpointing: false },
  { data: "text", precision: "fp32", gradientCheckpointing: true },
  { data: "text", precision: "int8", gradientCheckpointing: false },
  { data: "text", precision: "4bit", gradientCheckpointing: true },
];

export const planWork: Work = {
  name: "plan",
  description: "memory and speed that `lorikeet plan` names, beside those of the run",
  measure,
};

async function measure(surroundings: Surroundings): Promise<PlanRow> {
  const { options, precisions, note } = surroundings;
  const steps = options.steps ?? STEPS;
  await buildCommand(surroundings);
  const runs: PlannedRun[] = [];
  for (const choice of choices.filter(({ precision }) => precision === "4bit" || precisions.includes(precision))) {
    const run = { ...choice, ...(await planAndRun(surroundings, choice, steps)) };
    const { memory, speed } = run;
    const words = `${choice.precision}${choice.gradientCheckpointing ? ", checkpoints" : ""}`;
    note(`plan, ${choice.data}, ${words}: memory ${ratio(memory)}, speed ${ratio(speed)} of the plan`);
    runs.push(run);
  }
  return { kind: "plan", work: "plan", date: new Date().toISOString(), steps, runs };
}

const ratio = ({ planned, measured }: PlannedRun["memory"]) => (measured / planned).toFixed(2);

async function planAndRun(
  surroundings: Surroundings,
  { data: name, precision, gradientCheckpointing }: Choice,
  steps: number,
): Promise<Pick<PlannedRun, "memory" | "speed">> {
  const { root, scratch, signal } = surroundings;
  const { train, valid, options } = data[name];
  const out = join(scratch, "plan");
  const common = ["--model", modelName, "--data", join(root, train), "--valid", join(root, valid), ...options];
  const choice = ["--precision", precision, "--gradient-checkpointing", gradientCheckpointing ? "on" : "off", "--steps", `${steps}`];
  const command = join(root, "dist/cli/main.js");
  const planned = (await runForJson(process.execPath, [command, "plan", ...common, ...choice, "--json"], { signal })) as PlanResult;
  await rm(out, { recursive: true, force: true });
  let peakBytes = 0;
  const speeds: number[] = [];
  let before = 0;
  for await (const event of lorikeetTrain(surroundings, [...common, ...choice, "--out", out, "--eval-every", `${steps}`, "--no-report"])) {
    if (event.type === "done") peakBytes = event.peakBytes;
    if (event.type !== "step") continue;
    if (event.step > WARM) speeds.push(event.tokens / (event.seconds - before));
    before = event.seconds;
  }
  if (peakBytes === 0 || speeds.length === 0 || planned.tokensPerSecond === undefined) {
    throw new RunError("lorikeet train ended without an update to compare with the plan.");
  }
  return {
    memory: { planned: planned.memory.total, measured: peakBytes },
    speed: { planned: planned.tokensPerSecond, measured: median(speeds) },
  };
}

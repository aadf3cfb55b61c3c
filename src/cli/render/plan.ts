import type { PlanResult } from "../../workflows/api.js";
import { bytesText, countText, durationText, plainNumber } from "./numbers.js";
import { facts, table } from "./table.js";

/** What a run would train, need and take. */
export function planText(plan: PlanResult): string {
  const { memory } = plan;
  const pairs: (readonly [string, string])[] = [
    ["model", `${plan.model} (${plan.architecture}, ${countText(plan.totalParameters)} parameters)`],
    [
      "trained",
      `${countText(plan.trainableParameters)} parameters, ${plainNumber((100 * plan.trainableParameters) / plan.totalParameters)} %`,
    ],
    ["runs on", `${plan.device}, ${plan.precision}${plan.gradientCheckpointing ? ", gradient checkpointing" : ""}`],
    [
      "memory",
      `${bytesText(memory.total)} at the peak: weights ${bytesText(memory.weights)}, adapter ${bytesText(memory.adapter)}, batches ${bytesText(memory.activations)}`,
    ],
    [
      "free now",
      `${bytesText(memory.available)}${memory.available < memory.needed ? ": not enough. What each change alone would make of it:" : ""}`,
    ],
    ...(memory.available < memory.needed ? changes(plan) : []),
  ];
  if (plan.trainExamples !== undefined)
    pairs.push(["examples", `${plan.trainExamples} to learn from, ${plan.validationExamples ?? 0} held out`]);
  if (plan.steps !== undefined)
    pairs.push(["updates", `${plan.steps}${plan.tokens === undefined ? "" : `, ${countText(plan.tokens)} tokens`}`]);
  if (plan.seconds !== undefined) {
    pairs.push([
      "time",
      `about ${durationText(plan.seconds)}${plan.tokensPerSecond === undefined ? "" : ` at ${Math.round(plan.tokensPerSecond)} tokens/s`}`,
    ]);
  }
  return [facts(pairs), "", layerTable(plan.layers), ...plan.notes].join("\n");
}

/** What would lower the peak, a line each. */
function changes({ changes }: PlanResult): readonly (readonly [string, string])[] {
  return changes.map(({ options, total, fits }) => ["", `${options}: ${bytesText(total)}${fits ? ", which fits" : ""}`]);
}

/** Layers of one kind (model.layers.N.… differing by N alone) on one row. */
function layerTable(layers: PlanResult["layers"]): string {
  const kinds = new Map<string, { count: number; size: string; parameters: number }>();
  for (const { name, inFeatures, outFeatures, parameters } of layers) {
    const kind = name.replace(/\.\d+\./g, ".*.");
    const size = `${inFeatures} → ${outFeatures}`;
    const known = kinds.get(`${kind} ${size}`);
    kinds.set(`${kind} ${size}`, { count: (known?.count ?? 0) + 1, size, parameters: (known?.parameters ?? 0) + parameters });
  }
  return table(
    [{ title: "layers" }, { title: "count", right: true }, { title: "in → out", right: true }, { title: "trained", right: true }],
    [...kinds].map(([key, { count, size, parameters }]) => [key.slice(0, -size.length - 1), String(count), size, countText(parameters)]),
  );
}

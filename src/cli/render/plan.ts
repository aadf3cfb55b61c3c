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
      `${bytesText(memory.total)} at the peak: weights ${bytesText(memory.weights)}, ${plan.layers.length > 0 ? "adapter" : "what is trained"} ${bytesText(memory.adapter)}, batches ${bytesText(memory.activations)}`,
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
  return [facts(pairs), "", ...trainedTables(plan), ...plan.notes].join("\n");
}

/** What would lower the peak, a line each. */
function changes({ changes }: PlanResult): readonly (readonly [string, string])[] {
  return changes.map(({ options, total, fits }) => ["", `${options}: ${bytesText(total)}${fits ? ", which fits" : ""}`]);
}

/** Layers with an adapter, and what is trained whole. */
function trainedTables({ layers, whole }: PlanResult): string[] {
  const adapted = layers.map(({ inFeatures, outFeatures, ...rest }) => ({ ...rest, size: `${inFeatures} → ${outFeatures}` }));
  const trained = whole.map(({ shape, ...rest }) => ({ ...rest, size: shape.join(" × ") }));
  return [
    ...(adapted.length > 0 ? [kindTable("layers", "in → out", adapted)] : []),
    ...(trained.length > 0 ? [kindTable("trained whole", "size", trained)] : []),
  ];
}

/** What is of one kind (model.layers.N.… differing by N alone) on one row. */
function kindTable(
  title: string,
  sizeTitle: string,
  rows: readonly { readonly name: string; readonly size: string; readonly parameters: number }[],
): string {
  const kinds = new Map<string, { count: number; size: string; parameters: number }>();
  for (const { name, size, parameters } of rows) {
    const kind = name.replace(/\.\d+\./g, ".*.");
    const known = kinds.get(`${kind} ${size}`);
    kinds.set(`${kind} ${size}`, { count: (known?.count ?? 0) + 1, size, parameters: (known?.parameters ?? 0) + parameters });
  }
  return table(
    [{ title }, { title: "count", right: true }, { title: sizeTitle, right: true }, { title: "trained", right: true }],
    [...kinds].map(([key, { count, size, parameters }]) => [key.slice(0, -size.length - 1), String(count), size, countText(parameters)]),
  );
}

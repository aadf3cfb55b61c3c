import { join } from "node:path";
import { buildLayout } from "../../src/lora/layout.js";
import { adaptGroups } from "../../src/lora/spec.js";
import { buildGradientGraph } from "../../src/training/gradient-program.js";
import { sequenceDimensions } from "../../src/training/sequence-graph.js";
import { stepCost } from "../../src/training/step-cost.js";
import type { DescribedModel } from "../../src/workflows/node/open-model.js";
import { type FileBatch, toBatch } from "../batch-file.js";
import { runForJson } from "../child.js";
import { summarise } from "../comparison.js";
import { bundle, writeBatches, writeInitialAdapter } from "../prepare.js";
import { adapter as recipe } from "../recipe.js";
import type { CurvePoint, CurvesRow, MachineLimits } from "../rows.js";
import { runSide } from "../side.js";
import { ourSide } from "../sides.js";
import type { Surroundings, Work } from "../work.js";
import { textBatches } from "./texts.js";

const STEPS = 4;
const BATCHES = 2;
/** What the curves do not vary. */
const [ROWS, TOKENS] = [4, 256];

type Size = Pick<CurvePoint, "curve" | "rank" | "rows" | "tokens">;

/** A curve in context has one row in each batch: the longest would not fit into small machines otherwise. */
const sizes: readonly Size[] = [
  ...[128, 256, 512, 1024, 2048].map((tokens): Size => ({ curve: "context", rank: recipe.rank, rows: 1, tokens })),
  ...[4, 16, 64, 256].map((rank): Size => ({ curve: "rank", rank, rows: ROWS, tokens: TOKENS })),
  ...[1, 2, 4, 8].map((rows): Size => ({ curve: "batch", rank: recipe.rank, rows, tokens: TOKENS })),
];

export const curvesWork: Work = {
  name: "curves",
  description: "speed and memory of ours over context 128…2048, rank 4…256 and batch 1…8, beside the machine's limits",
  measure,
};

async function measure(surroundings: Surroundings): Promise<CurvesRow> {
  const { bench, scratch, options, precisions, signal, note } = surroundings;
  note("curves, the machine's limits …");
  const limits = (await runForJson(process.execPath, [await bundle(bench, "limits"), ...precisions], { signal })) as MachineLimits;
  const steps = options.steps ?? STEPS;
  const script = await bundle(bench, "ours");
  const points: CurvePoint[] = [];
  for (const size of sizes) {
    const { model } = surroundings;
    const adapter = join(scratch, `adapter-rank-${size.rank}`);
    await writeInitialAdapter(model, adapter, size.rank);
    const batches = await textBatches(surroundings.root, model.codec, size.rows, size.tokens, BATCHES);
    const work = await writeBatches("curves", batches, scratch);
    for (const precision of precisions) {
      note(`curves, ${size.curve}: ${size.rows} × ${size.tokens}, rank ${size.rank}, ${precision} …`);
      const side = ourSide(script, { model: model.name, adapter, work, steps }, precision);
      const run = await runSide(side.command, { signal, onStep: () => {} });
      if (run === undefined) throw new Error("only a side with a limit is given up");
      const { tokensPerSecond, peakBytes } = summarise([run], work.tokens);
      const speed = (tokensPerSecond * stepOperations(model, batches[0], size)) / (size.rows * size.tokens);
      note(`  ${tokensPerSecond.toFixed(0)} tokens/s`);
      points.push({ ...size, side: precision, tokensPerSecond, peakBytes, speed, ofLimits: shareOf(speed, limits) });
    }
  }
  return { kind: "curves", work: "curves", date: new Date().toISOString(), steps, limits, points };
}

/** A speed over each of the limits. */
export function shareOf(speed: number, { fp32, int8 }: MachineLimits): MachineLimits {
  return { fp32: speed / fp32, int8: int8 === null ? null : speed / int8 };
}

/** Multiplications and additions of all products of a step, those computed again included. */
function stepOperations({ model }: DescribedModel, first: FileBatch | undefined, { rank }: Size): number {
  if (first === undefined) throw new RangeError("there is no batch");
  const { batch, tokens, targets } = toBatch(first);
  const spec = { rank, alpha: recipe.alpha, dropout: 0, layers: { kind: "all-linear" }, initialisation: "peft" } as const;
  const layout = buildLayout(adaptGroups(model.linearGroups, spec));
  const { graph } = buildGradientGraph({ model, layout, maxTokens: tokens, maxSupervised: targets.length });
  return stepCost(graph, sequenceDimensions({ batch, tokens, supervised: targets.length }, tokens)).flops;
}

import { Graph, type Tensor } from "../graph/graph.js";
import { adamw } from "../ops/adamw.js";
import { clipByNorm } from "../ops/clip-by-norm.js";
import type { Engine, SessionSettings } from "../runtime/engine.js";
import { Program } from "../runtime/program.js";
import { type Optimizer, type OptimizerSettings, type OptimizerState, stateVector } from "./optimizer.js";

/** Symbol of the number of trainable values. */
const TRAINABLES = "trainables";

/** Larger than any norm: the limit that stands for no clipping. */
const NO_LIMIT = 1e30;

type AdamWSettings = Extract<OptimizerSettings, { kind: "adamw" }>;

/**
 * AdamW as a program of the engine, for a device on which loops of the host would be slow: divides by the count, clips,
 * steps. Moments and trainables pass through the host, as they do with the loops, so a checkpoint holds the same vectors.
 */
export async function compileUpdate(
  engine: Engine,
  settings: AdamWSettings,
  length: number,
  session: SessionSettings,
  saved?: OptimizerState,
): Promise<Required<Optimizer>> {
  const state = { firstMoment: stateVector("firstMoment", length, saved), secondMoment: stateVector("secondMoment", length, saved) };
  const weights = (name: string): never => {
    throw new Error(`the update reads no weight, but was asked for "${name}"`);
  };
  const program = await Program.compile(buildUpdateGraph(settings), engine, { ...session, weights });
  return {
    state,
    async update(trainables, gradient, { count, clip, learningRate, step }) {
      const { beta1, beta2, weightDecay } = settings;
      const outputs = await program.run(
        {
          parameters: trainables,
          gradient,
          first: state.firstMoment,
          second: state.secondMoment,
          scale: Float32Array.of(1 / count),
          limit: Float32Array.of(clip > 0 ? clip : NO_LIMIT),
          stepSize: Float32Array.of(learningRate / (1 - beta1 ** step)),
          correction: Float32Array.of(Math.sqrt(1 - beta2 ** step)),
          keep: Float32Array.of(1 - learningRate * weightDecay),
        },
        { [TRAINABLES]: length },
      );
      const gradientNorm = Number(outputs["next.norm"]?.data[0]);
      if (!Number.isFinite(gradientNorm)) return gradientNorm;
      copy(outputs["next.parameters"]?.data, trainables);
      copy(outputs["next.first"]?.data, state.firstMoment);
      copy(outputs["next.second"]?.data, state.secondMoment);
      return gradientNorm;
    },
    release: () => program.release(),
  };
}

/** The update of all trainables as one vector [P]; the factors that change with each step are fed. */
function buildUpdateGraph({ beta1, beta2, epsilon }: AdamWSettings): Graph {
  const graph = new Graph();
  const vector = (name: string): Tensor => graph.input(name, { dtype: "float32", shape: [TRAINABLES] });
  const factor = (name: string): Tensor => graph.input(name, { dtype: "float32", shape: [1] });
  const { clipped, norm } = clipByNorm(vector("gradient"), factor("scale"), factor("limit"));
  const next = adamw(
    {
      parameters: vector("parameters"),
      gradient: clipped,
      first: vector("first"),
      second: vector("second"),
      stepSize: factor("stepSize"),
      correction: factor("correction"),
      keep: factor("keep"),
    },
    { beta1, beta2, epsilon },
  );
  for (const [name, tensor] of Object.entries({ ...next, norm })) graph.output(`next.${name}`, tensor);
  return graph;
}

function copy(from: unknown, to: Float32Array): void {
  if (!(from instanceof Float32Array)) throw new Error("the update returned no values");
  to.set(from);
}

import type { Engine, SessionSettings } from "../../src/runtime/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import type { SeededLlama } from "./seeded-llama.js";

export interface Step {
  readonly loss: number;
  /** The flat vector of the adapter's gradients. */
  readonly gradient: Float32Array<ArrayBuffer>;
}

/** One training step of a seeded Llama on any engine. Imports nothing of Node. */
export async function trainingStep(engine: Engine, llama: SeededLlama, settings: SessionSettings): Promise<Step> {
  const program = await GradientProgram.compile(engine, { ...llama, maxTokens: 16 }, { ...settings, weights: llama.weights });
  const gradient = new Float32Array(llama.layout.length);
  const { loss } = await program.run(llama.batch, llama.adapter, gradient);
  await program.release();
  return { loss, gradient };
}

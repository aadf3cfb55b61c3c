import { GenerationProgram } from "../../../generation/generation-program.js";
import type { AdapterLayout } from "../../../lora/layout.js";
import { nodeEngine } from "../../../runtime/node/engine.js";
import { DropoutSource } from "../../../training/dropout-source.js";
import { GradientProgram } from "../../../training/gradient-program.js";
import { LossProgram } from "../../../training/loss-program.js";
import type { OpenedModel } from "../open-model.js";
import type { PreparedRun } from "./run-task.js";

/** The gradient of a run's batches, with its dropout. */
export async function compileGradient(
  { opened, task, layout, settings, maxTokens, maxSupervised, checkpointing }: PreparedRun,
  frozen: Float32Array,
) {
  const { gradientCheckpointing } = checkpointing;
  const dropout = settings.dropout > 0 ? new DropoutSource(settings.dropout, settings.seed) : undefined;
  const program = await GradientProgram.compile(
    nodeEngine,
    { ...task.learned, layout, frozen, maxTokens, maxSupervised, dropout, gradientCheckpointing },
    opened.compile,
  );
  return { program, dropout };
}

/** Programs that measure a model with an adapter of this layout, or without one. */
export async function compileMeasures(opened: OpenedModel, layout: AdapterLayout | undefined, vector: Float32Array, maxTokens: number) {
  const { model, compile } = opened;
  const loss = await LossProgram.compile(nodeEngine, { model, layout, maxTokens }, compile);
  const adapter = layout === undefined ? undefined : { layout, vector };
  const generation = await GenerationProgram.compile(nodeEngine, { model, adapter, maxPositions: maxTokens }, compile).catch(
    async (error: unknown) => {
      await loss.release();
      throw error;
    },
  );
  const release = async () => {
    await loss.release();
    await generation.release();
  };
  return { loss, generation, release };
}

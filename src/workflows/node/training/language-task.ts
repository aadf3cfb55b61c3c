import { measuringBatches } from "../../../data/batch.js";
import type { Example } from "../../../data/example.js";
import { InputError } from "../../../errors.js";
import type { TextCodec } from "../../../text/tokenizer.js";
import { meanLoss } from "../../../training/loss-program.js";
import { describeModel } from "../open-model.js";
import { encodeRun, readRunRows } from "../run-data.js";
import type { RunTask, TaskReader } from "./run-task.js";
import { measureTradeOff } from "./trade-off.js";

/** To answer like the examples: the next token is learned. */
export const readLanguageTask: TaskReader = async (settings, options) => {
  const rows = await readRunRows(settings, options);
  const described = await describeModel(settings.model, options);
  checkCodec(described.codec, settings.model);
  const { model, codec } = described;
  const data = await encodeRun(codec, rows, settings, model.dimensions.maxPositions, options);
  const task: RunTask<Example> = {
    learned: { model },
    data,
    notes: data.notes,
    config: { taskType: "CAUSAL_LM", trainedModules: [] },
    labelling: undefined,
    mostScoring: undefined,
    fresh: [],
    validate: async (examples, { program, trainables, batchSize, breathe }) => {
      const batches = [...measuringBatches(examples, batchSize)].map(({ batch }) => batch);
      return { loss: (await meanLoss(program, batches, trainables, breathe)).loss };
    },
    measure: (run, context) => measureTradeOff({ ...run, opened: { ...run.prepared.opened, model } }, context),
  };
  return { described, task };
};

/** The tokenizer must know where an answer ends, or the trained model never stops. */
function checkCodec(codec: TextCodec, model: string): void {
  if (codec.endOfTurnIds.length === 0) {
    throw new InputError(`${model}: its files name no token that ends an answer (eos_token). Add it to tokenizer_config.json.`);
  }
}

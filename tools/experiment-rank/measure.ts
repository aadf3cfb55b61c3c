import { readFile } from "node:fs/promises";
import { type Example, encodeRows } from "../../src/data/example.js";
import { longestRow } from "../../src/data/packing.js";
import { measureGeneral, type Probe } from "../../src/evaluation/general.js";
import { modelSubject } from "../../src/evaluation/model-subject.js";
import { parseCloze, parsePassages } from "../../src/evaluation/probe.js";
import { scoreSequences } from "../../src/evaluation/score.js";
import { holdsAdapter } from "../../src/lora/node/adapter-folder.js";
import { readFittingAdapter } from "../../src/workflows/node/adapter-place.js";
import { appliedTo } from "../../src/workflows/node/applied-adapter.js";
import { type OpenedModel, openModel } from "../../src/workflows/node/open-model.js";
import { PROBE_TOKENS } from "../../src/workflows/node/probe.js";
import { compileMeasures } from "../../src/workflows/node/training/programs.js";
import { type Pair, sourceRow } from "./e2e.js";
import { generalOf, lossesOf, type RunResult } from "./results.js";

const BATCH = 16;
const MAX_LENGTH = 512;
/** Every so many of the probe's questions are asked: they are sorted by skill, so each skill keeps its share. */
const EVERY = 4;

/** The general probe, with a quarter of its questions. */
export async function readShortProbe(): Promise<Probe> {
  const read = (name: string) => readFile(`assets/probe/${name}`, "utf8");
  return {
    questions: parseCloze(await read("cloze.jsonl"), "cloze.jsonl").filter((_, index) => index % EVERY === 0),
    passages: parsePassages(await read("general.jsonl"), "general.jsonl"),
  };
}

export const examplesOf = ({ codec }: OpenedModel, pairs: readonly Pair[]): readonly Example[] =>
  encodeRows(codec, pairs.map(sourceRow), { maxLength: MAX_LENGTH }).examples;

/** What is measured is always in fp32, whatever it was trained in. */
export const openMeasured = (model: string): Promise<OpenedModel> => openModel(model, { target: "cpu", precision: "fp32" });

/**
 * The losses of texts, and where asked the general probe, of a model or of what was trained from it.
 *
 * @param folder of an adapter, or of a whole model; undefined for the model as it is
 */
export async function measure(
  base: OpenedModel,
  folder: string | undefined,
  examples: readonly Example[],
  probe: Probe | undefined,
): Promise<Pick<RunResult, "losses" | "general">> {
  const isAdapter = folder !== undefined && (await holdsAdapter(folder));
  const opened = folder === undefined || isAdapter ? base : await openMeasured(folder);
  const placed = isAdapter ? await readFittingAdapter(folder, opened) : undefined;
  const adapter = placed === undefined ? undefined : await appliedTo(opened, placed.adapter);
  const vector = adapter?.vector ?? new Float32Array();
  const longest = examples.reduce((most, { ids }) => Math.max(most, ids.length), PROBE_TOKENS);
  const programs = await compileMeasures(opened, adapter?.layout, vector, longestRow(longest));
  try {
    const subject = modelSubject({ ...programs, trainables: vector, codec: opened.codec, batchSize: BATCH, breathe: async () => {} });
    return {
      losses: lossesOf(await scoreSequences(subject, examples, "example")),
      general: probe === undefined ? null : generalOf(await measureGeneral(subject, probe, opened.codec)),
    };
  } finally {
    await programs.release();
  }
}

import { type ClozeQuestion, parseCloze, parsePassages } from "../../evaluation/probe.js";
import { readAsset } from "./assets.js";

/** What the general probe asks: questions with choices, and passages of text. */
export interface Probe {
  readonly questions: readonly ClozeQuestion[];
  readonly passages: readonly string[];
}

/** Passages of the probe are no longer than this. */
export const PROBE_TOKENS = 512;

/** The general probe that comes with the package. */
export async function readProbe(): Promise<Probe> {
  return {
    questions: parseCloze(await readAsset("probe/cloze.jsonl"), "probe/cloze.jsonl"),
    passages: parsePassages(await readAsset("probe/general.jsonl"), "probe/general.jsonl"),
  };
}

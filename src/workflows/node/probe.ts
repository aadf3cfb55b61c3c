import type { Probe } from "../../evaluation/general.js";
import { parseCloze, parsePassages } from "../../evaluation/probe.js";
import { readAsset } from "./assets.js";

/** Passages of the probe are no longer than this, in tokens. */
export const PROBE_TOKENS = 512;

/** The general probe that comes with the package. */
export async function readProbe(): Promise<Probe> {
  return {
    questions: parseCloze(await readAsset("probe/cloze.jsonl"), "probe/cloze.jsonl"),
    passages: parsePassages(await readAsset("probe/general.jsonl"), "probe/general.jsonl"),
  };
}

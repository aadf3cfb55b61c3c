import type { TrainEvent } from "../../src/workflows/api.js";
import { runTraining, type TrainingRequest } from "../../src/workflows/node/training/run.js";
import { jsonlFile } from "./support.js";

export interface Watch {
  readonly signal?: AbortSignal;
  /** Sees every event as it is told; what it throws ends the run there, as a kill would. */
  readonly onEvent?: (event: TrainEvent) => void;
  readonly target?: TrainingRequest["target"];
}

/** A training run in this thread, so that a test can interfere with it; the events that it told. */
export async function runHere(options: Readonly<Record<string, unknown>>, watch: Watch = {}): Promise<TrainEvent[]> {
  const { signal = new AbortController().signal, onEvent, target = { kind: "held-out" } } = watch;
  const events: TrainEvent[] = [];
  const emit = (event: unknown) => {
    events.push(event as TrainEvent);
    onEvent?.(event as TrainEvent);
  };
  await runTraining({ options, target }, { signal, emit });
  return events;
}

export function ofType<Type extends TrainEvent["type"]>(events: readonly TrainEvent[], type: Type) {
  return events.filter((event): event is Extract<TrainEvent, { type: Type }> => event.type === type);
}

/** A file of questions, each with an answer of a few tokens; 40 rows leave 30 to learn from. */
export function questionsFile(rows = 40): Promise<string> {
  return jsonlFile(Array.from({ length: rows }, (_, row) => ({ prompt: `number ${row}`, completion: `${(row * 31) % 1000} and ${row}` })));
}

/** A file of texts, each with the label 0 or 1: classes for a classification, values for a regression. */
export function jsonlFileOfLabels(rows = 40): Promise<string> {
  return jsonlFile(Array.from({ length: rows }, (_, row) => ({ text: `number ${row}`, label: row % 2 })));
}

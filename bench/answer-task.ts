import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";

// What ours and the peer share when they answer: both are told a prompt as token ids, and print the same record.

export interface AnswerTask {
  readonly model: string;
  readonly precision: "fp32" | "int8";
  /** Token ids. */
  readonly prompt: readonly number[];
  readonly newTokens: number;
  readonly threads: number;
}

/** What a side prints: seconds up to the first new token, seconds for the others, and all of them. */
export interface AnswerMeasure {
  readonly first: number;
  readonly others: number;
  readonly ids: readonly number[];
}

export function readTask(): AnswerTask {
  const text = { type: "string", default: "" } as const;
  const options = { model: text, precision: text, prompt: text, "new-tokens": text, threads: text };
  const { values } = parseArgs({ options });
  return {
    model: values.model,
    precision: values.precision === "int8" ? "int8" : "fp32",
    prompt: JSON.parse(readFileSync(values.prompt, "utf8")),
    newTokens: Number(values["new-tokens"]),
    threads: Number(values.threads),
  };
}

/** Times an answer: the model's tokens one by one, the first after the whole prompt. */
export async function timeAnswer(tokens: AsyncIterable<number>, count: number): Promise<AnswerMeasure> {
  const ids: number[] = [];
  const started = performance.now();
  let firstAt = started;
  for await (const id of tokens) {
    if (ids.length === 0) firstAt = performance.now();
    ids.push(id);
    if (ids.length === count) break;
  }
  return { first: (firstAt - started) / 1000, others: (performance.now() - firstAt) / 1000, ids };
}

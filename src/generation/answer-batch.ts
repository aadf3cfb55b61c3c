import { createRandom } from "../data/random.js";
import type { GenerationProgram } from "./generation-program.js";
import { Row, type RowRequest, RunningBatch } from "./running-batch.js";

export interface BatchOptions {
  /** Rows that are answered together at most; the next takes the place of one that ended. */
  readonly together: number;
  readonly signal?: AbortSignal | undefined;
  /** Lets other work of the thread happen before each step. */
  readonly breathe?: (() => Promise<void>) | undefined;
}

/**
 * Answers requests together: one reading of the weights serves all of them. Each answer is what it would be alone, with limits, an adapter
 * and a random stream of its own. Requests begin in their order; where more wait than are answered together, the prompts of the next are
 * fed as soon as others have ended.
 *
 * @throws InputError when a prompt is empty or longer than the program's positions; RunError when the model computes NaN.
 */
export async function answerBatch(
  program: GenerationProgram,
  requests: readonly RowRequest[],
  { together, signal, breathe }: BatchOptions,
): Promise<void> {
  const rows = requests.map((request) => new Row(request, program.maxPositions));
  for (const { limit, request } of rows) if (limit === 0) request.onEnd("length");
  const waiting = rows.filter(({ limit }) => limit !== 0);
  let batch: RunningBatch | undefined;
  while (waiting.length > 0 || (batch?.live.length ?? 0) > 0) {
    await breathe?.();
    signal?.throwIfAborted();
    const next = waiting.splice(0, together - (batch?.live.length ?? 0));
    if (next.length > 0) {
      const begun = await RunningBatch.begin(program, next);
      batch = batch === undefined || batch.live.length === 0 ? begun : batch.joined(begun);
      continue;
    }
    if (batch === undefined) return;
    // An empty place is computed too: with as many of them as rows that go on, moving these is cheaper.
    if (batch.live.length * 2 <= batch.places) batch = batch.compacted();
    await batch.step();
  }
}

export interface CompleteOptions extends Omit<BatchOptions, "together"> {
  readonly maxNewTokens: number;
  readonly endIds: ReadonlySet<number>;
}

/** Greedy answers of a batch of prompts at once, as token ids; see `answerBatch`. */
export async function completeBatch(
  program: GenerationProgram,
  prompts: readonly (readonly number[])[],
  { maxNewTokens, endIds, ...options }: CompleteOptions,
): Promise<number[][]> {
  const answers: number[][] = prompts.map(() => []);
  const requests = prompts.map(
    (prompt, row): RowRequest => ({
      prompt,
      maxNewTokens,
      endIds,
      sampling: { temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1 },
      random: createRandom(0),
      onToken: (id) => (answers[row]?.push(id) ?? 0) > 0,
      onEnd: () => {},
    }),
  );
  await answerBatch(program, requests, { ...options, together: Math.max(1, prompts.length) });
  return answers;
}

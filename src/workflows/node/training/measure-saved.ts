import type { MeasureContext } from "./run-task.js";

/** How a person measures a run of a task that `eval` does not know. */
export const BY_RESUMING = "Resuming the run (--resume) measures again.";

/**
 * Measures a run that has ended. Its adapter is saved: a failure is told as a warning, and costs the run its figures alone.
 *
 * @param again how a person measures later what was not measured now
 */
export async function measureSaved<Measured>(
  measure: () => Promise<Measured>,
  { emit, signal }: MeasureContext,
  again: string,
): Promise<Measured | undefined> {
  try {
    return await measure();
  } catch (error) {
    const what = signal.aborted ? "was interrupted" : `failed: ${error instanceof Error ? error.message : String(error)}`;
    emit({ type: "warning", message: `The adapter is saved, but measuring it ${what}${/[.!?]$/.test(what) ? "" : "."} ${again}` });
    return undefined;
  }
}

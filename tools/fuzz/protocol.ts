/** To the process that reads: an input is there. */
export interface Task {
  readonly reader: string;
  readonly folder: string;
  readonly out: string;
}

/** From it: how it went. */
export interface Answer {
  /** It was read, refused in words, or something else was thrown. */
  readonly outcome: "read" | "refused" | "thrown";
  /** The message; with a stack where it should not have been thrown. */
  readonly words?: string;
  /** By how many bytes the process grew beyond what it had before. */
  readonly grown: number;
  /** Processor time of all its threads, seconds. */
  readonly seconds: number;
  /** Names that every object has since. */
  readonly polluted: readonly string[];
}

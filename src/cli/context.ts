import type { Workflows } from "../workflows/api.js";
import type { Interrupts } from "./interrupts.js";
import type { Io } from "./io.js";
import type { Screen } from "./screen.js";

/** What a running command may use. */
export interface Context {
  readonly io: Io;
  readonly screen: Screen;
  readonly interrupts: Interrupts;
  readonly workflows: Workflows;
}

/** The work of a command: its checked options in, the exit code out. */
export type CommandBody<Options> = (options: Options, context: Context) => Promise<number>;

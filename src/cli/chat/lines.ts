import { createInterface, type Interface } from "node:readline";
import type { Io } from "../io.js";

/** Lines as a person types them, or as a pipe brings them. */
export interface Lines {
  /** Shows the prompt and waits for the next line; undefined at the end of input. Lines that came early wait in order. */
  next(prompt: string): Promise<string | undefined>;
  /** Whether a person sits in front of it. */
  readonly interactive: boolean;
  /** Ends the lines at once; those that wait are dropped. */
  close(): void;
}

/** Reads lines with editing and history on a terminal; `onInterrupt` is called at a Ctrl-C there. */
export function openLines({ stdin, stdout }: Io, onInterrupt: () => void): Lines {
  const interactive = stdin.isTTY === true && stdout.isTTY === true;
  const readline: Interface = createInterface({
    input: stdin,
    output: interactive ? stdout : undefined,
    terminal: interactive,
    historySize: 200,
  });
  const waiting: string[] = [];
  let ended = false;
  let deliver: ((line: string | undefined) => void) | undefined;
  const settle = (line: string | undefined) => {
    const receiver = deliver;
    deliver = undefined;
    receiver?.(line);
  };
  readline.on("line", (line) => {
    if (deliver === undefined) waiting.push(line);
    else settle(line);
  });
  readline.on("close", () => {
    ended = true;
    settle(undefined);
  });
  readline.on("SIGINT", onInterrupt);
  return {
    interactive,
    next(prompt) {
      const early = waiting.shift();
      if (early !== undefined) return Promise.resolve(early);
      if (ended) return Promise.resolve(undefined);
      if (interactive) {
        readline.setPrompt(prompt);
        readline.prompt();
      }
      return new Promise((resolve) => {
        deliver = resolve;
      });
    },
    close() {
      waiting.length = 0;
      readline.close();
    },
  };
}

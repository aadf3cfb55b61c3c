import { createLogUpdate } from "log-update";
import type { Io, TerminalOutput } from "./io.js";
import { type Paint, painter, printable } from "./render/paint.js";

/** Where a command's output goes: results, notes, the live line, JSON. */
export interface Screen {
  /** The result, for people: standard output, or standard error when standard output carries JSON. */
  say(text: string): void;
  /** A piece of a text that is being written, without a line break; nothing with --json. */
  stream(piece: string): void;
  /** What happens on the way: standard error, nothing when quiet. */
  note(text: string): void;
  /** What a person must see: standard error, always. */
  warn(text: string): void;
  /** One line of JSON on standard output; nothing without --json. */
  json(value: unknown): void;
  /** Replaces the live line; nothing where standard error is no terminal. */
  live(text: string): void;
  endLive(): void;
  /** Whether there is a live line. */
  readonly isLive: boolean;
  /** Columns of the terminal that shows the live line. */
  readonly columns: number;
  /** Colours for `say`, and for `note`, `warn` and `live`. */
  readonly paint: Paint;
  readonly paintNotes: Paint;
}

export interface ScreenOptions {
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

/** The screen of one command. */
export function createScreen(io: Io, { json = false, quiet = false }: ScreenOptions): Screen {
  const isLive = io.stderr.isTTY === true && !quiet;
  const live = isLive ? createLogUpdate(io.stderr) : undefined;
  const write = (stream: TerminalOutput, text: string) => {
    live?.clear();
    stream.write(`${text}\n`);
  };
  const results = json ? io.stderr : io.stdout;
  return {
    say: (text) => write(results, text),
    stream: (piece) => {
      if (json) return;
      live?.clear();
      io.stdout.write(io.stdout.isTTY === true ? printable(piece) : piece);
    },
    note: (text) => {
      if (!quiet) write(io.stderr, text);
    },
    warn: (text) => write(io.stderr, text),
    json: (value) => {
      if (json) io.stdout.write(`${JSON.stringify(value)}\n`);
    },
    live: (text) => live?.(text),
    endLive: () => {
      live?.clear();
      live?.done();
    },
    isLive,
    get columns() {
      return io.stderr.columns || 80; // a terminal of unknown size says 0
    },
    paint: painter(results, io.env),
    paintNotes: painter(io.stderr, io.env),
  };
}

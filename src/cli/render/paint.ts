import { styleText } from "node:util";
import type { TerminalOutput } from "../io.js";

type Style = Parameters<typeof styleText>[0];

/** Colours a text, or leaves it as it is where colour is not wanted. */
export interface Paint {
  (style: Style, text: string): string;
  readonly hasColour: boolean;
}

/** Colours for a stream: on a terminal unless NO_COLOR is set (no-color.org); FORCE_COLOR turns them on anywhere. */
export function painter(stream: Pick<TerminalOutput, "isTTY">, env: Readonly<Record<string, string | undefined>>): Paint {
  const set = (name: string) => (env[name] ?? "") !== "";
  const hasColour = set("NO_COLOR")
    ? false
    : (set("FORCE_COLOR") && env.FORCE_COLOR !== "0") || (stream.isTTY === true && env.TERM !== "dumb");
  // Called without a stream, styleText may look at the process's own output; whether to colour was decided above.
  const paint = (style: Style, text: string) => (hasColour ? styleText(style, text, { validateStream: false }) : text);
  return Object.assign(paint, { hasColour });
}

/** Shows control characters as pictures (␛), so that text from a model or a file cannot steer the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd";
  });
}

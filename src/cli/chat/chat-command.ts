/** What a line of a chat means. */
export type ChatCommand =
  | { readonly kind: "say"; readonly text: string }
  | { readonly kind: "nothing" }
  | { readonly kind: "base" }
  | { readonly kind: "adapter"; readonly name: string | undefined }
  | { readonly kind: "reset" }
  | { readonly kind: "system"; readonly text: string | undefined }
  | { readonly kind: "help" }
  | { readonly kind: "exit" }
  | { readonly kind: "unknown"; readonly name: string };

export const chatHelp = [
  "/base            answer without an adapter",
  "/adapter [NAME]  answer with the adapter again, or with another one (a name, or a folder to load)",
  "/reset           forget the conversation",
  "/system TEXT     set the instruction before the conversation; without TEXT, remove it",
  "/help            this list",
  "/exit            leave (Ctrl-D does, too)",
  "Ctrl-C stops an answer. A line that begins with // is said with one /.",
].join("\n");

const names = ["base", "adapter", "reset", "system", "help", "exit"] as const;

export const chatCommandNames: readonly string[] = names.map((name) => `/${name}`);

/** Reads a line: a command begins with "/", everything else is said. */
export function readLine(line: string): ChatCommand {
  const text = line.trim();
  if (text === "") return { kind: "nothing" };
  if (text.startsWith("//")) return { kind: "say", text: text.slice(1) };
  if (!text.startsWith("/")) return { kind: "say", text };
  const [word = "", ...others] = text.slice(1).split(/\s+/);
  const rest = others.length === 0 ? undefined : text.slice(1 + word.length).trim();
  const name = names.find((each) => each === word);
  if (name === undefined) return { kind: "unknown", name: `/${word}` };
  if (name === "adapter") return { kind: name, name: rest };
  if (name === "system") return { kind: name, text: rest };
  return { kind: name };
}

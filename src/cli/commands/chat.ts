import type { ChatOptions } from "../../workflows/api.js";
import { readLine } from "../chat/chat-command.js";
import { type Conversation, startConversation } from "../chat/conversation.js";
import { type Lines, openLines } from "../chat/lines.js";
import type { CommandBody } from "../context.js";
import { exitCodes, explain } from "../failure.js";
import { progressReporter } from "../render/progress.js";
import type { Screen } from "../screen.js";
import { adapterList } from "./generate.js";

/** `lorikeet chat`: a conversation in the terminal; a pipe may bring the lines as well. */
export const body: CommandBody<ChatOptions> = async (options, { io, screen, interrupts, workflows }) => {
  const { model: name, adapter, system, precision, device, threads, ...sampling } = options;
  const adapters = adapterList(adapter);
  const onProgress = progressReporter(screen);
  const model = await workflows.loadModel(name, { adapters, precision, device, threads, signal: interrupts.signal, onProgress });
  screen.endLive();
  for (const note of model.notes) screen.warn(note);
  const conversation = startConversation({ model, system, sampling, workflows, screen });
  const lines = openLines(io, () => ctrlC.press());
  const ctrlC = ctrlCOf(conversation, lines, screen);
  const leave = () => {
    conversation.stopAnswer();
    lines.close();
  };
  interrupts.signal.addEventListener("abort", leave);
  // Between the lines of a script nobody waits: there Ctrl-C means the whole chat, as elsewhere.
  const release = lines.interactive ? interrupts.takeOver(ctrlC.press) : () => {};
  try {
    interrupts.signal.throwIfAborted();
    if (lines.interactive)
      screen.note(`${conversation.voice === "base" ? name : `${name} with ${conversation.voice}`}. /help lists the commands.`);
    await converse(conversation, lines, ctrlC.forget, screen);
  } finally {
    release();
    interrupts.signal.removeEventListener("abort", leave);
    lines.close();
    await model.dispose();
  }
  return interrupts.signal.aborted ? exitCodes.interrupted : exitCodes.done;
};

/** Takes line after line until one is the last. */
async function converse(conversation: Conversation, lines: Lines, onLine: () => void, screen: Screen): Promise<void> {
  for (let goesOn = true; goesOn; ) {
    const line = await lines.next(screen.paint("bold", `${conversation.voice} › `));
    if (line === undefined) return;
    onLine();
    try {
      goesOn = await conversation.handle(readLine(line));
    } catch (error) {
      if (!lines.interactive) throw error; // in a script a failure is a failure
      screen.warn(`${screen.paintNotes("red", "error:")} ${explain(error)}`);
    }
  }
}

/** Ctrl-C on a terminal: it stops an answer; at the prompt a first one says how to leave, a second before the next line leaves. */
function ctrlCOf(conversation: Conversation, lines: Lines, screen: Screen): { readonly press: () => void; readonly forget: () => void } {
  let warned = false;
  return {
    press() {
      if (conversation.isAnswering) return conversation.stopAnswer();
      if (warned) return lines.close();
      warned = true;
      screen.note("\nCtrl-C again, or /exit, leaves.");
    },
    forget() {
      warned = false;
    },
  };
}

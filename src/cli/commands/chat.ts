import type { ChatOptions } from "../../workflows/api.js";
import { readLine } from "../chat/chat-command.js";
import { startConversation } from "../chat/conversation.js";
import { openLines } from "../chat/lines.js";
import type { CommandBody } from "../context.js";
import { exitCodes, explain } from "../failure.js";
import { progressReporter } from "../render/progress.js";
import { adapterList } from "./generate.js";

/** `lorikeet chat`: a conversation in the terminal; a pipe may bring the lines as well. */
export const body: CommandBody<ChatOptions> = async (options, { io, screen, interrupts, workflows }) => {
  const { model: name, adapter, system, precision, device, threads, ...sampling } = options;
  const adapters = adapterList(adapter);
  const onProgress = progressReporter(screen);
  const model = await workflows.loadModel(name, { adapters, precision, device, threads, signal: interrupts.signal, onProgress });
  screen.endLive();
  const conversation = startConversation({ model, system, sampling, workflows, screen });

  let warned = false; // a first Ctrl-C at the prompt says how to leave, a second leaves
  const interrupted = () => {
    if (conversation.isAnswering) return conversation.stopAnswer();
    if (warned) return lines.close();
    warned = true;
    screen.note("\nCtrl-C again, or /exit, leaves.");
  };
  const lines = openLines(io, interrupted);
  const release = interrupts.takeOver(interrupted);
  try {
    if (lines.interactive)
      screen.note(`${conversation.voice === "base" ? name : `${name} with ${conversation.voice}`}. /help lists the commands.`);
    for (let goesOn = true; goesOn; ) {
      const line = await lines.next(screen.paint("bold", `${conversation.voice} › `));
      if (line === undefined) break;
      warned = false;
      try {
        goesOn = await conversation.handle(readLine(line));
      } catch (error) {
        if (!lines.interactive) throw error; // in a script a failure is a failure
        screen.warn(`${screen.paintNotes("red", "error:")} ${explain(error)}`);
      }
    }
  } finally {
    release();
    lines.close();
    await model.dispose();
  }
  return exitCodes.done;
};

import type { Message } from "../../workflows/api.js";

/** What was said in a conversation, and the instruction before it. */
export interface History {
  /** The instruction; undefined where there is none. It stays when the conversation is forgotten. */
  system: string | undefined;
  /** All that the model is shown when the person says this. */
  before(text: string): readonly Message[];
  keep(text: string, reply: string): void;
  forget(): void;
}

export function createHistory(system: string | undefined): History {
  const messages: Message[] = [];
  const turn = (text: string): Message => ({ role: "user", content: text });
  return {
    system,
    before(text) {
      const instruction = this.system === undefined ? [] : [{ role: "system", content: this.system }];
      return [...instruction, ...messages, turn(text)];
    },
    keep: (text, reply) => void messages.push(turn(text), { role: "assistant", content: reply }),
    forget: () => void messages.splice(0),
  };
}

import { encodeQuestion, encodeUserPrompt } from "../../data/example.js";
import { InputError } from "../../errors.js";
import { encodePrompt } from "../../text/rendering.js";
import type { Message, TextCodec } from "../../text/tokenizer.js";
import type { GenerateRequest } from "../api.js";

type Asked = Pick<GenerateRequest, "prompt" | "messages" | "tools">;

/**
 * The ids of what a model is asked, up to where its answer begins: the same that training sees before the answer.
 *
 * @throws InputError where there is nothing to ask, or where a part of it could not reach the model.
 */
export function promptIds(codec: TextCodec, { prompt, messages, tools }: Asked): number[] {
  if (messages === undefined && prompt !== undefined) return encodeUserPrompt(codec, prompt);
  if (messages === undefined || prompt !== undefined) throw new InputError("generate needs either a prompt or messages.");
  if (codec.chatTemplate === undefined) return bareIds(codec, messages);
  const ids = encodePrompt(codec, messages, { tools });
  if (losesInstruction(codec, messages, tools, ids)) {
    throw new InputError(
      "This model's chat template leaves out the instruction (the system message), so it would have no effect. Write it into the prompt instead.",
    );
  }
  return ids;
}

/** Without a template: a prompt, before which an instruction may stand, as bare text. */
function bareIds(codec: TextCodec, messages: readonly Message[]): number[] {
  const turns = messages.filter(({ role }) => role !== "system");
  const [instruction] = messages;
  const [turn, ...more] = turns;
  const system = instruction?.role === "system" ? instruction.content : undefined;
  const known = turn !== undefined && more.length === 0 && messages.length === (system === undefined ? 1 : 2);
  const question = known
    ? encodeQuestion(codec, { kind: "completion", prompt: turn.content, completion: "", ...(system === undefined ? {} : { system }) })
    : undefined;
  if (question === undefined)
    throw new InputError(
      "This model has no chat template, so it cannot take a conversation. Give a single prompt, with an instruction if need be.",
    );
  return question.ids;
}

/** Whether the template writes the same for another instruction. Comparing with none would not do: a template may have one of its own. */
function losesInstruction(codec: TextCodec, messages: readonly Message[], tools: Asked["tools"], ids: readonly number[]): boolean {
  const speaks = ({ role, content }: Message) => role === "system" && content.trim() !== "";
  if (!messages.some(speaks)) return false;
  const others = messages.map((message) => (speaks(message) ? { ...message, content: `${message.content} ${message.content}` } : message));
  return encodePrompt(codec, others, { tools }).join() === ids.join();
}

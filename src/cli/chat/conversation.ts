import { InputError } from "../../errors.js";
import type { LanguageModel, LoadedAdapter, Message, SamplingOptions, Workflows } from "../../workflows/api.js";
import { suggestion } from "../../workflows/parse-options.js";
import type { Screen } from "../screen.js";
import { type ChatCommand, chatCommandNames, chatHelp } from "./chat-command.js";

/** A conversation with a model whose adapters can be switched while it goes on. */
export interface Conversation {
  /** The name of the adapter that answers, or "base". */
  readonly voice: string;
  /** Whether an answer is being written. */
  readonly isAnswering: boolean;
  /** Does what a line means; false when it was the last. @throws what the model throws, the unanswered message forgotten. */
  handle(command: ChatCommand): Promise<boolean>;
  stopAnswer(): void;
}

interface Setting {
  readonly model: LanguageModel;
  readonly system: string | undefined;
  readonly sampling: SamplingOptions;
  readonly workflows: Workflows;
  readonly screen: Screen;
}

/** Begins a conversation, with the model's first adapter on if it has one. */
export function startConversation({ model, system: opening, sampling, workflows, screen }: Setting): Conversation {
  const adapters = [...model.adapters];
  let preferred = adapters[0];
  let current: LoadedAdapter | null = preferred ?? null;
  let system = opening;
  let messages: Message[] = [];
  let answering: AbortController | undefined;

  async function say(text: string): Promise<void> {
    const controller = new AbortController();
    const turn: Message = { role: "user", content: text };
    const before: readonly Message[] = system === undefined ? messages : [{ role: "system", content: system }, ...messages];
    let reply = "";
    answering = controller;
    try {
      const request = { ...sampling, messages: [...before, turn], adapter: current, signal: controller.signal };
      for await (const piece of workflows.generate(model, request)) {
        reply += piece;
        screen.stream(piece);
      }
    } catch (error) {
      if (!controller.signal.aborted) throw error;
    } finally {
      answering = undefined;
      screen.stream("\n");
    }
    if (controller.signal.aborted) screen.note(screen.paintNotes("dim", "(stopped)"));
    // A stopped answer stays as far as it came, so that the conversation reads as the person saw it.
    if (reply !== "") messages.push(turn, { role: "assistant", content: reply });
  }

  async function switchTo(name: string | undefined): Promise<void> {
    if (name === undefined) {
      if (preferred === undefined) throw new InputError("no adapter is loaded; /adapter DIR loads one");
      current = preferred;
    } else {
      const known = adapters.find((each) => each.name === name || each.directory === name);
      current = known ?? (await workflows.loadAdapter(model, name));
      if (known === undefined) adapters.push(current);
      preferred = current;
    }
    screen.note(`${current.name} answers (rank ${current.rank}, ${current.layers} layers).`);
  }

  return {
    get voice() {
      return current?.name ?? "base";
    },
    get isAnswering() {
      return answering !== undefined;
    },
    stopAnswer: () => answering?.abort(new DOMException("stopped", "AbortError")),
    async handle(command) {
      switch (command.kind) {
        case "nothing":
          return true;
        case "say":
          await say(command.text);
          return true;
        case "base":
          current = null;
          screen.note("The model answers without an adapter.");
          return true;
        case "adapter":
          await switchTo(command.name);
          return true;
        case "reset":
          messages = [];
          screen.note("The conversation is forgotten.");
          return true;
        case "system":
          system = command.text;
          screen.note(system === undefined ? "There is no instruction now." : "The instruction is set.");
          return true;
        case "help":
          screen.note(chatHelp);
          return true;
        case "exit":
          return false;
        case "unknown":
          throw new InputError(`there is no ${command.name}${suggestion(command.name, chatCommandNames)}`);
        default:
          return command satisfies never;
      }
    },
  };
}

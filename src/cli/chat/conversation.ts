import { InputError } from "../../errors.js";
import type { LanguageModel, SamplingOptions, Workflows } from "../../workflows/api.js";
import { suggestion } from "../../workflows/parse-options.js";
import type { Screen } from "../screen.js";
import { type ChatCommand, chatCommandNames, chatHelp } from "./chat-command.js";
import { createHistory, type History } from "./history.js";
import { createVoices, type Voices } from "./voices.js";

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
export function startConversation(setting: Setting): Conversation {
  const { model, workflows } = setting;
  const voices = createVoices(model, (directory) => workflows.loadAdapter(model, directory));
  const history = createHistory(setting.system);
  let answering: AbortController | undefined;

  async function say(text: string): Promise<void> {
    answering = new AbortController();
    try {
      await answer(text, voices, history, setting, answering.signal);
    } finally {
      answering = undefined;
    }
  }

  return {
    get voice() {
      return voices.current?.name ?? "base";
    },
    get isAnswering() {
      return answering !== undefined;
    },
    stopAnswer: () => answering?.abort(new DOMException("stopped", "AbortError")),
    async handle(command) {
      if (command.kind === "exit") return false;
      if (command.kind === "say") await say(command.text);
      else await steer(command, voices, history, setting.screen);
      return true;
    },
  };
}

/** Streams the answer to what a person says. A stopped one stays as far as it came, so that the conversation reads as the person saw it. */
async function answer(
  text: string,
  voices: Voices,
  history: History,
  { model, sampling, workflows, screen }: Setting,
  signal: AbortSignal,
): Promise<void> {
  let reply = "";
  try {
    const request = { ...sampling, messages: history.before(text), adapter: voices.current, signal };
    for await (const piece of workflows.generate(model, request)) {
      reply += piece;
      screen.stream(piece);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    screen.stream("\n");
  }
  if (signal.aborted) screen.note(screen.paintNotes("dim", "(stopped)"));
  if (reply !== "") history.keep(text, reply);
}

/** Does what a line means that says nothing to the model. */
async function steer(
  command: Exclude<ChatCommand, { readonly kind: "say" | "exit" }>,
  voices: Voices,
  history: History,
  { note }: Pick<Screen, "note">,
): Promise<void> {
  switch (command.kind) {
    case "nothing":
      return;
    case "base":
      voices.useBase();
      return note("The model answers without an adapter.");
    case "adapter": {
      const { name, rank, layers } = await voices.useAdapter(command.name);
      return note(`${name} answers (rank ${rank}, ${layers} layers).`);
    }
    case "reset":
      history.forget();
      return note("The conversation is forgotten.");
    case "system":
      history.system = command.text;
      return note(command.text === undefined ? "There is no instruction now." : "The instruction is set.");
    case "help":
      return note(chatHelp);
    case "unknown":
      throw new InputError(`there is no ${command.name}${suggestion(command.name, chatCommandNames)}`);
    default:
      return command satisfies never;
  }
}

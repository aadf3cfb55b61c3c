import { Template } from "@huggingface/jinja";
import { InputError, reasonOf } from "../errors.js";
import { constantGenerationPrompt } from "./generation-prompt.js";
import { callStripFunctions, stripFunctions } from "./strip-methods.js";
import { boundedSteps, countSteps } from "./template-steps.js";
import type { Message, TextCodec } from "./tokenizer.js";

export interface RenderOptions {
  readonly tools?: readonly unknown[] | undefined;
  /** Ends the text where the model is to answer. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables that the template may ask for, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

interface Compiled {
  readonly template: Template;
  readonly generationPrompt: string | undefined;
}

/** Templates of models have some thousands. Reading a long text in one takes many times its room. */
const MAX_CHARACTERS = 500_000;

const compiled = new Map<string, Compiled>();

function compile(source: string): Compiled {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  if (source.length > MAX_CHARACTERS) {
    throw new InputError(`The model's chat template has ${source.length} characters; at most ${MAX_CHARACTERS} are read.`);
  }
  try {
    const template = new Template(source);
    callStripFunctions(template.parsed);
    if (compiled.size >= 16) compiled.clear();
    const made = { template, generationPrompt: constantGenerationPrompt(template.parsed) };
    countSteps(template.parsed);
    compiled.set(source, made);
    return made;
  } catch (cause) {
    throw new InputError(`The model's chat template is not a template that can be read: ${reasonOf(cause, "a part of it has no end")}`, {
      cause,
    });
  }
}

/** The template that applies: the one for tools when there are tools and the checkpoint has one. @throws InputError when there is none. */
export function templateSource(codec: TextCodec, tools: readonly unknown[] | undefined): string {
  const source = tools !== undefined && tools.length > 0 ? (codec.toolTemplate ?? codec.chatTemplate) : codec.chatTemplate;
  if (source === undefined) {
    throw new InputError(
      "This model has no chat template, so conversations cannot be written for it. " +
        'Use rows of the form {"prompt", "completion"} or {"text"}, or an instruction-tuned ("Instruct", "Chat") version of the model.',
    );
  }
  return source;
}

/** The library's word for it. */
const noFunction = /^Cannot call something that is not a function: got \w+$/;

/** Runs a template. @throws InputError with the template's own complaint (roles that do not alternate, and the like). */
export function runTemplate(source: string, codec: TextCodec, messages: readonly Message[], options: RenderOptions): string {
  const { template } = compile(source);
  try {
    return template.render({
      ...stripFunctions,
      ...boundedSteps(messages.length),
      ...options.variables,
      ...codec.namedTokens,
      messages,
      tools: options.tools !== undefined && options.tools.length > 0 ? options.tools : null,
      documents: null,
      add_generation_prompt: options.addGenerationPrompt ?? false,
    });
  } catch (cause) {
    const roles = messages.map((m) => m.role).join(", ");
    const reason = reasonOf(cause, "it uses a value that is not there, or calls itself without end");
    throw new InputError(
      `The model's chat template refuses this conversation (${roles}): ${reason.replace(noFunction, "it calls what is no function")}`,
      { cause },
    );
  }
}

/** The conversation as the model's own template writes it. @throws InputError when the template refuses it. */
export function renderChat(codec: TextCodec, messages: readonly Message[], options: RenderOptions = {}): string {
  return runTemplate(templateSource(codec, options.tools), codec, messages, options);
}

/**
 * What a template writes to have the assistant answer (`<|im_start|>assistant\n`), where it is the same after every conversation and
 * need not be found by rendering; undefined elsewhere.
 */
export const generationPromptOf = (source: string): string | undefined => compile(source).generationPrompt;

const generationTag = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;

export const hasGenerationTags = (source: string): boolean => /\{%-?\s*generation\s*-?%\}/.test(source);

/**
 * The template with its `{% generation %}` … `{% endgeneration %}` printing the two markers. A pair of `if` tags keeps the
 * tag's own treatment of whitespace (trimming dashes, the newline after a tag, the spaces before it).
 * The tag: Hugging Face transformers, "assistant masks" of `apply_chat_template`.
 */
export function withGenerationMarkers(source: string, open: string, close: string): string {
  return source.replace(generationTag, (_tag, left: string, end: string | undefined, right: string) => {
    return `{%${left} if true %}{{ "${end === undefined ? open : close}" }}{% endif ${right}%}`;
  });
}

/** What Ollama is told of a model. */
export interface OllamaModel {
  /** The base: a GGUF file, or a folder with safetensors. */
  readonly from: string;
  /** What is put beside it; none for a merged model. */
  readonly adapter?: string;
  /** Texts of the tokens that end an answer. */
  readonly stops: readonly string[];
}

/**
 * The text of a Modelfile. It has no TEMPLATE: Ollama's are Go programs, a chat template is a Jinja program, and Ollama takes it from the
 * base by itself.                                                https://github.com/ollama/ollama/blob/main/docs/modelfile.md
 */
export function modelfile({ from, adapter, stops }: OllamaModel): string {
  const lines = [
    "# ollama create NAME -f Modelfile",
    ...(adapter === undefined ? [] : ["# FROM must be the very model that the adapter was trained for; its name in Ollama does as well."]),
    `FROM ${from}`,
    ...(adapter === undefined ? [] : [`ADAPTER ${adapter}`]),
    ...stops.map((stop) => `PARAMETER stop ${quoted(stop)}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** Ollama knows no escapes: a text with a quotation mark stands between three. */
function quoted(text: string): string {
  return /["\n]/.test(text) ? `"""${text}"""` : `"${text}"`;
}

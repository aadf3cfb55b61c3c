import { InputError } from "../../errors.js";
import type { LanguageModel, LoadedAdapter } from "../../workflows/api.js";

/** Who answers in a conversation: the model as it is, or with one of its adapters. */
export interface Voices {
  /** The adapter that answers; null for the model as it is. */
  readonly current: LoadedAdapter | null;
  useBase(): void;
  /** Lets an adapter answer: the one that answered before the base, or that of a name or a folder, which is loaded if need be. */
  useAdapter(name: string | undefined): Promise<LoadedAdapter>;
}

/** The model's first adapter answers to begin with, if it has one. */
export function createVoices(model: LanguageModel, load: (directory: string) => Promise<LoadedAdapter>): Voices {
  const adapters = [...model.adapters];
  let preferred = adapters[0];
  let current: LoadedAdapter | null = preferred ?? null;

  async function chosen(name: string | undefined): Promise<LoadedAdapter> {
    if (name !== undefined) return adapters.find((each) => each.name === name || each.directory === name) ?? (await load(name));
    if (preferred === undefined) throw new InputError("no adapter is loaded; /adapter DIR loads one");
    return preferred;
  }

  return {
    get current() {
      return current;
    },
    useBase() {
      current = null;
    },
    async useAdapter(name) {
      const adapter = await chosen(name);
      if (!adapters.some(({ directory }) => directory === adapter.directory)) adapters.push(adapter);
      preferred = adapter;
      current = adapter;
      return adapter;
    },
  };
}

import { InputError, RunError } from "../../errors.js";

/**
 * Looks on the Hub for what does not exist on this machine. What the Hub says is said of a name that may have been meant for a file or a folder.
 *
 * @param what in words, such as "an adapter"
 */
export async function fromTheHub<Found>(name: string, what: string, find: (name: string) => Promise<Found>): Promise<Found> {
  if (name.startsWith("hf://")) return await find(name); // nothing else was meant
  try {
    return await find(name);
  } catch (error) {
    const Class = error instanceof InputError ? InputError : error instanceof RunError ? RunError : undefined;
    if (Class === undefined || !(error instanceof Error)) throw error;
    throw new Class(`${name} does not exist here, and as the name of ${what} on the Hub: ${error.message}`, { cause: error });
  }
}

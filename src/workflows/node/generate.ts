import type { GenerateRequest, LanguageModel } from "../api.js";
import { clientOf } from "./load-model.js";
import type { HostedRequest } from "./model-host.js";

/**
 * Writes an answer and yields its text as it grows. Leaving the loop stops the work. Requests to one model are answered one
 * after the other.
 *
 * @throws InputError where the request is wrong; the reason of the signal when it is aborted.
 */
export async function* generate(model: LanguageModel, { adapter, signal, ...request }: GenerateRequest): AsyncGenerator<string> {
  const chosen = adapter === undefined ? (model.adapters[0]?.directory ?? null) : (adapter?.directory ?? null);
  const hosted: HostedRequest = { ...request, adapter: chosen };
  for await (const piece of clientOf(model).stream("generate", hosted, signal)) yield String(piece);
}

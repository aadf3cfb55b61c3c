import { InputError } from "../../errors.js";
import type { BatchOptions, BatchPiece, BatchRequest, GenerateRequest, LanguageModel } from "../api.js";
import { batchSet, inCode, parseOptions } from "../options.js";
import { clientOf } from "./load-model.js";
import type { HostedBatch, HostedRequest } from "./model-host.js";

/**
 * Writes an answer and yields its text as it grows. Leaving the loop stops the work. Requests to one model are answered one
 * after the other.
 *
 * @throws InputError where the request is wrong; the reason of the signal when it is aborted.
 */
export async function* generate(model: LanguageModel, { signal, ...request }: GenerateRequest): AsyncGenerator<string> {
  for await (const piece of clientOf(model).stream("generate", hosted(model, request), signal)) yield String(piece);
}

/**
 * Answers several requests together, each with an adapter of its own or with none, and yields their texts as they grow, in pieces that name
 * their rows. The answers are those that `generate` gives. Leaving the loop stops the work.
 *
 * @throws InputError that names the request that is wrong, before anything is answered; the reason of the signal when it is aborted.
 */
export async function* generateBatch(
  model: LanguageModel,
  requests: readonly BatchRequest[],
  { signal, ...options }: BatchOptions = {},
): AsyncGenerator<BatchPiece> {
  if (!Array.isArray(requests)) throw new InputError("generateBatch takes a list of requests.");
  const batch: HostedBatch = { ...parseOptions(batchSet, options, inCode), requests: requests.map((request) => hosted(model, request)) };
  for await (const piece of clientOf(model).stream("generateBatch", batch, signal)) yield piece as BatchPiece;
}

function hosted(model: LanguageModel, { adapter, ...request }: BatchRequest): HostedRequest {
  const chosen = adapter === undefined ? model.adapters[0] : adapter;
  return { ...request, adapter: typeof chosen === "string" ? chosen : (chosen?.directory ?? null) };
}

import { InputError } from "../../errors.js";
import type { GeluKind } from "../../ops/gelu.js";
import type { ConfigReader } from "../config-reader.js";

/** transformers' names of the kinds; those of the tangent differ in how they round. */
const kinds: Readonly<Record<string, GeluKind>> = {
  gelu: "erf",
  gelu_new: "tanh",
  gelu_pytorch_tanh: "tanh",
  gelu_fast: "tanh",
};

/**
 * The kind of GELU that a field of a configuration names.
 *
 * @throws InputError for another activation, with those that are supported.
 */
export function readGeluKind(config: ConfigReader, field: string, fallback: string): GeluKind {
  const name = config.text(field, fallback);
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
  if (kind !== undefined) return kind;
  throw new InputError(`config.json: "${field}" is "${name}"; supported here are ${Object.keys(kinds).join(", ")}`);
}

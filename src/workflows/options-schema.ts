import * as z from "zod";
import { infoOf, type Shape } from "./parse-options.js";

/** A JSON schema, draft 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * The JSON schema of a file of options, for editors: names, kinds, bounds, defaults and the words of help. Nothing is required, since
 * flags may give what the file leaves out.
 *
 * @param exclusive sets of options of which a file gives one at most
 */
export function optionsSchema(shape: Shape, title: string, exclusive: readonly (readonly string[])[]): JsonSchema {
  const pairs = exclusive.flatMap((names) => names.flatMap((name, index) => names.slice(index + 1).map((other) => [name, other])));
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title,
    type: "object",
    properties: Object.fromEntries(Object.entries(shape).map(([name, declared]) => [name, propertySchema(declared, shape, name)])),
    additionalProperties: false,
    allOf: pairs.map((required) => ({ not: { required } })),
  };
}

function propertySchema(declared: z.ZodType, shape: Shape, name: string): JsonSchema {
  const { $schema: _draft, ...schema } = z.toJSONSchema(declared, { io: "input", override: forgetReadOnly });
  const { help, unit, without } = infoOf(shape, name);
  const details = [unit === undefined ? "" : `In ${unit}.`, without === undefined ? "" : `Default: ${without}.`];
  return { ...schema, description: [help, ...details].filter((part) => part !== "").join(" ") };
}

/** In a file nothing is read-only: it is TypeScript that must not write into what a caller handed over. */
const forgetReadOnly: NonNullable<z.core.ToJSONSchemaParams["override"]> = ({ jsonSchema }) => {
  delete jsonSchema.readOnly;
};

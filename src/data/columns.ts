/** What a file calls the columns of its rows: the name that Lorikeet knows → the file's. */
export type Columns = Readonly<Record<string, string>>;

/** The names by which rows are recognised, and whether a row may lack what has them. */
const names: Readonly<Record<string, "needed" | "optional">> = {
  messages: "needed",
  conversations: "needed",
  prompt: "needed",
  completion: "needed",
  instruction: "needed",
  input: "optional",
  output: "needed",
  system: "optional",
  text: "needed",
  text_pair: "optional",
  label: "optional",
  tokens: "needed",
  anchor: "needed",
  positive: "needed",
  negative: "optional",
  labels: "optional",
  tools: "optional",
  chat_template_kwargs: "optional",
};

/** The names that columns can be given. */
export const columnNames: readonly string[] = Object.keys(names);

type Fields = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

const keysOf = (fields: Fields) =>
  Object.keys(fields)
    .slice(0, 12)
    .map((key) => JSON.stringify(key))
    .join(", ") || "no keys";

/**
 * A row under Lorikeet's names, or what is wrong with it. Where columns are named, it is made of these and of nothing else, so that
 * another column cannot decide what it is taken for.
 */
export function namedRow(value: unknown, columns: Columns | undefined): { readonly value: unknown } | { readonly problem: string } {
  if (columns === undefined || !isRecord(value)) return { value };
  const row: Record<string, unknown> = {};
  for (const [name, column] of Object.entries(columns)) {
    if (Object.hasOwn(value, column)) row[name] = value[column];
    else if (names[name] === "needed")
      return { problem: `expected the column ${JSON.stringify(column)}, which is to be "${name}", found ${keysOf(value)}` };
  }
  return { value: row };
}

/** What a row has in the column by which rows are grouped. */
export function groupOf(value: unknown, column: string): { readonly group: string } | { readonly problem: string } {
  const found = isRecord(value) && Object.hasOwn(value, column) ? value[column] : undefined;
  if ((typeof found === "string" && found !== "") || typeof found === "number" || typeof found === "boolean")
    return { group: String(found) };
  return {
    problem: `expected a text or a number in the column ${JSON.stringify(column)}, by which rows are grouped, found ${isRecord(value) && found === undefined ? keysOf(value) : JSON.stringify(found)}`,
  };
}

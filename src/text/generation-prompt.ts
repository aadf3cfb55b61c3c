/** A node of a parsed template: plain objects with a `type`. */
interface Node {
  readonly type?: unknown;
  readonly value?: unknown;
  readonly test?: unknown;
  readonly body?: unknown;
  readonly alternate?: unknown;
}

const FLAG = "add_generation_prompt";

const isFlag = ({ type, value }: Node): boolean => type === "Identifier" && value === FLAG;

/** How often a template asks whether the assistant is to answer. */
function countFlags(node: unknown): number {
  if (typeof node !== "object" || node === null) return 0;
  return Object.values(node).reduce((sum: number, inner) => sum + countFlags(inner), Number(isFlag(node)));
}

/**
 * What a parsed template writes to have the assistant answer, where it is the same after every conversation: the template ends with
 * `{% if add_generation_prompt %}` around plain text, and asks for it nowhere else. Undefined where that cannot be seen.
 */
export function constantGenerationPrompt(program: unknown): string | undefined {
  const statements = (program as Node).body;
  const last: Node | undefined = Array.isArray(statements) ? statements.at(-1) : undefined;
  if (last?.type !== "If" || !isFlag((last.test ?? {}) as Node) || countFlags(program) !== 1) return undefined;
  const [body, alternate] = [last.body as readonly Node[], last.alternate as readonly unknown[]];
  const isText = body.every(({ type, value }) => type === "StringLiteral" && typeof value === "string");
  return isText && alternate.length === 0 ? body.map(({ value }) => value).join("") : undefined;
}

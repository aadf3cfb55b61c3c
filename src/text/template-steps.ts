import { Template } from "@huggingface/jinja";

/** Rounds of loops and calls of macros, and as many more for each pair of messages: a template may compare each with all others. */
const [MAX_STEPS, STEPS_OF_PAIR] = [100_000, 10] as const;

/** Names that no template can write. */
const [STEP, RANGE] = ["\uE000step", "\uE000range"];

/** A node of a parsed template: plain objects with a `type`. */
interface Node {
  readonly type?: unknown;
  value?: unknown;
  readonly computed?: unknown;
  body?: unknown;
}

const call = new Template("{{ step() }}").parsed.body[0] as unknown as { readonly callee: Node };

/** Makes each round of a loop, each macro and each list of numbers in a parsed template call the functions of `boundedSteps`, in place. */
export function countSteps(node: unknown): void {
  if (typeof node !== "object" || node === null) return;
  const { type, body } = node as Node;
  if ((type === "For" || type === "Macro") && Array.isArray(body)) body.unshift({ ...call, callee: { ...call.callee, value: STEP } });
  if (type === "Identifier" && (node as Node).value === "range") (node as Node).value = RANGE;
  for (const [key, inner] of Object.entries(node)) if (!isName(node, key)) countSteps(inner);
}

/** Whether an identifier at this place is a word after a dot, or that of a named argument. */
const isName = (node: Node, key: string): boolean =>
  (node.type === "MemberExpression" && key === "property" && node.computed !== true) ||
  (node.type === "KeywordArgumentExpression" && key === "key");

/** The functions for one conversation. They throw where a template does not come to an end. */
export function boundedSteps(messages: number): Readonly<Record<string, (...numbers: number[]) => unknown>> {
  const most = MAX_STEPS + STEPS_OF_PAIR * messages ** 2;
  let steps = 0;
  const take = (count: number) => {
    steps += count;
    if (!(steps <= most)) throw new Error(`it takes more than ${most} steps`);
  };
  return {
    [STEP]: () => take(1),
    /** That of Python. */
    [RANGE]: (first = 0, last, step = 1) => {
      const [from, to] = last === undefined ? [0, first] : [first, last];
      if (step === 0) throw new Error("range() step must not be zero");
      const length = Math.max(0, Math.ceil((to - from) / step));
      take(length);
      return Array.from({ length }, (_, index) => from + index * step);
    },
  };
}

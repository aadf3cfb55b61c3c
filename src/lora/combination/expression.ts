import { InputError } from "../../errors.js";

/** An adapter by its name, and what it is multiplied by. */
export interface Term {
  readonly name: string;
  readonly weight: number;
}

/** A sum of adapters, each times a number; without any it is a plain number. */
interface Value {
  readonly number: number;
  /** In the order in which the names are met. */
  readonly terms: ReadonlyMap<string, number>;
}

interface Token {
  readonly kind: "number" | "name" | "sign" | "end";
  readonly text: string;
  readonly at: number;
}

/** A longer one is no expression. */
const MAX_CHARACTERS = 10_000;
/** Parentheses within one another. */
const MAX_DEPTH = 100;

const tokenForms = [
  ["number", /^(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/],
  ["name", /^[\p{L}_][\p{L}\p{N}_.]*/u],
  ["sign", /^[-+*/()]/],
] as const;

/**
 * Reads a sum of adapters, such as `style + 0.5*domain - base_bias`: names, numbers, + - * / and parentheses. A name that holds other
 * characters, or a path, stands in quotation marks. Each name comes once, with the sum of its factors.
 *
 * @throws InputError with a caret at the place that is wrong
 */
export function parseExpression(text: string): Term[] {
  const { number, terms } = new Parser(text).whole();
  if (terms.size === 0) throw problem(text, 0, `expected a sum of adapters, found the number ${number}`);
  return [...terms].map(([name, weight]) => ({ name, weight }));
}

class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokensOf(text);
  }

  whole(): Value {
    const value = this.#sum();
    const rest = this.#peek();
    if (rest.kind !== "end") throw this.#wrong(rest, "expected +, - or the end");
    return value;
  }

  #sum(): Value {
    let value = this.#product();
    for (let sign = this.#take("+", "-"); sign !== undefined; sign = this.#take("+", "-")) {
      const right = this.#product();
      if (value.terms.size === 0 || right.terms.size === 0) {
        if (value.terms.size + right.terms.size > 0)
          throw this.#wrong(sign, "a number and an adapter cannot be added; multiply them (0.5*name)", false);
      }
      value = sum(value, scaled(right, sign.text === "-" ? -1 : 1));
    }
    return value;
  }

  #product(): Value {
    let value = this.#signed();
    for (let sign = this.#take("*", "/"); sign !== undefined; sign = this.#take("*", "/")) {
      const right = this.#signed();
      if (sign.text === "/" && right.terms.size > 0) throw this.#wrong(sign, "nothing is divided by an adapter", false);
      if (sign.text === "/" && right.number === 0) throw this.#wrong(sign, "nothing is divided by zero", false);
      if (value.terms.size > 0 && right.terms.size > 0)
        throw this.#wrong(sign, "an adapter is multiplied by numbers, not by an adapter", false);
      if (sign.text === "/") value = scaled(value, 1 / right.number);
      else value = right.terms.size > 0 ? scaled(right, value.number) : scaled(value, right.number);
    }
    return value;
  }

  #signed(): Value {
    let factor = 1;
    for (let sign = this.#take("+", "-"); sign !== undefined; sign = this.#take("+", "-")) if (sign.text === "-") factor = -factor;
    return scaled(this.#atom(), factor);
  }

  #atom(): Value {
    const token = this.#peek();
    if (token.kind === "name" || token.kind === "number") this.#next++;
    if (token.kind === "name") return { number: 0, terms: new Map([[token.text, 1]]) };
    if (token.kind === "number") return { number: this.#finite(token), terms: new Map() };
    if (this.#take("(") === undefined) throw this.#wrong(token, "expected a name, a number or (");
    if (++this.#depth > MAX_DEPTH) throw this.#wrong(token, `more than ${MAX_DEPTH} parentheses lie within one another`, false);
    const value = this.#sum();
    if (this.#take(")") === undefined) throw this.#wrong(this.#peek(), "expected )");
    this.#depth--;
    return value;
  }

  #finite(token: Token): number {
    const value = Number(token.text);
    if (!Number.isFinite(value)) throw this.#wrong(token, "the number is too large", false);
    return value;
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? { kind: "end", text: "", at: this.#text.length };
  }

  #take(...signs: readonly string[]): Token | undefined {
    const token = this.#peek();
    if (token.kind !== "sign" || !signs.includes(token.text)) return undefined;
    this.#next++;
    return token;
  }

  #wrong({ kind, text, at }: Token, what: string, showsFound = true): InputError {
    const found = showsFound ? `, found ${kind === "end" ? "the end" : JSON.stringify(text)}` : "";
    return problem(this.#text, at, what + found);
  }
}

function tokensOf(text: string): Token[] {
  if (text.length > MAX_CHARACTERS)
    throw new InputError(`An expression of ${text.length} characters is too long; at most ${MAX_CHARACTERS} are read.`);
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const space = /^\s+/.exec(text.slice(at))?.[0].length ?? 0;
    at += space;
    if (at >= text.length) break;
    const token = quoted(text, at) ?? plainToken(text, at);
    if (token === undefined)
      throw problem(
        text,
        at,
        `${JSON.stringify([...text.slice(at)][0])} means nothing here; a name with such characters stands in quotation marks`,
      );
    tokens.push(token);
    at += token.length;
  }
  return tokens;
}

function plainToken(text: string, at: number): (Token & { length: number }) | undefined {
  const rest = text.slice(at);
  for (const [kind, form] of tokenForms) {
    const found = form.exec(rest)?.[0];
    if (found !== undefined) return { kind, text: found, at, length: found.length };
  }
  return undefined;
}

function quoted(text: string, at: number): (Token & { length: number }) | undefined {
  const mark = text.charAt(at);
  if (mark !== '"' && mark !== "'") return undefined;
  const end = text.indexOf(mark, at + 1);
  if (end < 0) throw problem(text, at, "the quotation mark is not closed");
  if (end === at + 1) throw problem(text, at, "a name has at least one character");
  return { kind: "name", text: text.slice(at + 1, end), at, length: end + 1 - at };
}

function sum(left: Value, right: Value): Value {
  const terms = new Map(left.terms);
  for (const [name, weight] of right.terms) terms.set(name, (terms.get(name) ?? 0) + weight);
  return { number: left.number + right.number, terms };
}

function scaled({ number, terms }: Value, factor: number): Value {
  return { number: number * factor, terms: new Map([...terms].map(([name, weight]) => [name, weight * factor])) };
}

/** Characters of the expression that a message shows before and behind the place. */
const SHOWN = 60;

function problem(text: string, at: number, what: string): InputError {
  const from = Math.max(0, at - SHOWN);
  const [head, tail] = [text.slice(from, at), text.slice(at, at + SHOWN)].map((part) => part.replace(/\s/g, " "));
  const cut = from > 0 ? "…" : "";
  return new InputError(
    `The expression is wrong at character ${at + 1}: ${what}.\n  ${cut}${head}${tail}\n  ${" ".repeat([...(cut + head)].length)}^`,
  );
}

import { type AST, RegExpParser } from "@eslint-community/regexpp";

// A regular expression as instructions, after K. Thompson, "Regular Expression Search Algorithm", 1968, and R. Cox, "Regular Expression
// Matching: the Virtual Machine Approach", 2009 (https://swtch.com/~rsc/regexp/regexp2.html).

/** One step of a match. `slot`: where its outcome at a place is remembered. */
export type Instruction =
  | { readonly kind: "character"; readonly takes: (character: string) => boolean; readonly backward: boolean }
  | { readonly kind: "split"; readonly slot: number; first: number; second: number }
  | { readonly kind: "jump"; to: number }
  | { readonly kind: "assert"; readonly holds: (text: string, at: number) => boolean }
  /** The body stands behind it and ends with a match; its own slots are those from `firstSlot` up to `slot`. */
  | { readonly kind: "look"; slot: number; readonly firstSlot: number; readonly negate: boolean; next: number }
  | { readonly kind: "match" };

export interface Program {
  readonly instructions: readonly Instruction[];
  readonly slots: number;
  /** Places are between code points rather than between UTF-16 units. */
  readonly unicode: boolean;
  /** It has a lookbehind, and so may look at what stands before a start. */
  readonly looksBack: boolean;
}

export interface PatternFlags {
  readonly unicode?: boolean;
  /** `.` takes line breaks too. */
  readonly dotAll?: boolean;
}

/** As many instructions as a counted repetition of a counted repetition may become. */
const MAX_INSTRUCTIONS = 20_000;

interface Scope {
  readonly unicode: boolean;
  readonly dotAll: boolean;
  readonly ignoreCase: boolean;
  readonly multiline: boolean;
  /** In a lookbehind, which is read from its end. */
  readonly backward: boolean;
}

/** @throws Error in words for what is no regular expression, refers back to a group, or is too large. */
export function compileProgram(source: string, { unicode = false, dotAll = false }: PatternFlags): Program {
  const parsed = new RegExpParser({ ecmaVersion: 2025 }).parsePattern(source, 0, source.length, { unicode });
  const compiler = new Compiler();
  compiler.oneOf(parsed.alternatives, { unicode, dotAll, ignoreCase: false, multiline: false, backward: false });
  compiler.emit({ kind: "match" });
  return { instructions: compiler.instructions, slots: compiler.slots, unicode, looksBack: compiler.looksBack };
}

class Compiler {
  readonly instructions: Instruction[] = [];
  slots = 0;
  looksBack = false;

  emit<I extends Instruction>(instruction: I): I {
    if (this.instructions.length >= MAX_INSTRUCTIONS)
      throw new Error(`written out, its repetitions are more than ${MAX_INSTRUCTIONS} steps`);
    this.instructions.push(instruction);
    return instruction;
  }

  private split() {
    return this.emit({ kind: "split", slot: this.slots++, first: this.instructions.length + 1, second: Number.NaN });
  }

  /** The first alternative that leads to a match. */
  oneOf(alternatives: readonly AST.Alternative[], scope: Scope): void {
    const ends = alternatives.slice(0, -1).map((alternative) => {
      const split = this.split();
      this.sequence(alternative, scope);
      const end = this.emit({ kind: "jump", to: Number.NaN });
      split.second = this.instructions.length;
      return end;
    });
    const last = alternatives.at(-1);
    if (last !== undefined) this.sequence(last, scope);
    for (const end of ends) end.to = this.instructions.length;
  }

  private sequence({ elements }: AST.Alternative, scope: Scope): void {
    for (const element of scope.backward ? elements.toReversed() : elements) this.element(element, scope);
  }

  private element(node: AST.Element, scope: Scope): void {
    switch (node.type) {
      case "Group":
        this.oneOf(node.alternatives, withModifiers(scope, node.modifiers));
        break;
      case "CapturingGroup":
        this.oneOf(node.alternatives, scope);
        break;
      case "Quantifier":
        this.repeat(node, scope);
        break;
      case "Assertion":
        this.assertion(node, scope);
        break;
      case "Backreference":
        throw new Error(`it refers back to what a group matched (${node.raw}), which no bound of time can be given for`);
      default:
        this.emit({ kind: "character", takes: characterTest(node, scope), backward: scope.backward });
    }
  }

  private repeat({ element, min, max, greedy }: AST.Quantifier, scope: Scope): void {
    for (let round = 0; round < min; round++) this.element(element, scope);
    if (max === min) return;
    const exits: (() => void)[] = [];
    const option = () => {
      const split = this.split();
      if (!greedy) split.second = split.first;
      exits.push(() => {
        split[greedy ? "second" : "first"] = this.instructions.length;
      });
    };
    if (max === Number.POSITIVE_INFINITY) {
      const start = this.instructions.length;
      option();
      this.element(element, scope);
      this.emit({ kind: "jump", to: start });
    } else {
      for (let round = min; round < max; round++) {
        option();
        this.element(element, scope);
      }
    }
    for (const exit of exits) exit();
  }

  private assertion(node: AST.Assertion, scope: Scope): void {
    switch (node.kind) {
      case "start":
        this.emit({ kind: "assert", holds: (text, at) => at === 0 || (scope.multiline && isLineBreak(text[at - 1])) });
        return;
      case "end":
        this.emit({ kind: "assert", holds: (text, at) => at === text.length || (scope.multiline && isLineBreak(text[at])) });
        return;
      case "word":
        this.emit({ kind: "assert", holds: (text, at) => (isWord(text[at - 1]) !== isWord(text[at])) !== node.negate });
        return;
      default: {
        const look = this.emit({ kind: "look", slot: Number.NaN, firstSlot: this.slots, negate: node.negate, next: Number.NaN });
        const backward = node.kind === "lookbehind";
        this.looksBack ||= backward;
        this.oneOf(node.alternatives, { ...scope, backward });
        this.emit({ kind: "match" });
        look.slot = this.slots++;
        look.next = this.instructions.length;
      }
    }
  }
}

function withModifiers(scope: Scope, modifiers: AST.Modifiers | null): Scope {
  if (modifiers === null) return scope;
  const { add, remove } = modifiers;
  const value = (flag: "ignoreCase" | "multiline" | "dotAll") => add[flag] || (scope[flag] && remove?.[flag] !== true);
  return { ...scope, ignoreCase: value("ignoreCase"), multiline: value("multiline"), dotAll: value("dotAll") };
}

const isLineBreak = (character: string | undefined): boolean => character !== undefined && /[\n\r\u2028\u2029]/.test(character);
const isWord = (character: string | undefined): boolean => character !== undefined && /\w/.test(character);

/** Asks the language itself about a single character, once for each. */
function characterTest(node: AST.Element, { unicode, dotAll, ignoreCase }: Scope): (character: string) => boolean {
  if (node.type === "Character" && !ignoreCase) {
    const wanted = String.fromCodePoint(node.value);
    return (character) => character === wanted;
  }
  const one = new RegExp(`^${node.raw}$`, `${unicode ? "u" : ""}${dotAll ? "s" : ""}${ignoreCase ? "i" : ""}`);
  const known = new Map<string, boolean>();
  return (character) => {
    let takes = known.get(character);
    if (takes === undefined) {
      takes = one.test(character);
      known.set(character, takes);
    }
    return takes;
  };
}

import { Marks } from "./marks.js";
import type { Instruction, Program } from "./program.js";

// What has failed at a place is never tried there again, so that a match takes time in proportion to text and pattern: with its failures
// remembered, backtracking finds what it finds without (J. Davis et al., "Using Selective Memoization to Defeat Regular Expression Denial
// of Service", 2021).

const [UNKNOWN, TRYING, FAILS, LEADS_ON] = [0, 1, 2, 3] as const;
const NOWHERE = -1;

/** Matches a program against one text. */
export class Matcher {
  /** What is known of each place, by slot. */
  private readonly marks: Marks;

  constructor(
    private readonly program: Program,
    private readonly text: string,
  ) {
    this.marks = new Marks(program.slots);
  }

  /** The end of the match that begins at `at`, or -1. Starts may not go back behind the end of an earlier match. */
  endOf(at: number): number {
    return this.search(0, at, undefined);
  }

  /** Looks for a match from an instruction on. `look`: the one whose body this is; of that only whether there is one counts. */
  private search(start: number, from: number, look: (Instruction & { kind: "look" }) | undefined): number {
    const { marks } = this;
    const { instructions } = this.program;
    // Splits on the way here that may be returned to, each with its place.
    const way: { readonly split: Instruction & { kind: "split" }; readonly at: number; second: boolean }[] = [];
    let [pc, at] = [start, from];
    for (;;) {
      const instruction = instructions[pc];
      let goesOn = false;
      if (instruction === undefined || instruction.kind === "match") return this.found(way, at, look);
      if (instruction.kind === "split") {
        const known = marks.get(at, instruction.slot);
        if (known === LEADS_ON) return this.found(way, at, look);
        if (known === UNKNOWN) {
          marks.set(at, instruction.slot, TRYING);
          way.push({ split: instruction, at, second: false });
          pc = instruction.first;
          goesOn = true;
        }
      } else if (instruction.kind === "character") {
        const next = this.take(instruction, at);
        goesOn = next !== NOWHERE;
        if (goesOn) [pc, at] = [pc + 1, next];
      } else {
        const next = this.pass(instruction, pc, at);
        goesOn = next !== NOWHERE;
        if (goesOn) pc = next;
      }
      while (!goesOn) {
        const last = way.at(-1);
        if (last === undefined) return NOWHERE;
        if (!last.second) {
          last.second = true;
          [pc, at] = [last.split.second, last.at];
          goesOn = true;
        } else {
          marks.set(last.at, last.split.slot, FAILS);
          way.pop();
        }
      }
    }
  }

  /** The place behind the next character (or the last one), where it is one that is wanted. */
  private take({ takes, backward }: Instruction & { kind: "character" }, at: number): number {
    const { text } = this;
    if (backward ? at === 0 : at === text.length) return NOWHERE;
    let from = backward ? at - 1 : at;
    if (backward && this.program.unicode && isPair(text, from - 1)) from--;
    const character = text.slice(from, from + (this.program.unicode && isPair(text, from) ? 2 : 1));
    if (!takes(character)) return NOWHERE;
    return backward ? from : from + character.length;
  }

  /** The instruction behind one that takes no character. */
  private pass(instruction: Instruction & { kind: "jump" | "assert" | "look" }, pc: number, at: number): number {
    switch (instruction.kind) {
      case "jump":
        return instruction.to;
      case "assert":
        return instruction.holds(this.text, at) ? pc + 1 : NOWHERE;
      case "look": {
        const { slot, negate, next } = instruction;
        if (this.marks.get(at, slot) === UNKNOWN)
          this.marks.set(at, slot, this.search(pc + 1, at, instruction) === NOWHERE ? FAILS : LEADS_ON);
        return (this.marks.get(at, slot) === FAILS) === negate ? next : NOWHERE;
      }
    }
  }

  /**
   * A round that took nothing failed because its start was still being tried. Now that this leads to a match, such failures at its place
   * are forgotten. In a lookaround the same way leads to the same answer; elsewhere nothing before the end is looked at again.
   */
  private found(
    way: readonly { split: { slot: number }; at: number }[],
    end: number,
    look: { slot: number; firstSlot: number } | undefined,
  ) {
    const { marks, program } = this;
    if (look === undefined) {
      for (let slot = 0; slot < program.slots; slot++) marks.set(end, slot, UNKNOWN);
      if (!program.looksBack) marks.dropBefore(end);
      return end;
    }
    for (const { at } of way) {
      for (let slot = look.firstSlot; slot < look.slot; slot++) if (marks.get(at, slot) === FAILS) marks.set(at, slot, UNKNOWN);
    }
    for (const { split, at } of way) marks.set(at, split.slot, LEADS_ON);
    return end;
  }
}

/** Whether two units of UTF-16 are one character. */
const isPair = (text: string, at: number): boolean => (text.codePointAt(at) ?? 0) > 0xffff;

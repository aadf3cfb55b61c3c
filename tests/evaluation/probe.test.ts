import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { InputError } from "../../src/errors.js";
import { type ClozeQuestion, parseCloze, parsePassages, SKILLS } from "../../src/evaluation/probe.js";

const asset = (name: string) => readFileSync(new URL(`../../assets/probe/${name}`, import.meta.url), "utf8");
const questions = parseCloze(asset("cloze.jsonl"), "cloze.jsonl");
const passages = parsePassages(asset("general.jsonl"), "general.jsonl");

const share = (some: readonly ClozeQuestion[], holds: (question: ClozeQuestion) => boolean) => some.filter(holds).length / some.length;
const isLongest = ({ choices, answer }: ClozeQuestion) =>
  choices.every((choice, index) => index === answer || choice.length < choices[answer]!.length);
const isShortest = ({ choices, answer }: ClozeQuestion) =>
  choices.every((choice, index) => index === answer || choice.length > choices[answer]!.length);

describe("the cloze questions that ship", () => {
  it.each(SKILLS)("hold at least 90 on %s", (skill) => {
    expect(questions.filter((question) => question.skill === skill).length).toBeGreaterThanOrEqual(90);
  });

  it("ask nothing twice", () => {
    expect(new Set(questions.map(({ prompt }) => prompt.toLowerCase())).size).toBe(questions.length);
  });

  it("offer three or four choices and leave the space before them to the framing", () => {
    for (const { prompt, choices } of questions) {
      expect([3, 4]).toContain(choices.length);
      for (const text of [prompt, ...choices]) expect(text).toBe(text.trim());
    }
  });

  it.each(SKILLS)("put the right answer at each place equally often: %s", (skill) => {
    for (const n of [3, 4]) {
      const own = questions.filter((question) => question.skill === skill && question.choices.length === n);
      const counts = Array.from({ length: n }, (_, place) => own.filter(({ answer }) => answer === place).length);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }
  });

  it("have choices of like length, and length does not give the answer away", () => {
    for (const { prompt, choices } of questions) {
      const lengths = choices.map((choice) => choice.length);
      expect(Math.max(...lengths) - Math.min(...lengths), prompt).toBeLessThanOrEqual(12);
    }
    expect(share(questions, isLongest)).toBeLessThan(0.25);
    expect(share(questions, isShortest)).toBeLessThan(0.25);
  });
});

describe("the general passages that ship", () => {
  it("are at least forty different ones of a paragraph's length", () => {
    expect(passages.length).toBeGreaterThanOrEqual(40);
    expect(new Set(passages).size).toBe(passages.length);
    for (const passage of passages) {
      expect(passage.length).toBeGreaterThan(250);
      expect(passage.length).toBeLessThan(800);
    }
  });
});

describe("a malformed probe", () => {
  const good = { id: "a", skill: "language", prompt: "The dog", choices: ["barks", "bark"], answer: 0 };
  const message = (...rows: unknown[]) => {
    try {
      parseCloze(rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n"), "mine.jsonl");
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      return (error as InputError).message;
    }
    return "accepted";
  };

  it.each([
    [{ ...good, id: "" }, 'mine.jsonl:1: expected "id" to be a non-empty string, found .'],
    [{ ...good, prompt: 3 }, 'mine.jsonl:1: expected "prompt" to be a non-empty string, found 3.'],
    [
      { ...good, skill: "cooking" },
      'mine.jsonl:1: expected "skill" to be one of knowledge, language, arithmetic, instruction, found cooking.',
    ],
    [{ ...good, choices: ["one"] }, 'mine.jsonl:1: expected "choices" to be 2 to 8 different non-empty strings, found ["one"].'],
    [
      { ...good, choices: ["one", "one"] },
      'mine.jsonl:1: expected "choices" to be 2 to 8 different non-empty strings, found ["one","one"].',
    ],
    [{ ...good, choices: undefined }, 'mine.jsonl:1: expected "choices" to be 2 to 8 different non-empty strings, found nothing.'],
    [{ ...good, answer: 2 }, 'mine.jsonl:1: expected "answer" to be the index of a choice, 0 to 1, found 2.'],
    [{ ...good, answer: 0.5 }, 'mine.jsonl:1: expected "answer" to be the index of a choice, 0 to 1, found 0.5.'],
    ["{", "mine.jsonl:1: expected a JSON object, found {."],
    ["[1]", "mine.jsonl:1: expected a JSON object, found [1]."],
  ])("%j", (row, expected) => {
    expect(message(row)).toBe(expected);
  });

  it("names every bad line at once, and skips blank ones", () => {
    expect(message(good, "", { ...good, id: "b", answer: 9 }, good)).toBe(
      'mine.jsonl:3: expected "answer" to be the index of a choice, 0 to 1, found 9.\n' +
        'mine.jsonl:4: expected an id of its own, found "a", the id of line 1 too.',
    );
  });

  it("refuses an empty file", () => {
    expect(message("")).toBe("mine.jsonl: expected at least one row, found none.");
    expect(() => parsePassages('{"words": 1}', "text.jsonl")).toThrow(
      'text.jsonl:1: expected "text" to be a non-empty string, found nothing.',
    );
  });
});

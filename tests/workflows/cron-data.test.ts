import { readFileSync } from "node:fs";
import cronstrue from "cronstrue";
import { beforeAll, describe, expect, it } from "vitest";
import { scheduleKey } from "../../src/workflows/demo/cron-score.js";
import { buildCronData, type CronData, type CronRow, INSTRUCTION } from "../../tools/cron-data/build.js";

const file = (name: keyof CronData) => readFileSync(new URL(`../../assets/demo/cron-${name}.jsonl`, import.meta.url), "utf8");
const rows = (name: keyof CronData): CronRow[] =>
  file(name)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

const data: CronData = { train: rows("train"), valid: rows("valid"), test: rows("test") };
const question = (row: CronRow) => row.messages[1].content;
const key = (row: CronRow) => scheduleKey(row.messages[2].content);
const all = [...data.train, ...data.valid, ...data.test];

describe("the demo's data", () => {
  let keys: Record<keyof CronData, Set<string>>;
  beforeAll(() => {
    keys = { train: new Set(data.train.map(key)), valid: new Set(data.valid.map(key)), test: new Set(data.test.map(key)) };
  });

  it("are what the tool makes", () => {
    const made = buildCronData();
    for (const name of ["train", "valid", "test"] as const) {
      expect(made[name].map((row) => `${JSON.stringify(row)}\n`).join("") === file(name), `assets/demo/cron-${name}.jsonl`).toBe(true);
    }
  });

  it("hold enough schedules, and short rows", () => {
    expect(keys.train.size).toBeGreaterThan(3000);
    expect(data.valid.length).toBe(120);
    expect(data.test.length).toBe(100);
    expect(Math.max(...all.map((row) => question(row).length))).toBeLessThan(140);
  });

  it("are rows of one question and one answer in five fields", () => {
    for (const { messages } of all) {
      expect(messages.map(({ role }) => role)).toEqual(["system", "user", "assistant"]);
      expect(messages[0].content).toBe(INSTRUCTION);
      expect(messages[2].content.split(" ").length).toBe(5);
    }
  });

  it("share no schedule between training, validation and test", () => {
    for (const held of [keys.valid, keys.test]) expect([...held].filter((schedule) => keys.train.has(schedule))).toEqual([]);
    expect([...keys.valid].filter((schedule) => keys.test.has(schedule))).toEqual([]);
    expect(keys.test.size).toBe(data.test.length);
    expect(keys.valid.size).toBe(data.valid.length);
  });

  it("never ask the same words for two schedules", () => {
    const asked = new Map<string, string>();
    for (const row of all) {
      const words = question(row).toLowerCase();
      expect(asked.get(words) ?? key(row), words).toBe(key(row));
      asked.set(words, key(row));
    }
  });

  it("ask mostly in words of their own, partly in cronstrue's", () => {
    const described = all.filter((row) => {
      const text = question(row).toLowerCase();
      const options = [
        {},
        { use24HourTimeFormat: true },
        { trimHoursLeadingZero: true },
        { verbose: true },
        { verbose: true, use24HourTimeFormat: true },
      ];
      return options.some((option) => cronstrue.toString(row.messages[2].content, option).toLowerCase() === text);
    });
    expect(described.length / all.length).toBeGreaterThan(0.15);
    expect(described.length / all.length).toBeLessThan(0.25);
  });

  it("hold out combinations, not words: every word of a held-out question was trained", () => {
    const words = (row: CronRow) =>
      question(row)
        .toLowerCase()
        .match(/[a-z]+/g) ?? [];
    const trained = new Set(data.train.flatMap(words));
    expect([...data.valid, ...data.test].flatMap(words).filter((word) => !trained.has(word))).toEqual([]);
  });

  it("leave no hour in doubt: where a time has no am or pm, it is written on the 24-hour clock", () => {
    for (const row of all) {
      const text = question(row);
      // "9:05" needs am, pm or a part of the day; "09:05" and "21:05" do not. ":05" is a minute of every hour.
      for (const [, after] of text.matchAll(/(?<![\d:])\d:\d\d(.{0,20})/g)) expect(after, text).toMatch(/^ ?([ap]m|in the)\b/i);
      for (const [, after] of text.matchAll(/\bat (\d+.{0,25})/g)) {
        expect(after, text).toMatch(/^\d+ ?([ap]m\b|in the\b|minutes|and \d+ minutes|(:\d\d)|, \d|& \d|and \d)/i);
      }
    }
  });
});

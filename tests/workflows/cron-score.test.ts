import { CronExpressionParser } from "cron-parser";
import { describe, expect, it } from "vitest";
import { InputError } from "../../src/errors.js";
import { sameSchedule, scheduleKey } from "../../src/workflows/demo/cron-score.js";

describe("sameSchedule", () => {
  it.each([
    ["0 9 * * 1-5", "0 9 * * 1-5"],
    ["0 9 * * 1-5", "0 9 * * MON-FRI"],
    ["0 9 * * 1-5", "00 09 * * 1,2,3,4,5"],
    ["0 9 * * 1-5", "  0 9 * * 1-5\n"],
    ["0 9 * * 1-5", "`0 9 * * 1-5`"],
    ["0 9 * * 1-5", '"0 9 * * 1-5"'],
    ["0 9 * * 1-5", "```\n0 9 * * 1-5\n```"],
    ["0 9 * * 0", "0 9 * * 7"],
    ["0 9 * * 0,6", "0 9 * * sat,sun"],
    ["0 9 * * 0,6", "0 9 * * 6-7"],
    ["0 9 1 1 *", "0 9 1 JAN *"],
    ["0 9 1 1,4,7,10 *", "0 9 1 */3 *"],
    ["*/15 * * * *", "0,15,30,45 * * * *"],
    ["*/15 * * * *", "0/15 * * * *"],
    ["*/15 * * * *", "0-59/15 * * * *"],
    ["* * * * *", "*/1 0-23 1-31 1-12 *"],
    ["5,3,1 0 * * *", "1-5/2 0 * * *"],
    ["0 0 1-31 * *", "0 0 * * *"],
    ["0 0 * * 0-6", "0 0 * * *"],
    // Either day field may match, so a full one next to a restricted one means every day.
    ["0 0 1-31 * 1", "0 0 * * *"],
    // 31 February and 31 April never come.
    ["0 0 30,31 4 *", "0 0 30 4 *"],
    ["0 0 31 1-4 *", "0 0 31 1,3 *"],
  ])("%s = %s", (expected, actual) => {
    expect(sameSchedule(expected, actual)).toBe(true);
  });

  it.each([
    ["0 9 * * 1-5", "0 9 * * 1-6"],
    ["0 9 * * 1-5", "0 9 * * *"],
    ["0 9 * * 1-5", "9 0 * * 1-5"],
    ["0 9 * * 1-5", "0 21 * * 1-5"],
    ["0 9 * * 1-5", ""],
    ["0 9 * * 1-5", "every weekday at 9"],
    ["0 9 * * 1-5", "The answer is 0 9 * * 1-5"],
    ["0 9 * * 1-5", "0 9 * * 1-5 # weekdays"],
    ["0 9 * * *", "0 9 * *"],
    ["0 9 * * *", "0 0 9 * * *"],
    ["0 9 * * *", "0 9 * * ?"],
    ["0 0 * * *", "@daily"],
    ["0 9 * * *", "H 9 * * *"],
    ["0 9 * * *", "60 9 * * *"],
    ["0 9 * * *", "0 24 * * *"],
    ["0 9 * * *", "0 9 L * *"],
    ["0 9 * * *", "0 9 * * 1-5,"],
    ["0 9 * * *", "0 9 * * 5-1"],
    ["0 9 * * *", "0 9 * * funday"],
    ["0 9 * * *", "*/0 9 * * *"],
    ["0 9 1 * *", "0 9 * 1 *"],
    ["0 9 1 * *", "0 9 * * 1"],
    // "the first, and every Monday" is not "the first, if it is a Monday"
    ["0 9 1 * 1", "0 9 1 * *"],
    ["0 9 13 * 5", "0 9 * * 5"],
    ["*/15 * * * *", "*/20 * * * *"],
    ["0 */2 * * *", "* */2 * * *"],
    ["0 0 29 2 *", "0 0 28 2 *"],
  ])("%s ≠ %s", (expected, actual) => {
    expect(sameSchedule(expected, actual)).toBe(false);
  });

  it("blames the data, not the answer, when the expected expression is wrong", () => {
    expect(() => sameSchedule("0 9 * *", "0 9 * * *")).toThrow(InputError);
    expect(() => sameSchedule("0 9 * *", "0 9 * * *")).toThrow('Not a five-field cron expression: "0 9 * *". Expected minute, hour');
  });
});

describe("scheduleKey against the calendar", () => {
  it("two schedules have one key exactly if cron-parser lets them fire at the same moments", () => {
    const random = generator(20240607);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    const days = ["*", "*", "1-31", "1,15", "15,1", "*/2", "1-31/2", "29-31", "29", "1"];
    const months = ["*", "1-12", "2", "FEB", "*/3", "1,4,7,10", "4,6,9,11"];
    const weekdays = ["*", "*", "0-6", "1-5", "MON-FRI", "0", "7", "0,6", "sat,sun", "1"];
    const drawFields = () => ["0", pick(["0", "00", "12"]), pick(days), pick(months), pick(weekdays)];
    const drawNear = (fields: string[]) => drawFields().map((field, index) => (random() < 0.7 ? fields[index]! : field));

    let equal = 0;
    for (let trial = 0; trial < 400; trial++) {
      const fields = drawFields();
      const [a, b] = [fields.join(" "), drawNear(fields).join(" ")];
      if (a === b) continue;
      const same = scheduleKey(a) === scheduleKey(b);
      expect(same, `${a} and ${b}`).toBe(sameMoments(a, b));
      if (same) equal++;
    }
    expect(equal).toBeGreaterThan(20);
  });
});

/** Compares the firing times one after another until they part, or until eleven years are over (each date has then met most weekdays). */
function sameMoments(a: string, b: string): boolean {
  const options = { currentDate: "2023-12-31T23:59:59Z", tz: "UTC" };
  const [left, right] = [CronExpressionParser.parse(a, options), CronExpressionParser.parse(b, options)];
  const end = Date.UTC(2035, 0, 1);
  for (;;) {
    const [x, y] = [left.next().getTime(), right.next().getTime()];
    if (x !== y) return false;
    if (x >= end) return true;
  }
}

/** A small seeded generator (Marsaglia's xorshift, 32 bits). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

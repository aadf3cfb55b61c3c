import { type CronExpression, CronExpressionParser } from "cron-parser";
import { InputError } from "../../errors.js";

/**
 * The score of the demo: does an answer mean the same schedule as the expected one? Spellings do not count
 * (`0 9 * * 1-5`, `00 9 * * MON-FRI` and `0 9 * * 1,2,3,4,5` are equal), only the moments at which the schedule fires.
 */

/** Digits, names of months and days, and the four signs of a crontab. What only Quartz or Jenkins know (`?`, `L`, `#`, `H`) is refused. */
const FIELD = /^(?:\*|\d+|[a-z]{3})(?:[-/,](?:\*|\d+|[a-z]{3}))*$/i;
const FIELD_COUNT = 5;

/** What a chat model likes to put around a bare expression: white space, quotation marks and code marks, at the ends alone. */
const WRAPPING = /^[\s`"']+|[\s`"']+$/g;

/** Days of each month in a leap year: a day of the month beyond them never comes. */
const MONTH_LENGTHS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const DAYS_OF_WEEK = 7;

/**
 * True when `actual` is a five-field cron expression with the meaning of `expected`.
 *
 * White space, quotation marks and backticks around `actual` are not held against it; any other word is, for an answer
 * must be usable as it stands.
 *
 * @throws InputError when `expected` itself is not a five-field expression: the data is wrong, not the answer.
 */
export function sameSchedule(expected: string, actual: string): boolean {
  const wanted = scheduleKey(expected);
  const answer = parse(actual.replace(WRAPPING, ""));
  return answer !== undefined && keyOf(answer) === wanted;
}

/**
 * The meaning of an expression as a string: two expressions have the same key exactly if they fire at the same moments.
 *
 * The moments are the minutes × hours × days. Whether a day counts depends on its month, its day of the month and its day
 * of the week, and each of the 366 × 7 combinations comes up in the calendar's cycle of 400 years; so the set of those that
 * match is the meaning of the three day fields, whatever their spelling.
 *
 * @throws InputError when it is not a five-field expression.
 */
export function scheduleKey(expression: string): string {
  const parsed = parse(expression);
  if (parsed === undefined) {
    throw new InputError(
      `Not a five-field cron expression: "${expression}". Expected minute, hour, day of month, month and day of week, such as "30 9 * * 1-5".`,
    );
  }
  return keyOf(parsed);
}

function parse(expression: string): CronExpression | undefined {
  const fields = expression.trim().split(/\s+/);
  // cron-parser fills up short expressions and takes a sixth field for seconds: neither is a crontab line.
  if (fields.length !== FIELD_COUNT || !fields.every((field) => FIELD.test(field))) return undefined;
  try {
    return CronExpressionParser.parse(fields.join(" "), { tz: "UTC" });
  } catch {
    return undefined; // a value out of range, a range upside down, an unknown name: no schedule
  }
}

function keyOf({ fields: { minute, hour, dayOfMonth, month, dayOfWeek } }: CronExpression): string {
  const days = numbers(dayOfMonth.values);
  const weekdays = numbers(dayOfWeek.values);
  // POSIX crontab: if both day fields are restricted, a day counts when either matches; else the restricted one decides.
  const either = !dayOfMonth.isWildcard && !dayOfWeek.isWildcard;
  const matches = (day: number, weekday: number) =>
    either ? days.has(day) || weekdays.has(weekday) : days.has(day) && weekdays.has(weekday);

  let firing = "";
  for (const m of numbers(month.values)) {
    const length = MONTH_LENGTHS[m - 1] ?? 0;
    for (let day = 1; day <= length; day++) {
      for (let weekday = 0; weekday < DAYS_OF_WEEK; weekday++) {
        if (matches(day, weekday)) firing += `${m}.${day}.${weekday} `;
      }
    }
  }
  return `${[...numbers(minute.values)]}|${[...numbers(hour.values)]}|${firing}`;
}

/** A field's values as a set in ascending order; day of week 7 is already 0. (`L`, the one value that is no number, is refused before.) */
function numbers(values: readonly (number | string)[]): Set<number> {
  return new Set(values.map(Number).sort((a, b) => a - b));
}

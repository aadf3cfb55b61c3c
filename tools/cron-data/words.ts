import type { Random } from "./random.js";

/** How people write times, days and lists. Every form has one reading: a time has am or pm, or is written HH:MM on the 24-hour clock. */

export const DAY_NAMES = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const SHORT_DAYS = DAY_NAMES.map((name) => name.slice(0, 3));
export const MONTH_NAMES = [
  ...["January", "February", "March", "April", "May", "June"],
  ...["July", "August", "September", "October", "November", "December"],
];

export const twoDigits = (n: number): string => String(n).padStart(2, "0");

/** A manner of writing a time; two times in one sentence are written alike. */
export type Clock = (hour: number, minute: number) => string;

export const clock24: Clock = (hour, minute) => `${twoDigits(hour)}:${twoDigits(minute)}`;

/** The twelve-hour clock: `open` leaves out the minutes of a full hour, `gap` stands before am and pm. */
function clock12(options: { open: boolean; gap: string; capitals: boolean }): Clock {
  return (hour, minute) => {
    const half = hour < 12 ? "am" : "pm";
    const minutes = options.open && minute === 0 ? "" : `:${twoDigits(minute)}`;
    return `${hour % 12 || 12}${minutes}${options.gap}${options.capitals ? half.toUpperCase() : half}`;
  };
}

/** "9 in the morning", "half past 3 in the afternoon", "quarter to 6 in the evening"; other times fall back on the twelve-hour clock. */
const spoken: Clock = (hour, minute) => {
  const plain = clock12({ open: true, gap: " ", capitals: false });
  if (hour < 5 || hour > 21) return plain(hour, minute);
  const named = (h: number) => `${h % 12 || 12} ${h < 12 ? "in the morning" : h < 18 ? "in the afternoon" : "in the evening"}`;
  if (minute === 0) return named(hour);
  if (minute === 15) return `quarter past ${named(hour)}`;
  if (minute === 30) return `half past ${named(hour)}`;
  if (minute === 45) return `quarter to ${named(hour + 1)}`;
  return plain(hour, minute);
};

const CLOCKS: readonly Clock[] = [
  clock24,
  clock24,
  clock12({ open: true, gap: " ", capitals: false }),
  clock12({ open: true, gap: "", capitals: false }),
  clock12({ open: false, gap: " ", capitals: true }),
  clock12({ open: true, gap: " ", capitals: true }),
  spoken,
];

export const pickClock = (random: Random): Clock => random.pick(CLOCKS);

/** A time of day in any manner; noon and midnight are mostly called by name. */
export function timeOfDay(random: Random, hour: number, minute: number): string {
  if (minute === 0 && hour % 12 === 0 && random.chance(0.7)) return hour === 0 ? "midnight" : "noon";
  return pickClock(random)(hour, minute);
}

/** Several times in one manner: "8 am and 6 pm". */
export function timesOfDay(random: Random, hours: readonly number[], minute: number): string {
  const clock = pickClock(random);
  return joined(
    random,
    hours.map((hour) => clock(hour, minute)),
  );
}

/** "a, b and c", or "a, b, c", or "a & b". */
export function joined(random: Random, items: readonly string[]): string {
  const last = items.at(-1) ?? "";
  const first = items.slice(0, -1).join(", ");
  return first === "" ? last : `${first}${random.pick([" and ", " and ", " and ", ", ", " & "])}${last}`;
}

export function ordinal(n: number): string {
  const suffix = n % 100 >= 11 && n % 100 <= 13 ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th");
  return `${n}${suffix}`;
}

/** When in the week: the cron field and a phrase that follows a verb ("run … every weekday"). */
export interface Days {
  readonly field: string;
  readonly phrase: string;
}

export const everyDay = (random: Random): Days => ({ field: "*", phrase: random.pick(["every day", "every day", "daily", "each day"]) });

export const weekdays = (random: Random): Days => ({
  field: "1-5",
  phrase: random.pick(["every weekday", "on weekdays", "weekdays", "Monday to Friday", "Monday through Friday", "Mon-Fri", "each weekday"]),
});

export const weekends = (random: Random): Days => ({
  field: "0,6",
  phrase: random.pick([
    "on weekends",
    "weekends",
    "on Saturday and Sunday",
    "every Saturday and Sunday",
    "on Saturdays and Sundays",
    "Sat and Sun",
  ]),
});

export function oneDay(random: Random): Days {
  const day = random.between(0, 6);
  const name = DAY_NAMES[day];
  const phrase = random.pick([
    ...[`every ${name}`, `every ${name}`, `on ${name}s`, `each ${name}`, `${name}s`, `on ${name}`],
    ...[`weekly on ${name}`, `once a week on ${name}`, `every ${SHORT_DAYS[day]}`],
  ]);
  return { field: String(day), phrase };
}

/** Two or three single days. Saturday with Sunday is called the weekend elsewhere, and spelled alike. */
export function someDays(random: Random): Days {
  const days = random.sample([0, 1, 2, 3, 4, 5, 6], random.chance(0.6) ? 2 : 3);
  // The week begins on Monday in most sentences, whatever cron counts.
  const spokenOrder = random.chance(0.7) ? [...days].sort((a, b) => ((a + 6) % 7) - ((b + 6) % 7)) : days;
  const [before, plural, names] = random.pick([
    ["every ", "", DAY_NAMES],
    ["on ", "", DAY_NAMES],
    ["on ", "s", DAY_NAMES],
    ["", "s", DAY_NAMES],
    ["", "", SHORT_DAYS],
    ["on ", "", SHORT_DAYS],
  ] as const);
  const list = joined(
    random,
    spokenOrder.map((day) => `${names[day]}${plural}`),
  );
  return { field: days.join(","), phrase: `${before}${list}` };
}

/** Three or more days in a row that do not run over the end of the cron week, Monday to Friday left out. */
export function dayRange(random: Random): Days {
  const [from, to] = random.pick([
    ...[
      [1, 3],
      [1, 4],
      [1, 6],
      [2, 4],
      [2, 5],
      [2, 6],
    ],
    ...[
      [3, 5],
      [3, 6],
      [4, 6],
      [0, 3],
      [0, 4],
      [0, 5],
    ],
  ] as const);
  const [a, b] = [DAY_NAMES[from], DAY_NAMES[to]];
  const short = `${SHORT_DAYS[from]}-${SHORT_DAYS[to]}`;
  return {
    field: `${from}-${to}`,
    phrase: random.pick([`${a} through ${b}`, `${a} to ${b}`, `from ${a} to ${b}`, `every day from ${a} to ${b}`, short]),
  };
}

export const anyDays = (random: Random): Days =>
  random.pick([everyDay, weekdays, weekdays, weekends, oneDay, oneDay, someDays, dayRange])(random);

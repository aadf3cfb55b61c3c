import type { Random } from "./random.js";
import {
  anyDays,
  type Clock,
  clock24,
  type Days,
  dayRange,
  everyDay,
  joined,
  MONTH_NAMES,
  oneDay,
  ordinal,
  pickClock,
  someDays,
  timeOfDay,
  timesOfDay,
  twoDigits,
  weekdays,
  weekends,
} from "./words.js";

/** A schedule and one way to say it, an adverbial that can follow a verb: "every weekday at 9 am". */
export interface Phrased {
  readonly expression: string;
  readonly phrase: string;
}

/** A kind of schedule: how many different ones are wanted, how often each is said, and how one is drawn. */
export interface Family {
  readonly name: string;
  readonly schedules: number;
  readonly phrasings: number;
  draw(random: Random): Phrased;
}

const STEPS = [2, 3, 4, 5, 6, 10, 12, 15, 20, 30];

/** Mostly round minutes, as people choose them; every minute occurs. */
function drawMinute(random: Random): number {
  if (random.chance(0.35)) return 0;
  return random.chance(0.65) ? 5 * random.between(1, 11) : random.between(1, 59);
}

/** All hours, those of the working day more often. */
const drawHour = (random: Random): number => (random.chance(0.4) ? random.between(6, 19) : random.between(0, 23));

/** Day and time in the orders people use. */
function dayAndTime(random: Random, day: string, time: string): string {
  return random.pick([`${day} at ${time}`, `${day} at ${time}`, `at ${time} ${day}`, `${day}, ${time}`, `at ${time}, ${day}`]);
}

function onDays(days: (random: Random) => Days): (random: Random) => Phrased {
  return (random) => {
    const [hour, minute, chosen] = [drawHour(random), drawMinute(random), days(random)];
    return {
      expression: `${minute} ${hour} * * ${chosen.field}`,
      phrase: dayAndTime(random, chosen.phrase, timeOfDay(random, hour, minute)),
    };
  };
}

function severalTimes(counts: readonly number[], days: (random: Random) => Days): (random: Random) => Phrased {
  return (random) => {
    const count = random.pick(counts);
    const hours = random.sample(
      Array.from({ length: 24 }, (_, hour) => hour),
      count,
    );
    const minute = random.chance(0.6) ? 0 : random.pick([15, 30, 45, 10, 20, 5]);
    const [times, chosen] = [timesOfDay(random, hours, minute), days(random)];
    const often = count === 2 ? "twice a day" : "three times a day";
    const phrase =
      chosen.field === "*" && random.chance(0.5)
        ? random.pick([`${often} at ${times}`, `${often}, at ${times}`, `${often}: ${times}`])
        : dayAndTime(random, chosen.phrase, times);
    return { expression: `${minute} ${hours.join(",")} * * ${chosen.field}`, phrase };
  };
}

function everyMinutes(random: Random, step: number): string {
  const names: Record<number, readonly string[]> = { 2: ["every other minute"], 15: ["every quarter of an hour"], 30: ["every half hour"] };
  const own = names[step] ?? [];
  return random.pick([
    `every ${step} minutes`,
    `every ${step} minutes`,
    `once every ${step} minutes`,
    `every ${step} min`,
    `each ${step} minutes`,
    ...own,
  ]);
}

function minutePast(random: Random, minute: number): string {
  const special: string[] = [];
  if (minute === 0) special.push("every hour on the hour", "hourly", "every hour");
  if (minute === 15) special.push("at quarter past every hour");
  if (minute === 30) special.push("at half past every hour");
  if (minute === 45) special.push("at quarter to every hour");
  if (special.length > 0 && random.chance(0.6)) return random.pick(special);
  return random.pick([
    `every hour at :${twoDigits(minute)}`,
    `hourly at minute ${minute}`,
    `at minute ${minute} of every hour`,
    `at ${minute} minutes past every hour`,
    `${minute} minutes past each hour`,
    `once an hour at :${twoDigits(minute)}`,
  ]);
}

const hourFamilies: readonly Family[] = [
  {
    name: "every minute",
    schedules: 1,
    phrasings: 3,
    draw: (random) => ({
      expression: "* * * * *",
      phrase: random.pick(["every minute", "once a minute", "each minute", "every single minute"]),
    }),
  },
  {
    name: "every N minutes",
    schedules: STEPS.length,
    phrasings: 6,
    draw: (random) => {
      const step = random.pick(STEPS);
      return { expression: `*/${step} * * * *`, phrase: everyMinutes(random, step) };
    },
  },
  {
    name: "at a minute of every hour",
    schedules: 60,
    phrasings: 2,
    draw: (random) => {
      const minute = random.between(0, 59);
      return { expression: `${minute} * * * *`, phrase: minutePast(random, minute) };
    },
  },
  {
    name: "twice an hour",
    schedules: 90,
    phrasings: 1,
    draw: (random) => {
      const [a, b] = random.sample(
        random.chance(0.7) ? Array.from({ length: 12 }, (_, i) => 5 * i) : Array.from({ length: 60 }, (_, i) => i),
        2,
      );
      const colons = `:${twoDigits(a ?? 0)} and :${twoDigits(b ?? 0)}`;
      return {
        expression: `${a},${b} * * * *`,
        phrase: random.pick([
          `twice an hour at ${colons}`,
          `every hour at ${colons}`,
          `at ${a} and ${b} minutes past every hour`,
          `at minutes ${a} and ${b} of every hour`,
        ]),
      };
    },
  },
  {
    name: "every N hours",
    schedules: 100,
    phrasings: 1,
    draw: (random) => {
      const [step, minute] = [random.pick([2, 3, 4, 6, 8, 12]), drawMinute(random)];
      const steps = [
        `every ${step} hours`,
        `every ${step} hours`,
        `once every ${step} hours`,
        ...(step === 2 ? ["every other hour", "every second hour"] : []),
      ];
      const stepped = random.pick(steps);
      const past = random.pick([
        ` at minute ${minute}`,
        ` at :${twoDigits(minute)}`,
        `, at ${minute} minutes past the hour`,
        `, ${minute} minutes past the hour`,
      ]);
      return { expression: `${minute} */${step} * * *`, phrase: minute === 0 && random.chance(0.8) ? stepped : `${stepped}${past}` };
    },
  },
];

const dayFamilies: readonly Family[] = [
  { name: "daily", schedules: 430, phrasings: 1, draw: onDays(everyDay) },
  { name: "weekdays", schedules: 260, phrasings: 1, draw: onDays(weekdays) },
  { name: "weekends", schedules: 150, phrasings: 1, draw: onDays(weekends) },
  { name: "one day of the week", schedules: 400, phrasings: 1, draw: onDays(oneDay) },
  { name: "some days of the week", schedules: 300, phrasings: 1, draw: onDays(someDays) },
  { name: "a range of days", schedules: 150, phrasings: 1, draw: onDays(dayRange) },
  { name: "several times a day", schedules: 220, phrasings: 1, draw: severalTimes([2, 2, 3], everyDay) },
  {
    name: "twice on some days",
    schedules: 130,
    phrasings: 1,
    draw: severalTimes([2], (random) => random.pick([weekdays, weekends, oneDay])(random)),
  },
];

/** "9 am" and "5:59 pm": a window of hours ends with the last minute of its last hour, and the phrase says so. */
function windowOfHours(random: Random, clock: Clock): { field: string; from: string; through: string; to: string } {
  const from = random.between(0, 20);
  const to = random.between(from + 1, Math.min(from + 12, 23));
  return { field: `${from}-${to}`, from: clock(from, 0), through: clock(to, 59), to: clock(to, 0) };
}

const windowFamilies: readonly Family[] = [
  {
    name: "every N minutes on some days",
    schedules: 80,
    phrasings: 1,
    draw: (random) => {
      const [step, days] = [random.pick(STEPS), random.pick([weekdays, weekends, oneDay, oneDay, someDays, dayRange])(random)];
      return {
        expression: `*/${step} * * * ${days.field}`,
        phrase: `${everyMinutes(random, step)}${random.pick([" ", ", "])}${days.phrase}`,
      };
    },
  },
  {
    name: "every N minutes in a window",
    schedules: 180,
    phrasings: 1,
    draw: (random) => {
      const clock = random.chance(0.4) ? clock24 : pickClock(random);
      const [step, hours, days] = [random.pick(STEPS), windowOfHours(random, clock), anyDays(random)];
      const span = random.pick([
        `between ${hours.from} and ${hours.through}`,
        `from ${hours.from} to ${hours.through}`,
        `from ${hours.from} until ${hours.through}`,
      ]);
      const day = days.field === "*" && random.chance(0.7) ? "" : random.pick([` ${days.phrase}`, `, ${days.phrase}`]);
      return { expression: `*/${step} ${hours.field} * * ${days.field}`, phrase: `${everyMinutes(random, step)} ${span}${day}` };
    },
  },
  {
    name: "hourly in a window",
    schedules: 130,
    phrasings: 1,
    draw: (random) => {
      const [hours, days] = [windowOfHours(random, pickClock(random)), anyDays(random)];
      const span = random.pick([`from ${hours.from} to ${hours.to}`, `from ${hours.from} through ${hours.to}`]);
      const day = days.field === "*" ? "" : random.pick([` ${days.phrase}`, `, ${days.phrase}`]);
      return {
        expression: `0 ${hours.field} * * ${days.field}`,
        phrase: `${random.pick(["every hour", "hourly", "once an hour"])} ${span}${day}`,
      };
    },
  },
  {
    name: "hourly on some days",
    schedules: 60,
    phrasings: 1,
    draw: (random) => {
      const [minute, days] = [drawMinute(random), random.pick([weekdays, weekends, oneDay])(random)];
      return {
        expression: `${minute} * * * ${days.field}`,
        phrase: `${minutePast(random, minute)}${random.pick([" ", ", "])}${days.phrase}`,
      };
    },
  },
];

function dayOfMonth(random: Random, day: number): string {
  const first = day === 1 ? ["on the first of the month", "on the first day of every month", "first of the month"] : [];
  return random.pick([
    ...[`on the ${ordinal(day)} of every month`, `on the ${ordinal(day)} of each month`, `monthly on the ${ordinal(day)}`],
    ...[`every month on the ${ordinal(day)}`, `on day ${day} of the month`, `on the ${ordinal(day)} of the month`],
    ...first,
  ]);
}

function everyMonths(random: Random, step: number): string {
  const names: Record<number, readonly string[]> = {
    2: ["every other month", "every 2 months"],
    3: ["every quarter", "quarterly", "every 3 months"],
  };
  return random.pick(names[step] ?? [`every ${step} months`]);
}

const monthFamilies: readonly Family[] = [
  {
    name: "monthly",
    schedules: 280,
    phrasings: 1,
    draw: (random) => {
      const [day, hour, minute] = [random.chance(0.25) ? 1 : random.between(1, 31), drawHour(random), drawMinute(random)];
      return {
        expression: `${minute} ${hour} ${day} * *`,
        phrase: dayAndTime(random, dayOfMonth(random, day), timeOfDay(random, hour, minute)),
      };
    },
  },
  {
    name: "twice a month",
    schedules: 110,
    phrasings: 1,
    draw: (random) => {
      const days = random.chance(0.25)
        ? [1, 15]
        : random.sample(
            Array.from({ length: 31 }, (_, i) => i + 1),
            2,
          );
      const [hour, minute] = [drawHour(random), drawMinute(random)];
      const both = joined(random, days.map(ordinal));
      const phrase = random.pick([
        `on the ${both} of every month`,
        `on the ${both} of each month`,
        `twice a month on the ${both}`,
        `monthly on the ${both}`,
      ]);
      return { expression: `${minute} ${hour} ${days.join(",")} * *`, phrase: dayAndTime(random, phrase, timeOfDay(random, hour, minute)) };
    },
  },
  {
    name: "yearly",
    schedules: 250,
    phrasings: 1,
    draw: (random) => {
      const [month, day, hour, minute] = [random.between(1, 12), random.between(1, 28), drawHour(random), drawMinute(random)];
      const name = MONTH_NAMES[month - 1];
      const phrase = random.pick([
        ...[`every year on ${name} ${day}`, `yearly on ${name} ${ordinal(day)}`, `on ${name} ${day} every year`],
        ...[`on ${day} ${name}`, `once a year on ${day} ${name}`, `on the ${ordinal(day)} of ${name}`, `every ${name} ${ordinal(day)}`],
      ]);
      return { expression: `${minute} ${hour} ${day} ${month} *`, phrase: dayAndTime(random, phrase, timeOfDay(random, hour, minute)) };
    },
  },
  {
    name: "every N months",
    schedules: 130,
    phrasings: 1,
    draw: (random) => {
      const [step, day] = [random.pick([2, 3, 3, 3, 4, 6]), random.chance(0.5) ? 1 : random.between(2, 28)];
      const [hour, minute] = [drawHour(random), drawMinute(random)];
      const which = day === 1 && random.chance(0.4) ? "on the first day" : random.pick([`on the ${ordinal(day)}`, `on day ${day}`]);
      return {
        expression: `${minute} ${hour} ${day} */${step} *`,
        phrase: dayAndTime(random, `${everyMonths(random, step)} ${which}`, timeOfDay(random, hour, minute)),
      };
    },
  },
  {
    name: "in a month",
    schedules: 150,
    phrasings: 1,
    draw: (random) => {
      const [month, days, hour, minute] = [
        random.between(1, 12),
        random.pick([everyDay, everyDay, weekdays, oneDay])(random),
        drawHour(random),
        drawMinute(random),
      ];
      const when = random.pick(["in", "in", "during"]);
      const phrase = `${dayAndTime(random, days.phrase, timeOfDay(random, hour, minute))} ${when} ${MONTH_NAMES[month - 1]}`;
      return { expression: `${minute} ${hour} * ${month} ${days.field}`, phrase };
    },
  },
  {
    name: "in a range of months",
    schedules: 80,
    phrasings: 1,
    draw: (random) => {
      const from = random.between(1, 10);
      const to = random.between(from + 2, 12);
      const [days, hour, minute] = [random.pick([everyDay, weekdays])(random), drawHour(random), drawMinute(random)];
      const span = random.pick([
        `from ${MONTH_NAMES[from - 1]} to ${MONTH_NAMES[to - 1]}`,
        `from ${MONTH_NAMES[from - 1]} through ${MONTH_NAMES[to - 1]}`,
      ]);
      return {
        expression: `${minute} ${hour} * ${from}-${to} ${days.field}`,
        phrase: `${dayAndTime(random, days.phrase, timeOfDay(random, hour, minute))}, ${span}`,
      };
    },
  },
];

export const FAMILIES: readonly Family[] = [...hourFamilies, ...dayFamilies, ...windowFamilies, ...monthFamilies];

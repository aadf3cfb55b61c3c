import cronstrue from "cronstrue";
import { scheduleKey } from "../../src/workflows/demo/cron-score.js";
import { FAMILIES, type Family, type Phrased } from "./families.js";
import { type Random, seededRandom } from "./random.js";

/** One line of the data: the question in English, the answer in cron. */
export interface CronRow {
  readonly messages: readonly [
    { readonly role: "system"; readonly content: string },
    { readonly role: "user"; readonly content: string },
    { readonly role: "assistant"; readonly content: string },
  ];
}

export interface CronData {
  readonly train: readonly CronRow[];
  readonly valid: readonly CronRow[];
  readonly test: readonly CronRow[];
}

/**
 * The instruction of every row, so that the untrained model, too, is told what is wanted. Short, because every row is read
 * whole in every step; a row without one would get the template's own, which is five times as long.
 */
export const INSTRUCTION = "Write a cron expression.";

const SEED = 20250117;
const VALID_ROWS = 120;
const TEST_ROWS = 100;
/** The share of rows whose text is cronstrue's; the others are said in the words of this folder. */
const CRONSTRUE_SHARE = 0.2;
/** Families smaller than this stay whole in training: to hold a member out would be to withhold a word, not a combination. */
const SMALLEST_SPLIT_FAMILY = 50;

interface Schedule {
  readonly key: string;
  readonly family: Family;
  readonly rows: readonly CronRow[];
}

/**
 * Makes the three files' rows, the same on every run. Schedules are told apart by meaning, and each belongs to one file alone:
 * what is asked in the test was never trained, though its parts (this hour, that day) were.
 */
export function buildCronData(): CronData {
  const random = seededRandom(SEED);
  const schedules = random.shuffle(drawSchedules(random));
  const large = schedules.filter((schedule) => schedule.family.schedules >= SMALLEST_SPLIT_FAMILY);
  const test = large.slice(0, TEST_ROWS);
  const valid = large.slice(TEST_ROWS, TEST_ROWS + VALID_ROWS);
  const heldOut = new Set([...test, ...valid]);
  const train = schedules.filter((schedule) => !heldOut.has(schedule));
  const first = (schedule: Schedule) => schedule.rows.slice(0, 1);
  return { train: random.shuffle(train.flatMap((schedule) => schedule.rows)), valid: valid.flatMap(first), test: test.flatMap(first) };
}

function drawSchedules(random: Random): Schedule[] {
  const byKey = new Map<string, Schedule>();
  for (const family of FAMILIES) {
    const found = new Map<string, Phrased[]>();
    const complete = () => found.size === family.schedules && [...found.values()].every((said) => said.length === family.phrasings);
    // A small family has few phrasings for a schedule, so the search for different ones is bounded.
    for (let attempt = 0; attempt < 200 * family.schedules && !complete(); attempt++) {
      const drawn = family.draw(random);
      const key = scheduleKey(drawn.expression);
      if (byKey.has(key)) continue;
      const said = found.get(key);
      if (said === undefined && found.size < family.schedules) found.set(key, [drawn]);
      else if (said !== undefined && said.length < family.phrasings && said.every(({ phrase }) => phrase !== drawn.phrase))
        said.push(drawn);
    }
    for (const [key, said] of found) byKey.set(key, { key, family, rows: said.map((phrased) => row(random, phrased)) });
  }
  return [...byKey.values()];
}

function row(random: Random, { expression, phrase }: Phrased): CronRow {
  const text = random.chance(CRONSTRUE_SHARE) ? describe(random, expression) : dress(random, phrase);
  return {
    messages: [
      { role: "system", content: INSTRUCTION },
      { role: "user", content: text },
      { role: "assistant", content: expression },
    ],
  };
}

/** cronstrue's description under one of its options. (`dayOfWeekStartIndexZero` changes how digits are read, not the words, so it stays at cron's 0.) */
function describe(random: Random, expression: string): string {
  const options = random.pick([
    {},
    { use24HourTimeFormat: true },
    { trimHoursLeadingZero: true },
    { verbose: true },
    { verbose: true, use24HourTimeFormat: true },
  ]);
  const text = cronstrue.toString(expression, options);
  return random.chance(0.5) ? text : text.charAt(0).toLowerCase() + text.slice(1);
}

const TASKS = [
  "run",
  "run this",
  "run the job",
  "run the backup",
  "send the report",
  "clear the cache",
  "sync the files",
  "remind me",
  "start it",
];

/** Half of the phrases stand alone, the others in a sentence: a task before or after, politely or not. */
function dress(random: Random, phrase: string): string {
  if (random.chance(0.5)) return random.chance(0.75) ? phrase : phrase.charAt(0).toUpperCase() + phrase.slice(1);
  const task = random.pick(TASKS);
  return random.pick([
    `${task} ${phrase}`,
    `${task} ${phrase}`,
    `please ${task} ${phrase}`,
    `${phrase}, please`,
    `I want to ${task.replace(/\bme\b/, "them")} ${phrase}`,
    `${phrase}, ${task}`,
    `can you ${task} ${phrase}?`,
    `it should run ${phrase}`,
  ]);
}

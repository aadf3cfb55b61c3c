import { cpSync } from "node:fs";
import { join } from "node:path";
import type { Input, Reader, Seed } from "./input.js";
import { mutatedInput } from "./mutations/folder.js";
import type { Sandbox } from "./sandbox.js";
import type { Ending, Subject } from "./subject-process.js";

/** The most that one input of at most some hundred kilobytes may make the process grow, bytes. */
const MAX_GROWTH = 384 * 2 ** 20;
/** Characters of the longest message. */
const MAX_MESSAGE = 20_000;
/** Words of the language instead of ours. */
const raw =
  /Cannot (read|set) propert|Cannot (convert|destructure)|is not (a function|iterable|a constructor|defined)|Maximum call stack|Invalid (array|typed array|string) length|Array buffer allocation|\[object \w+\]|ERR_ACCESS_DENIED/;

/** What an input showed. */
export interface Finding {
  readonly reader: string;
  /** Its number, or the name of the file that should have been read. */
  readonly input: string;
  readonly what: string;
}

/** How the inputs of a reader went. */
export interface Tally {
  readonly reader: string;
  /** Whole files from which the inputs were made. */
  readonly seeds: number;
  readonly inputs: number;
  readonly read: number;
  readonly refused: number;
  /** Of the input that took most: bytes by which the process grew, and processor time in seconds. */
  readonly mostGrown: number;
  readonly longest: number;
  readonly findings: readonly Finding[];
}

export interface CampaignOptions {
  readonly seed: number;
  readonly inputs: number;
  /** The number of the first input. */
  readonly from: number;
  /** Where inputs with a finding are kept; nowhere by default. */
  readonly keep: string | undefined;
  /** Inputs by name, which are read in place of new ones. */
  readonly kept?: ReadonlyMap<string, Input> | undefined;
  readonly onFinding: (finding: Finding) => void;
}

/** Has a reader read its seeds, some of which it must take, and then mutated inputs made of those; or inputs of earlier campaigns. */
export async function runCampaign(reader: Reader, subject: Subject, sandbox: Sandbox, options: CampaignOptions): Promise<Tally> {
  const { seed, from, keep, kept, onFinding } = options;
  const findings: Finding[] = [];
  const count = { inputs: 0, read: 0, refused: 0, mostGrown: 0, longest: 0 };
  const report = (input: string, what: string) => {
    findings.push({ reader: reader.name, input, what });
    onFinding({ reader: reader.name, input, what });
  };
  const perform = async (input: Input, name: string): Promise<Ending["outcome"]> => {
    sandbox.lay(input);
    const ending = await subject.ask({ reader: reader.name, folder: sandbox.input, out: sandbox.out });
    if ("grown" in ending) {
      count.mostGrown = Math.max(count.mostGrown, ending.grown);
      count.longest = Math.max(count.longest, ending.seconds);
    }
    const problems = [...problemsOf(ending), ...sandbox.changes()];
    if (problems.length > 0) report(name, problems.join("\n"));
    if (problems.length > 0 && keep !== undefined)
      cpSync(sandbox.input, join(keep, `${reader.name}-${name}`), { recursive: true, verbatimSymlinks: true });
    return ending.outcome;
  };
  const tally = async (input: Input, name: string) => {
    count.inputs++;
    const outcome = await perform(input, name);
    if (outcome === "read" || outcome === "refused") count[outcome]++;
  };
  const seeds: Seed[] = [];
  if (kept !== undefined) for (const [name, input] of kept) await tally(input, name);
  else {
    // Some of them a reader refuses, as exporting does what the other tool has no word for: they are no place to begin.
    for (const [index, whole] of (await reader.seeds()).entries())
      if ((await perform(whole, `seed-${index}`)) === "read") seeds.push(whole);
    if (seeds.length === 0) report("seeds", "none of the whole files was read");
    for (let number = from; seeds.length > 0 && number < from + options.inputs; number++)
      await tally(mutatedInput(seeds, sandbox.outside, `${reader.name}/${number}`, seed), String(number));
  }
  return { reader: reader.name, seeds: seeds.length, ...count, findings };
}

/** What is wrong with how a reader ended, in words. */
function problemsOf(ending: Ending): string[] {
  const { outcome, words = "" } = ending;
  if (!("grown" in ending) || outcome === "thrown") return [`${outcome}: ${words}`];
  const problems: string[] = [];
  if (outcome === "refused" && (words.trim() === "" || raw.test(words))) problems.push(`refused without words of our own: ${words}`);
  if (words.length > MAX_MESSAGE) problems.push(`a message of ${words.length} characters: ${words.slice(0, 300)} …`);
  if (ending.grown > MAX_GROWTH) problems.push(`the process grew by ${Math.round(ending.grown / 2 ** 20)} MiB`);
  if (ending.polluted.length > 0) problems.push(`every object has ${ending.polluted.join(", ")} now`);
  return problems;
}

import { methods, methodsTaking, variantOf } from "../../lora/variants/index.js";

type Given = Readonly<Record<string, unknown>>;

/**
 * What is wrong with options beside the method of an adapter.
 *
 * @param valueFor an option's value, by default where it was not given
 */
export function methodRules(given: Given, valueFor: (name: string) => unknown, where: (name: string) => string): string[] {
  const method = methods.find((name) => name === valueFor("method"));
  if (method === undefined) return []; // said elsewhere
  const { precision, foreign = [], needsLength } = variantOf(method);
  const problems: string[] = [];
  if (precision !== undefined && given.precision !== precision)
    problems.push(`${where("method")} ${method} is for frozen weights in ${precision}: give ${where("precision")} ${precision}`);
  for (const name of Object.keys(given)) {
    const takers = methodsTaking(name);
    if (takers.length > 0 && !takers.includes(method)) {
      const plural = takers.length > 1 ? "methods" : "method";
      problems.push(`${where(name)} belongs to the ${plural} ${takers.join(" and ")}; ${where("method")} is ${method}`);
    } else if (foreign.includes(name)) problems.push(`${where(name)} means nothing to the method ${method}: leave it out`);
  }
  if (needsLength && "minutes" in given)
    problems.push(`${where("method")} ${method} plans by updates: give ${where("steps")} or ${where("epochs")}, not ${where("minutes")}`);
  return [...problems, ...budgetRules(valueFor, where)];
}

/** Ranks fall for a while, and not to more than they were. */
function budgetRules(valueFor: (name: string) => unknown, where: (name: string) => string): string[] {
  const problems: string[] = [];
  if (Number(valueFor("pruneFrom")) >= Number(valueFor("pruneUntil")))
    problems.push(`${where("pruneFrom")} must lie below ${where("pruneUntil")}`);
  const [rank, target] = [Number(valueFor("rank")), Number(valueFor("targetRank") ?? 0)];
  if (target > rank) problems.push(`${where("targetRank")} ${target} is above ${where("rank")} ${rank}, from which ranks fall`);
  return problems;
}

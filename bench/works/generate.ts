import { readFile, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { join } from "node:path";
import { exists } from "../../src/weights/node/exists.js";
import type { AnswerMeasure } from "../answer-task.js";
import { runForJson } from "../child.js";
import { median } from "../comparison.js";
import { bundle } from "../prepare.js";
import type { AnswerSpeed, GenerateRow } from "../rows.js";
import type { Surroundings, Work } from "../work.js";
import { textIds } from "./texts.js";

const PROMPT_TOKENS = 512;
const NEW_TOKENS = 128;

export const generateWork: Work = {
  name: "generate",
  description: `${NEW_TOKENS} tokens after a prompt of ${PROMPT_TOKENS}, greedy, against llama.cpp with the same weights in Q8_0`,
  measure,
};

interface AnswerSide {
  readonly name: string;
  readonly script: string;
  readonly model: string;
  readonly precision: string;
}

async function measure(surroundings: Surroundings): Promise<GenerateRow> {
  const { root, bench, scratch, options, model, precisions, signal, note } = surroundings;
  const newTokens = options.steps === undefined ? NEW_TOKENS : Math.max(2, options.steps);
  const prompt = join(scratch, "prompt.json");
  await writeFile(prompt, JSON.stringify(await textIds(root, model.codec, PROMPT_TOKENS)));
  const ourScript = await bundle(bench, "answer-ours");
  const ours = precisions.map((precision): AnswerSide => ({ name: precision, script: ourScript, model: model.name, precision }));
  const peer = await peerSide(surroundings);
  const sides = [...ours, ...(peer === undefined ? [] : [peer])];
  const measures = new Map<AnswerSide, AnswerMeasure[]>(sides.map((side) => [side, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const [side, runs] of measures) {
      note(`generate, round ${round} of ${options.rounds}, ${side.name} …`);
      const { script, name: _name, ...told } = side;
      const given = { ...told, prompt, "new-tokens": newTokens, threads: cpus().length };
      const args = Object.entries(given).flatMap(([name, value]) => [`--${name}`, `${value}`]);
      runs.push((await runForJson(process.execPath, [script, ...args], { signal })) as AnswerMeasure);
    }
  }
  const speeds = sides.map((side) => answerSpeed(side.name, measures.get(side) ?? []));
  return generateRow(speeds.slice(0, ours.length), speeds[ours.length] ?? null, { rounds: options.rounds, newTokens });
}

/** Medians of a side's rounds. */
export function answerSpeed(name: string, runs: readonly AnswerMeasure[]): AnswerSpeed {
  return {
    name,
    prefill: median(runs.map(({ first }) => PROMPT_TOKENS / first)),
    decode: median(runs.map(({ others, ids }) => (ids.length - 1) / others)),
    ids: runs[0]?.ids ?? [],
  };
}

export function generateRow(
  all: readonly AnswerSpeed[],
  peer: AnswerSpeed | null,
  { rounds, newTokens }: Pick<GenerateRow, "rounds" | "newTokens">,
): GenerateRow {
  const ours = [...all].sort((a, b) => b.decode - a.decode)[0];
  if (ours === undefined) throw new RangeError("generate was not measured");
  return {
    kind: "generate",
    work: "generate",
    date: new Date().toISOString(),
    rounds,
    promptTokens: PROMPT_TOKENS,
    newTokens,
    ours,
    all,
    peer,
    ratio: peer === null ? null : { prefill: ours.prefill / peer.prefill, decode: ours.decode / peer.decode },
  };
}

/** llama.cpp with the model in Q8_0; undefined, with a note, where something for it is missing. */
async function peerSide({ bench, scratch, model, python, signal, note }: Surroundings): Promise<AnswerSide | undefined> {
  const missing = (what: string): undefined => void note(`llama.cpp is not measured: ${what}. bench/README.md says what it needs.`);
  const version = await installedVersion(scratch);
  if (version === undefined) return missing("node-llama-cpp is not installed");
  if (!model.path.endsWith(".gguf")) return missing(`${model.path} is no GGUF file`);
  const quantised = join(scratch, `${model.name}.q8_0.gguf`);
  if (!(await isNewer(quantised, model.path))) {
    if (python === undefined) return missing("there is no Python to write the model in Q8_0");
    note("writing the model in Q8_0 (once) …");
    await runForJson(python.path, [join(bench, "quantise.py"), model.path, quantised], { signal });
  }
  const script = await bundle(bench, "answer-llama-cpp");
  return { name: `llama.cpp Q8_0 (node-llama-cpp ${version})`, script, model: quantised, precision: "int8" };
}

/** Looks where a program in the folder would find the package. */
async function installedVersion(folder: string): Promise<string | undefined> {
  for (const place of createRequire(join(folder, "run.mjs")).resolve.paths("node-llama-cpp") ?? []) {
    const text = await readFile(join(place, "node-llama-cpp/package.json"), "utf8").catch(() => undefined);
    if (text !== undefined) return JSON.parse(text).version;
  }
  return undefined;
}

async function isNewer(file: string, source: string): Promise<boolean> {
  return (await exists(file)) && (await stat(file)).mtimeMs > (await stat(source)).mtimeMs;
}

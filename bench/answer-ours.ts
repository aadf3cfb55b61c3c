// Our side of the work `generate`: answers a prompt of token ids greedily, and prints how long it took.
import { GenerationProgram } from "../src/generation/generation-program.js";
import { argMax } from "../src/generation/sampling.js";
import { nodeEngine } from "../src/runtime/node/engine.js";
import { openModel } from "../src/workflows/node/open-model.js";
import { readTask, timeAnswer } from "./answer-task.js";

const { model, precision, prompt, newTokens, threads } = readTask();
const opened = await openModel(model, { target: "cpu", precision, threads, answering: true });
const maxPositions = prompt.length + newTokens;
const program = await GenerationProgram.compile(nodeEngine, { model: opened.model, maxPositions }, opened.compile);

async function* answer(): AsyncGenerator<number> {
  const cache = program.cache(1, maxPositions);
  let next: readonly number[] = prompt;
  while (true) {
    const id = argMax(await program.step(cache, [next]));
    yield id;
    next = [id];
  }
}

await timeAnswer(answer(), 4); // the first run plans and takes its memory
console.log(JSON.stringify(await timeAnswer(answer(), newTokens)));
await program.release();

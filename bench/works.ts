import type { Work } from "./work.js";
import { curvesWork } from "./works/curves.js";
import { generateWork } from "./works/generate.js";
import { llama1bWork } from "./works/llama-1b.js";
import { lossWork } from "./works/loss.js";
import { startWork } from "./works/start.js";
import { trainWorks } from "./works/train.js";

/** All works, in the order in which they are done. */
export const works: readonly Work[] = [...trainWorks, startWork, generateWork, llama1bWork, curvesWork, lossWork];

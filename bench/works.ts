import type { Work } from "./work.js";
import { generateWork } from "./works/generate.js";
import { llama1bWork } from "./works/llama-1b.js";
import { trainWorks } from "./works/train.js";

/** All works, in the order in which they are done. */
export const works: readonly Work[] = [...trainWorks, generateWork, llama1bWork];

import type { Work } from "./work.js";
import { trainWorks } from "./works/train.js";

/** All works, in the order in which they are done. */
export const works: readonly Work[] = [...trainWorks];

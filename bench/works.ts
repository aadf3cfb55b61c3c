import type { Work } from "./work.js";
import { adaptersWork } from "./works/adapters.js";
import { curvesWork } from "./works/curves.js";
import { generateWork } from "./works/generate.js";
import { largeModelWorks } from "./works/large-models.js";
import { lossWork } from "./works/loss.js";
import { planWork } from "./works/plan.js";
import { startWork } from "./works/start.js";
import { trainWorks } from "./works/train.js";

/** All works, in the order in which they are done. */
export const works: readonly Work[] = [
  ...trainWorks,
  startWork,
  generateWork,
  adaptersWork,
  ...largeModelWorks,
  planWork,
  curvesWork,
  lossWork,
];

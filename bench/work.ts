import type { DescribedModel } from "../src/workflows/node/open-model.js";
import type { Precision } from "../src/workflows/options.js";
import type { BenchOptions } from "./options.js";
import type { PeerPython } from "./python.js";
import type { ResultRow } from "./rows.js";

/** What a work is measured with. */
export interface Surroundings {
  /** The package's folder. */
  readonly root: string;
  readonly bench: string;
  /** For files of the run; git does not see them. */
  readonly scratch: string;
  readonly options: BenchOptions;
  /** The bench's model. */
  readonly model: DescribedModel;
  /** The folder of the adapter that every side starts from. */
  readonly adapter: string;
  /** Those that this machine computes right. */
  readonly precisions: readonly Precision[];
  /** For PEFT, if there is one. */
  readonly python: PeerPython | undefined;
  /** Ends what runs. */
  readonly signal: AbortSignal;
  readonly note: (message: string) => void;
}

/** Something to be measured: one row of the results. */
export interface Work {
  readonly name: string;
  readonly description: string;
  measure(surroundings: Surroundings): Promise<ResultRow>;
}

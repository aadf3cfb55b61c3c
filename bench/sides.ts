import { join } from "node:path";
import type { Precision } from "../src/workflows/options.js";
import type { PreparedWork } from "./prepare.js";
import type { PeerPython } from "./python.js";
import { training } from "./recipe.js";
import type { SideCommand } from "./side.js";

/** glibc gives no memory back and maps none anew for each step, or PyTorch pays for page faults in every one. */
const tunedAllocator = { MALLOC_MMAP_MAX_: "0", MALLOC_TRIM_THRESHOLD_: `${2 ** 34}`, MALLOC_TOP_PAD_: `${2 ** 30}` };

/** One of the sides of a training work. */
export interface Side {
  readonly name: string;
  /** Computes in fp32. */
  readonly exact: boolean;
  readonly command: SideCommand;
}

/** What every side of a work is told. */
export interface TrainingTask {
  readonly model: string;
  readonly adapter: string;
  readonly work: PreparedWork;
  readonly steps: number;
}

function taskArguments({ model, adapter, work, steps }: TrainingTask, precision: string): string[] {
  return ["--model", model, "--adapter", adapter, "--batches", work.batches, "--steps", `${steps}`, "--precision", precision];
}

/** Of an argument between our own programs. */
export function readPrecision(text: string | undefined): Precision {
  if (text === "fp32" || text === "int8" || text === "4bit") return text;
  throw new Error(`"${text}" is no precision`);
}

/** Ours: the bundled `ours.ts`. */
export function ourSide(script: string, task: TrainingTask, precision: Precision, env: SideCommand["env"] = {}): Side {
  const args = [script, ...taskArguments(task, precision)];
  return { name: precision, exact: precision === "fp32", command: { name: `ours in ${precision}`, command: process.execPath, args, env } };
}

/** PEFT in both of its precisions, the exact one first. */
export function peerSides(python: PeerPython, bench: string, task: TrainingTask): Side[] {
  const allocator = process.platform === "linux" ? ", allocator tuned" : "";
  const recipe = [
    ...["--learning-rate", `${training.learningRate}`, "--beta1", `${training.beta1}`, "--beta2", `${training.beta2}`],
    ...["--epsilon", `${training.epsilon}`, "--weight-decay", `${training.weightDecay}`, "--clip", `${training.clip}`],
  ];
  return (["fp32", "bf16"] as const).map((precision) => {
    const name = `peft ${precision}${allocator}`;
    const args = [join(bench, "peer.py"), ...taskArguments(task, precision), ...recipe];
    const env = { ...tunedAllocator, HF_HUB_OFFLINE: "1" };
    return { name, exact: precision === "fp32", command: { name, command: python.path, args, env } };
  });
}

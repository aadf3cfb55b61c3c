import type { SessionSettings } from "./engine.js";

/**
 * What every ONNX Runtime is told of a session.
 *
 * On the CPU a graph runs as it is written: of all rewritings of the engine one would find something to do, which is written
 * down as the engine would make it (`DynamicQuantizeMatMul`), and their search takes a second of a training program's start.
 * On WebGPU, CommonSubexpressionElimination would merge recomputed nodes with the originals, and ConstantFolding would keep a
 * float32 copy of every converted weight. The list's separator is the semicolon: with commas it is silently ignored.
 */
export function sessionConfig({
  target,
  refuseFallback = false,
  packWeights = false,
}: Pick<SessionSettings, "target" | "refuseFallback" | "packWeights">): {
  readonly graphOptimizationLevel: "all" | "disabled";
  readonly session: Readonly<Record<string, string>>;
  readonly optimization: Readonly<Record<string, string>>;
} {
  return {
    graphOptimizationLevel: target === "cpu" ? "disabled" : "all",
    session: {
      disable_prepacking: packWeights ? "0" : "1",
      // The softmax of a masked score is a denormal number, with which some processors calculate a hundred times slower.
      set_denormal_as_zero: "1",
      ...(refuseFallback ? { disable_cpu_ep_fallback: "1" } : {}),
    },
    optimization: { disable_specified_optimizers: "CommonSubexpressionElimination;ConstantFolding" },
  };
}

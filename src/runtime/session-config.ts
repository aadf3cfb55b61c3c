import type { SessionSettings } from "./engine.js";

/**
 * Entries of a session's configuration that every ONNX Runtime needs of us; all values are strings.
 *
 * CommonSubexpressionElimination would merge recomputed nodes with the originals, and ConstantFolding would keep a
 * float32 copy of every converted weight. The list's separator is the semicolon: with commas it is silently ignored.
 */
export function sessionConfig({ refuseFallback = false, packWeights = false }: Pick<SessionSettings, "refuseFallback" | "packWeights">): {
  readonly session: Readonly<Record<string, string>>;
  readonly optimization: Readonly<Record<string, string>>;
} {
  return {
    session: {
      disable_prepacking: packWeights ? "0" : "1",
      // The softmax of a masked score is a denormal number, with which some processors calculate a hundred times slower.
      set_denormal_as_zero: "1",
      ...(refuseFallback ? { disable_cpu_ep_fallback: "1" } : {}),
    },
    optimization: { disable_specified_optimizers: "CommonSubexpressionElimination;ConstantFolding" },
  };
}

import type { Tensor } from "../../graph/graph.js";
import type { LinearGroup, LinearLayer, ModelContext } from "../architecture.js";

/** The linear layers of a model alone, each through `base`; `onInput` is told what each group reads. */
export function plainLinear(
  base: (x: Tensor, layer: LinearLayer) => Tensor,
  onInput: (x: Tensor, group: LinearGroup) => void = () => {},
): ModelContext["linear"] {
  return <G extends LinearGroup>(x: Tensor, group: G) => {
    onInput(x, group);
    return group.map((layer) => base(x, layer)) as { readonly [K in keyof G]: Tensor };
  };
}

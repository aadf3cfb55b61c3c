import type { Tensor } from "../../graph/graph.js";
import type { LinearGroup, LinearLayer, ModelContext } from "../architecture.js";

/** The linear layers of a model alone, each through `base`. */
export function plainLinear(base: (x: Tensor, layer: LinearLayer) => Tensor): ModelContext["linear"] {
  return <G extends LinearGroup>(x: Tensor, group: G) => group.map((layer) => base(x, layer)) as { readonly [K in keyof G]: Tensor };
}

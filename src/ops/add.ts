import { broadcast } from "../graph/dimension.js";
import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { binary } from "./engine-nodes.js";
import { input } from "./types.js";

// y = a + b, broadcast;  ā = b̄ = ȳ
const addOp = defineOp<null>({
  name: "Add",
  infer: (types) => [float32(...broadcast(input("Add", types, 0).shape, input("Add", types, 1).shape))],
  gradient: ({ dys: [dy] }) => [dy, dy],
  lower: everywhere((e, { inputs: [a = "", b = ""] }) => binary(e, "Add", a, b)),
});

export const add = (a: Tensor, b: Tensor): Tensor => apply(addOp, [a, b], null);

import { describe, expect, test } from "vitest";
import { broadcast, evaluate, product } from "../../src/graph/dimension.js";
import { Graph, printGraph } from "../../src/graph/graph.js";
import { add } from "../../src/ops/add.js";
import { gradients } from "../../src/ops/gradients.js";
import { linear } from "../../src/ops/linear.js";
import { mul } from "../../src/ops/mul.js";
import { reshape } from "../../src/ops/reshape.js";
import { weightedSum } from "../../src/ops/weighted-sum.js";

describe("dimensions", () => {
  test("products are canonical", () => {
    expect(product("tokens", 3, "batch", 2)).toBe("6*batch*tokens");
    expect(product(product("tokens", "batch"), 1)).toBe("batch*tokens");
    expect(product()).toBe(1);
    expect(product("batch", 0)).toBe(0);
  });

  test("an extent is evaluated under bindings, and an unbound symbol is named", () => {
    expect(evaluate("6*batch*tokens", new Map(Object.entries({ batch: 2, tokens: 5 })))).toBe(60);
    expect(evaluate(7, new Map())).toBe(7);
    expect(() => evaluate("batch*tokens", new Map([["batch", 2]]))).toThrow('"tokens" has no value');
  });

  test("shapes broadcast as NumPy's do", () => {
    expect(broadcast(["n", 1], [1, 4])).toEqual(["n", 4]);
    expect(broadcast([4], ["b", "t", 4])).toEqual(["b", "t", 4]);
    expect(broadcast([], [2])).toEqual([2]);
    expect(() => broadcast(["n"], ["m"])).toThrow("[n] and [m] do not broadcast");
  });
});

describe("Graph", () => {
  test("a name asked for twice is one tensor, of one type", () => {
    const graph = new Graph();
    const x = graph.input("x", { dtype: "float32", shape: ["n", 2] });
    expect(graph.input("x", { dtype: "float32", shape: ["n", 2] })).toBe(x);
    expect(() => graph.input("x", { dtype: "float32", shape: ["n", 3] })).toThrow('input "x" is [n, 2] already, not [n, 3]');
    expect(graph.weight("w", [2])).toBe(graph.weight("w", [2]));
    graph.output("y", x);
    expect(() => graph.output("y", x)).toThrow('an output "y" already');
  });

  test("tensors of two graphs do not mix; a constant has as many values as its shape says", () => {
    const [one, two] = [new Graph(), new Graph()];
    expect(() => add(one.scalar(1), two.scalar(1))).toThrow("Add: an input belongs to another graph");
    expect(() => one.constant(Float32Array.of(1, 2), [3])).toThrow("a constant of shape [3] has 3 values, not 2");
  });
});

describe("the reverse sweep", () => {
  test("visits only what leads to a trainable, un-broadcasts, and adds within the product", () => {
    const graph = new Graph();
    const input = (name: string, ...shape: (number | string)[]) => graph.input(name, { dtype: "float32", shape });
    const x = add(input("x", "n", 2), input("bias", 2)); // [n, 2]
    const frozen = mul(input("z", "n", 2), input("z", "n", 2));
    const y = add(linear(x, input("a", 3, 2)), linear(add(x, frozen), input("b", 3, 2)));
    const loss = weightedSum(reshape(y, ["3*n"]), input("c", "3*n"));
    const bias = graph.inputs.get("bias")!;
    graph.output("gradient", gradients(loss, [bias])[0]!);
    expect(printGraph(graph)).toMatchInlineSnapshot(`
      "%15: float32[3*n] = Mul(input:c, constant14) {}
      %16: float32[n, 3] = Reshape(%15) {"to":["n",3]}
      %17: float32[n, 2] = MatrixProduct(%16, input:b, _) {"scale":1,"transposeA":false,"transposeB":false}
      %19: float32[n, 2] = MatrixProduct(%16, input:a, %17) {"scale":1,"transposeA":false,"transposeB":false}
      %20: float32[2] = SumTo(%19) {"to":[2]}
      return gradient = %20"
    `);
  });
});

import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ModelProtoSchema } from "../../src/onnx/generated/onnx_pb.js";
import { encodeModel, type OnnxInitializer } from "../../src/onnx/model.js";

const initializer = (name: string, data: OnnxInitializer["data"]): OnnxInitializer => ({ name, dtype: "bfloat16", shape: [2, 3], data });

test("a model decodes to what was written: nodes in order, symbolic extents, inline and external tensors", () => {
  const bytes = encodeModel({
    nodes: [
      {
        type: "Gemm",
        name: "g",
        inputs: ["x", "w"],
        outputs: ["y"],
        attributes: { transB: { int: 1 }, alpha: { float: 0.5 }, axes: { ints: [0, -1] }, reduction: { string: "add" } },
      },
      { type: "QuickGelu", domain: "com.microsoft", name: "q", inputs: ["y"], outputs: ["z"], attributes: {} },
    ],
    inputs: [{ name: "x", dtype: "float32", shape: ["batch*tokens", 3] }],
    outputs: [{ name: "z", dtype: "int64", shape: [] }],
    initializers: [initializer("w", { file: "model.safetensors", offset: 96, byteLength: 12 }), initializer("v", Uint8Array.of(1, 2))],
  });
  const { graph, opsetImport } = fromBinary(ModelProtoSchema, bytes);
  expect(opsetImport.map(({ domain, version }) => [domain, version])).toEqual([
    ["", 21n],
    ["com.microsoft", 1n],
  ]);
  expect(graph?.node.map(({ opType, domain, name, input, output }) => ({ opType, domain, name, input, output }))).toEqual([
    { opType: "Gemm", domain: "", name: "g", input: ["x", "w"], output: ["y"] },
    { opType: "QuickGelu", domain: "com.microsoft", name: "q", input: ["y"], output: ["z"] },
  ]);
  const [transB, alpha, axes, reduction] = graph?.node[0]?.attribute ?? [];
  expect(transB).toMatchObject({ name: "transB", type: 2, i: 1n });
  expect(alpha).toMatchObject({ name: "alpha", type: 1, f: 0.5 });
  expect(axes).toMatchObject({ name: "axes", type: 7, ints: [0n, -1n] });
  expect(new TextDecoder().decode(reduction?.s)).toBe("add");
  const [w, v] = graph?.initializer ?? [];
  expect(w).toMatchObject({ name: "w", dataType: 16, dims: [2n, 3n], dataLocation: 1 });
  expect(w?.externalData.map(({ key, value }) => [key, value])).toEqual([
    ["location", "model.safetensors"],
    ["offset", "96"],
    ["length", "12"],
  ]);
  expect(v?.rawData).toEqual(Uint8Array.of(1, 2));
  const type = graph?.input[0]?.type?.value;
  const dims = type?.case === "tensorType" ? type.value.shape?.dim.map(({ value }) => value.value) : undefined;
  expect(dims).toEqual(["batch*tokens", 3n]);
});

test("more inline bytes than one file can hold are refused before they are copied", () => {
  const half = new Uint8Array(600_000_000); // never written, so never in memory
  const model = { nodes: [], inputs: [], outputs: [], initializers: [initializer("a", half), initializer("b", half)] };
  expect(() => encodeModel(model)).toThrow("1200000000 bytes of inline tensors do not fit one ONNX file");
});

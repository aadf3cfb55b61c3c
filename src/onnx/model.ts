import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "./generated/onnx_pb.js";

/**
 * Operator set 21: the newest for which the engine's WebGPU provider has a kernel for every node that is written here.
 * At 22 it loses Sin and Cos, at 23 Flatten, at 24 Pad and DequantizeLinear.
 */
const OPERATOR_SET = 21n;
const IR_VERSION = 10n;

const onnxTypes = { float32: 1, uint8: 2, int8: 3, int64: 7, bool: 9, bfloat16: 16, uint4: 21, int4: 22 } as const;
export type OnnxType = keyof typeof onnxTypes;

export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly string: string };

export interface OnnxNode {
  readonly type: string;
  readonly domain?: "com.microsoft" | undefined;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** A graph input or output; a string is a symbolic extent. */
export interface OnnxValue {
  readonly name: string;
  readonly dtype: OnnxType;
  readonly shape: readonly (number | string)[];
}

/** A tensor stored in the model, or pointing into a file beside it. Of 4-bit types a byte holds two, the first in its low half. */
export interface OnnxInitializer {
  readonly name: string;
  readonly dtype: OnnxType;
  readonly shape: readonly number[];
  readonly data: Uint8Array | { readonly file: string; readonly offset: number; readonly byteLength: number };
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Shapes of values that nodes compute, where the engine cannot infer them. */
  readonly values?: readonly OnnxValue[];
  readonly initializers: readonly OnnxInitializer[];
}

/** A protobuf message ends at 2 GiB; weights therefore stay outside, and what is inside is bounded here. */
const MAX_INLINE_BYTES = 1_000_000_000;

/** Bytes of an ONNX model (protobuf). Nodes keep their order: the engine derives its schedule from it. */
export function encodeModel(model: OnnxModel): Uint8Array<ArrayBuffer> {
  const inline = model.initializers.reduce((sum, { data }) => sum + (data instanceof Uint8Array ? data.byteLength : 0), 0);
  if (inline > MAX_INLINE_BYTES) throw new Error(`${inline} bytes of inline tensors do not fit one ONNX file; store them as external data`);
  const message = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: "lorikeet",
    opsetImport: [
      { domain: "", version: OPERATOR_SET },
      { domain: "com.microsoft", version: 1n },
    ],
    graph: {
      name: "lorikeet",
      node: model.nodes.map(encodeNode),
      initializer: model.initializers.map(encodeInitializer),
      input: model.inputs.map(encodeValue),
      output: model.outputs.map(encodeValue),
      valueInfo: (model.values ?? []).map(encodeValue),
    },
  });
  return toBinary(ModelProtoSchema, message);
}

function encodeNode(node: OnnxNode): MessageInitShape<typeof NodeProtoSchema> {
  return {
    name: node.name,
    opType: node.type,
    domain: node.domain ?? "",
    input: [...node.inputs],
    output: [...node.outputs],
    attribute: Object.entries(node.attributes).map(([name, attribute]) => encodeAttribute(name, attribute)),
  };
}

function encodeAttribute(name: string, attribute: OnnxAttribute): MessageInitShape<typeof AttributeProtoSchema> {
  if ("int" in attribute) return { name, type: AttributeType.INT, i: BigInt(attribute.int) };
  if ("float" in attribute) return { name, type: AttributeType.FLOAT, f: attribute.float };
  if ("string" in attribute) return { name, type: AttributeType.STRING, s: new TextEncoder().encode(attribute.string) };
  return { name, type: AttributeType.INTS, ints: attribute.ints.map(BigInt) };
}

function encodeInitializer({ name, dtype, shape, data }: OnnxInitializer): MessageInitShape<typeof TensorProtoSchema> {
  const tensor = { name, dataType: onnxTypes[dtype], dims: shape.map(BigInt) };
  if (data instanceof Uint8Array) return { ...tensor, rawData: data };
  const externalData = [
    { key: "location", value: data.file },
    { key: "offset", value: String(data.offset) },
    { key: "length", value: String(data.byteLength) },
  ];
  return { ...tensor, dataLocation: DataLocation.EXTERNAL, externalData };
}

function encodeValue({ name, dtype, shape }: OnnxValue): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape.map((extent) => ({
    value:
      typeof extent === "number" ? ({ case: "dimValue", value: BigInt(extent) } as const) : ({ case: "dimParam", value: extent } as const),
  }));
  return { name, type: { value: { case: "tensorType", value: { elemType: onnxTypes[dtype], shape: { dim } } } } };
}

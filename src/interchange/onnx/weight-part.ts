/** A tensor of the file. Its bytes are asked for once, when its turn comes. */
export interface WeightPart {
  readonly dtype: "float32" | "int8" | "uint8";
  readonly shape: readonly number[];
  readonly byteLength: number;
  data(): AsyncIterable<Uint8Array>;
}

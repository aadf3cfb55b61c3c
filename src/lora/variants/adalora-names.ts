/** The names of a layer's A, B and e, as PEFT writes them. */
export const A = "lora_A";
export const B = "lora_B";
export const E = "lora_E";

/** An A and a B of some rank. */
export interface Triplet {
  readonly rank: number;
  readonly a: Float32Array; // [rank, inputs]
  readonly b: Float32Array; // [outputs, rank]
}

import type { Located } from "../../json-lines.js";

// What passes between the reader of a Parquet file and the process that decodes it.

/** The file, and what messages call it. A descriptor is handed on to the process that decodes, as that of `DECODED_DESCRIPTOR`. */
export type ToDecode =
  | { readonly name: string; readonly path: string; readonly descriptor?: undefined }
  | { readonly name: string; readonly descriptor: number };

/** More rows are wanted. */
export interface ToDecoder {
  readonly type: "next";
}

export type FromDecoder =
  | { readonly type: "progress" }
  | { readonly type: "rows"; readonly rows: readonly Located[] }
  | { readonly type: "failed"; readonly message: string; readonly isInput: boolean }
  | { readonly type: "end" };

/** Where the decoding process finds a file that is given by a descriptor: behind those for input, output, errors and messages. */
export const DECODED_DESCRIPTOR = 4;

import type { Located } from "../../json-lines.js";

// What passes between the reader of a Parquet file and the thread that decodes it.

/** The file, and what messages call it. A descriptor is the process's, and so every thread's. */
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

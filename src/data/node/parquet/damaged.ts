import { InputError } from "../../../errors.js";

/** A file begins and ends with these bytes.                  https://parquet.apache.org/docs/file-format */
export const PARQUET_MAGIC = "PAR1";

/** What is said of a file that cannot be read. */
export function damaged({ name }: { readonly name: string }, found: string, cause?: unknown): InputError {
  return new InputError(
    `${name}: is a damaged Parquet file, or one that cannot be read (${found}). Fetch it again, or write it as JSONL.`,
    {
      cause,
    },
  );
}

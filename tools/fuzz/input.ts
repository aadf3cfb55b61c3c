/** What lies at one place of an input's folder: bytes, a link to somewhere, or an empty folder. */
export type Entry = Uint8Array | { readonly link: string } | "folder";

/** An input of a reader: what lies in its folder, by path. */
export type Input = ReadonlyMap<string, Entry>;

/** Files as another tool, or this one, wrote them. */
export type Seed = ReadonlyMap<string, Uint8Array>;

/** One way in: which files it is tried with, and what reads them. */
export interface Reader {
  readonly name: string;
  /** Whole inputs. Those that are read without a complaint are the ones that are mutated. */
  seeds(): Promise<readonly Seed[]>;
  /**
   * Reads an input and does with it what a command would.
   *
   * @param folder holds the input
   * @param out the one place that may be written: it does not exist
   */
  read(folder: string, out: string): Promise<unknown>;
}

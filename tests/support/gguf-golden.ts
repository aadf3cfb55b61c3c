import { golden, goldenPath } from "./golden.js";

/** golden.json of tests/golden/gguf; tests/golden/gguf_models.py says what stands in it. */
interface GgufGolden {
  readonly ids: readonly number[];
  readonly models: Readonly<
    Record<
      string,
      {
        readonly architecture: string;
        readonly config: Readonly<Record<string, unknown>>;
        readonly tensors: Readonly<Record<string, { readonly type: string; readonly shape: readonly number[]; readonly sha256: string }>>;
        /** Base64 of float32 [T, V]. */
        readonly logits: string;
        readonly llamaCpp?: string;
      }
    >
  >;
}

export const ggufGolden = golden<GgufGolden>("gguf/golden.json");
export const ggufNames = Object.keys(ggufGolden.models);
export const ggufPath = (name: string): string => goldenPath(`gguf/${name}.gguf`);

/** What golden.json holds of a file. */
export function ggufFacts(name: string): GgufGolden["models"][string] {
  const facts = ggufGolden.models[name];
  if (facts === undefined) throw new Error(`no golden of ${name}`);
  return facts;
}

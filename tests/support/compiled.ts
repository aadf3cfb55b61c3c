import type { ModelGraph } from "../../src/models/architecture.js";
import type { TextCodec } from "../../src/text/tokenizer.js";
import { compileWithWeights, type Device } from "../../src/workflows/node/model-weights.js";
import type { ArchitectureGolden } from "./architecture.js";
import { Random } from "./random.js";

/** A golden's weights as the command line would hold them; its text, in which inputs are measured, are random tokens. */
export function compiled(
  it: Pick<ArchitectureGolden, "folder" | "config" | "checkpoint"> & { readonly model: ModelGraph },
  device: Omit<Device, "target">,
) {
  const random = new Random(7);
  const { vocabulary } = it.model.dimensions;
  const codec = { encode: () => Array.from({ length: 512 }, () => 3 + random.below(vocabulary - 3)) } as unknown as TextCodec;
  const described = { ...it, name: it.folder, path: it.folder, codec, parameters: 0, ggufMetadata: undefined };
  return compileWithWeights(described, { target: "cpu", threads: 1, ...device }, {});
}

import type { Adapter } from "../adapter.js";

/** The parts of an adapter that decide what merging makes of a model, in an order that does not depend on its file. */
export function* fingerprintParts({ config, layers, trained = [] }: Adapter): Generator<string | Float32Array> {
  yield JSON.stringify([config.method, config.tiesWeights, config.trainedTokens ?? []]);
  const byName = <T extends { readonly name: string }>(items: readonly T[]) => [...items].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, rank, scale, a, b, vectors } of byName(layers)) {
    yield JSON.stringify([name, rank, scale]);
    yield a;
    yield b;
    for (const [vector, values] of [...(vectors ?? [])].sort(([one], [other]) => (one < other ? -1 : 1))) {
      yield vector;
      yield values;
    }
  }
  for (const { name, values } of byName(trained)) {
    yield name;
    yield values;
  }
}

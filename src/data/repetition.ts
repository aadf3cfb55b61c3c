/** What is compared of an example. */
export interface Compared {
  readonly ids: Int32Array;
  readonly prompt: string;
  /** The other text of a pair. */
  readonly partner?: { readonly ids: Int32Array } | undefined;
  /** Labels, or values. */
  readonly targets?: ArrayLike<number>;
}

/** Validation examples that say what training examples say. */
export interface Overlap {
  /** Those with a prompt that is trained on too. */
  readonly prompts: number;
  /** Those that are trained on as they are, token for token. */
  readonly examples: number;
}

/** Examples that are, token for token and label for label, the same as an earlier one. */
export function countDuplicates(examples: readonly Compared[]): number {
  return examples.length - new Set(examples.map(digest)).size;
}

export function overlapOf(train: readonly Compared[], validation: readonly Compared[]): Overlap {
  const prompts = new Set(train.map(({ prompt }) => prompt));
  const digests = new Set(train.map(digest));
  return {
    prompts: validation.filter(({ prompt }) => prompts.has(prompt)).length,
    examples: validation.filter((example) => digests.has(digest(example))).length,
  };
}

/** 64 bits of what an example says, by FNV-1a with two offsets (Fowler, Noll, Vo), and how much it says. */
function digest({ ids, partner, targets = [] }: Compared): string {
  let [first, second] = [0x811c9dc5, 0x9dc5811c];
  const parts = [ids, partner?.ids ?? [], Int32Array.from(targets, (target) => Math.round(1e4 * target))];
  for (const part of parts) {
    for (let at = 0; at < part.length; at++) {
      for (let shift = 0; shift < 32; shift += 8) {
        const byte = ((part[at] ?? 0) >>> shift) & 0xff;
        first = Math.imul(first ^ byte, 0x01000193);
        second = Math.imul(second ^ byte ^ (first >>> 24), 0x01000193);
      }
    }
  }
  return [first >>> 0, second >>> 0, ...parts.map(({ length }) => length)].join(".");
}

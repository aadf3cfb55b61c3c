import { InputError } from "../../errors.js";

/** More bytes than any published table has (SentencePiece's nmt_nfkc is 241 kB). */
const maxTableBytes = 8_000_000;

interface Table {
  /** A double-array trie, a unit for each node (darts-clone). */
  readonly units: Uint32Array;
  /** The replacements, each ended by a zero byte. */
  readonly texts: Uint8Array;
}

/** Layout: the trie's size in bytes (uint32), its units (uint32 each), the replacements; all little-endian. */
function readTable(bytes: Uint8Array, file: string): Table {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.length < 4 ? -1 : view.getUint32(0, true);
  if (bytes.length > maxTableBytes || size < 4 || size % 4 !== 0 || size > bytes.length - 4) {
    throw new InputError(`${file}: its "precompiled_charsmap" is no table of SentencePiece.`);
  }
  const units = Uint32Array.from({ length: size / 4 }, (_, index) => view.getUint32(4 + 4 * index, true));
  return { units, texts: bytes.subarray(4 + size) };
}

// Fields of a unit, from darts-clone.
const isLeaf = (unit: number): boolean => ((unit >>> 8) & 1) === 1;
const placeOf = (unit: number): number => unit & 0x7fffffff;
const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0;
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The replacement of the shortest entry that the text begins with, whatever follows it, as Python's tokenizers takes it. */
function replacementOf({ units, texts }: Table, text: string): string | undefined {
  let node = offsetOf(units[0] ?? 0);
  for (const byte of encoder.encode(text)) {
    if (byte === 0) return undefined;
    node ^= byte;
    const unit = units[node];
    if (unit === undefined || labelOf(unit) !== byte) return undefined;
    node ^= offsetOf(unit);
    if (isLeaf(unit)) {
      const start = placeOf(units[node] ?? 0);
      const end = texts.indexOf(0, start);
      return decoder.decode(texts.subarray(start, end < 0 ? texts.length : end));
    }
  }
  return undefined;
}

function bytesOfBase64(text: string, file: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw new InputError(`${file}: its "precompiled_charsmap" is not base64.`, { cause });
  }
}

/** Grapheme clusters of more bytes are replaced character by character. */
const longestCluster = 5;

/**
 * SentencePiece's table of replacements (`normalizer_spec.precompiled_charsmap`), applied to each grapheme cluster or, where the
 * table has no entry for it, to its characters.
 */
export function createPrecompiledNormalizer(base64: string, file: string): (text: string) => string {
  const table = readTable(bytesOfBase64(base64, file), file);
  const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
  const known = new Map<string, string | undefined>();
  const replace = (text: string): string | undefined => {
    if (!known.has(text)) known.set(text, replacementOf(table, text));
    return known.get(text);
  };
  return (text) => {
    let out = "";
    for (const { segment } of segmenter.segment(text)) {
      const whole = encoder.encode(segment).length <= longestCluster ? replace(segment) : undefined;
      out += whole ?? Array.from(segment, (character) => replace(character) ?? character).join("");
    }
    return out;
  };
}

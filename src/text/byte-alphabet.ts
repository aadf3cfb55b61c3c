/**
 * The printable alphabet of byte-level BPE: each of the 256 bytes is written as one character, printable ASCII and Latin-1
 * as themselves, the rest from U+0100 on. Source: Radford et al. 2019 (GPT-2), `bytes_to_unicode` in its released encoder.
 */
const byteOfCharacter: ReadonlyMap<string, number> = (() => {
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    map.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return map;
})();

const encoder = new TextEncoder();

/** The bytes that a byte-level token stands for, or undefined when it holds a character outside the alphabet. */
export function bytesOfByteLevelToken(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCharacter.get(token.charAt(i));
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}

const characterOfByte: readonly string[] = (() => {
  const characters = new Array<string>(256).fill("");
  for (const [character, byte] of byteOfCharacter) characters[byte] = character;
  return characters;
})();

/** A text in the alphabet: one character for each byte of its UTF-8. */
export function byteLevelForm(text: string): string {
  let form = "";
  for (const byte of encoder.encode(text)) form += characterOfByte[byte];
  return form;
}

/** The byte of a SentencePiece byte token, `<0x41>`; undefined for other tokens. */
export function byteOfFallbackToken(token: string): number | undefined {
  const digits = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

/** The byte tokens of a text. */
export const byteTokens = (text: string): string[] =>
  Array.from(encoder.encode(text), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

/** The bytes that a SentencePiece token stands for: `<0xNN>` is one byte, U+2581 is a space, the rest is UTF-8. */
export function bytesOfSentencePieceToken(token: string): Uint8Array {
  const byte = byteOfFallbackToken(token);
  return byte === undefined ? encoder.encode(token.replaceAll("\u2581", " ")) : Uint8Array.of(byte);
}

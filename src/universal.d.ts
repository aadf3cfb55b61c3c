// What Node and every browser share and the portable rooms may use. Only tsconfig.portable.json reads this file;
// elsewhere the platform's own types hold.

declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}

declare class TextDecoder {
  constructor(encoding?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: ArrayBufferView | ArrayBuffer, options?: { stream?: boolean }): string;
}

interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
}

/** Base64 as a string of one character a byte. */
declare function atob(base64: string): string;

/**
 * Turns token ids into text that can be shown while it grows: holds back bytes of an unfinished character, and text that
 * may become a stop string.
 */
export class TextStream {
  readonly #decode: (ids: readonly number[]) => string;
  readonly #stops: readonly string[];
  readonly #ids: number[] = [];
  #shown = 0;
  #stopped = false;

  constructor(decode: (ids: readonly number[]) => string, stops: readonly string[] = []) {
    this.#decode = decode;
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** Whether a stop string has appeared; it and what follows are never shown. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Takes a token and returns the text that has become certain. */
  push(id: number): string {
    this.#ids.push(id);
    const text = this.#decode(this.#ids);
    const stop = firstOf(text, this.#stops);
    if (stop !== undefined) {
      this.#stopped = true;
      return this.#show(text, stop);
    }
    return this.#show(text, certainLength(text, this.#stops));
  }

  /** The rest, when no token follows. */
  end(): string {
    if (this.#stopped) return "";
    const text = this.#decode(this.#ids);
    return this.#show(text, text.length);
  }

  #show(text: string, end: number): string {
    if (end <= this.#shown) return "";
    const piece = text.slice(this.#shown, end);
    this.#shown = end;
    return piece;
  }
}

function firstOf(text: string, stops: readonly string[]): number | undefined {
  const places = stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
  return places.length === 0 ? undefined : Math.min(...places);
}

/** Length of the text without a replacement character at its end and without the beginning of a stop string. */
function certainLength(text: string, stops: readonly string[]): number {
  let end = text.length;
  while (end > 0 && text[end - 1] === "\uFFFD") end--;
  const held = stops.map((stop) => overlap(text.slice(0, end), stop));
  return end - Math.max(0, ...held);
}

/** The longest end of the text that is a beginning of the stop string. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}

/** Which things stand beside more than one other, all by their numbers. */
export class Companions {
  readonly #first: number[] = [];
  readonly #several = new Set<number>();

  add(thing: number, companion: number): void {
    const first = this.#first[thing];
    if (first === undefined) this.#first[thing] = companion;
    else if (first !== companion) this.#several.add(thing);
  }

  /** How many of them do. */
  get several(): number {
    return this.#several.size;
  }
}

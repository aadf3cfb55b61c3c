/** Places whose marks lie in one array. */
const PAGE = 1024;

/** A small number for each slot at each place of a text, zero at first. Takes memory only where one was set. */
export class Marks {
  private readonly pages = new Map<number, Uint8Array>();
  private dropped = 0;

  constructor(private readonly slots: number) {}

  get(at: number, slot: number): number {
    return this.pages.get(Math.floor(at / PAGE))?.[(at % PAGE) * this.slots + slot] ?? 0;
  }

  set(at: number, slot: number, mark: number): void {
    const number = Math.floor(at / PAGE);
    let page = this.pages.get(number);
    if (page === undefined) {
      page = new Uint8Array(PAGE * this.slots);
      this.pages.set(number, page);
    }
    page[(at % PAGE) * this.slots + slot] = mark;
  }

  /** Forgets the places of whole pages before one. */
  dropBefore(at: number): void {
    for (; this.dropped < Math.floor(at / PAGE); this.dropped++) this.pages.delete(this.dropped);
  }
}

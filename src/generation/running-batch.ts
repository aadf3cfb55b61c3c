import { AdapterRows } from "../lora/serving/adapter-rows.js";
import type { ServedAdapter } from "../lora/serving/served-adapter.js";
import type { GenerationProgram } from "./generation-program.js";
import type { GenerateTokensOptions } from "./generator.js";
import type { KeyValueCache } from "./key-value-cache.js";
import { assertNumbers, chooseToken } from "./sampling.js";

/** Why an answer ended: the model or its reader ended it, or it reached its limit. */
export type Ending = "stop" | "length";

/** What one row of a batch is asked, and who hears its answer. */
export interface RowRequest extends Omit<GenerateTokensOptions, "signal"> {
  /** For a program with sites; none for the model as it is. */
  readonly adapter?: ServedAdapter | undefined;
  /** Takes the next token. @returns whether the answer goes on */
  readonly onToken: (id: number) => boolean;
  readonly onEnd: (ending: Ending) => void;
}

/** An answer that is being written. */
export class Row {
  readonly request: RowRequest;
  /** Most tokens of the answer. */
  readonly limit: number;
  readonly #seen: number[];

  constructor(request: RowRequest, maxPositions: number) {
    this.request = request;
    this.limit = Math.min(request.maxNewTokens, maxPositions - request.prompt.length);
    this.#seen = [...request.prompt];
  }

  get last(): number {
    return this.#seen.at(-1) ?? 0;
  }

  /** Chooses the next token. @returns whether the answer goes on */
  choose(logits: Float32Array): boolean {
    const { request } = this;
    const count = this.#seen.length - request.prompt.length + 1;
    assertNumbers(logits, count);
    const id = chooseToken(logits, this.#seen, request.sampling, request.random);
    this.#seen.push(id);
    if (request.endIds.has(id) || !request.onToken(id)) return this.#end("stop");
    return count < this.limit || this.#end("length");
  }

  #end(ending: Ending): false {
    this.request.onEnd(ending);
    return false;
  }
}

/** Rows that are answered together, each in a place of one cache. A row that ended leaves its place empty until another takes it. */
export class RunningBatch {
  readonly #program: GenerationProgram;
  readonly #cache: KeyValueCache;
  readonly #rows: (Row | undefined)[];
  readonly #adapters: AdapterRows | undefined;

  private constructor(program: GenerationProgram, rows: readonly (Row | undefined)[]) {
    const expected = Math.max(...rows.map((row) => (row === undefined ? 0 : row.request.prompt.length + row.limit)));
    this.#program = program;
    this.#rows = [...rows];
    this.#cache = program.cache(rows.length, expected);
    this.#adapters = program.sites === undefined ? undefined : new AdapterRows(program.sites, this.#adapterList());
  }

  /** Feeds the prompts of rows, at least one, and chooses their first tokens. */
  static async begin(program: GenerationProgram, rows: readonly Row[]): Promise<RunningBatch> {
    // Neighbours with one adapter can share its product; see `bestParts`.
    const adapters = [...new Set(rows.map(({ request }) => request.adapter))];
    const batch = new RunningBatch(
      program,
      adapters.flatMap((adapter) => rows.filter(({ request }) => request.adapter === adapter)),
    );
    await batch.#feed((row) => row.request.prompt);
    return batch;
  }

  get live(): readonly Row[] {
    return this.#rows.filter((row) => row !== undefined);
  }

  /** Places, empty ones too. */
  get places(): number {
    return this.#rows.length;
  }

  /** Writes one more token of every row. */
  async step(): Promise<void> {
    await this.#feed((row) => [row.last]);
  }

  /** All that go on of two batches, in the first one where it has places for them. */
  joined(other: RunningBatch): RunningBatch {
    const newcomers = other.live;
    if (this.places - this.live.length < newcomers.length) return RunningBatch.#moved(this.#program, [this, other]);
    for (const row of newcomers) this.#adopt(this.#rows.indexOf(undefined), other, row);
    return this;
  }

  /** The same rows without empty places. */
  compacted(): RunningBatch {
    return RunningBatch.#moved(this.#program, [this]);
  }

  static #moved(program: GenerationProgram, batches: readonly RunningBatch[]): RunningBatch {
    const from = batches.flatMap((batch) => batch.live.map((row) => [batch, row] as const));
    const moved = new RunningBatch(
      program,
      from.map(([, row]) => row),
    );
    for (const [place, [batch, row]] of from.entries()) moved.#adopt(place, batch, row);
    return moved;
  }

  #adopt(place: number, other: RunningBatch, row: Row): void {
    this.#rows[place] = row;
    this.#cache.adopt(place, other.#cache, other.#rows.indexOf(row));
  }

  async #feed(tokensOf: (row: Row) => readonly number[]): Promise<void> {
    this.#adapters?.assign(this.#adapterList());
    const tokens = this.#rows.map((row) => (row === undefined ? [] : tokensOf(row)));
    const logits = await this.#program.step(this.#cache, tokens, this.#adapters);
    const { vocabulary } = this.#program;
    for (const [place, row] of this.#rows.entries()) {
      const goesOn = row?.choose(logits.subarray(place * vocabulary, (place + 1) * vocabulary));
      if (goesOn === false) this.#rows[place] = undefined;
    }
  }

  #adapterList() {
    return this.#rows.map((row) => row?.request.adapter);
  }
}

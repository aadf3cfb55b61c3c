import { InputError } from "../errors.js";
import { type AdapterLayout, type LayoutEntry, viewOf } from "../lora/layout.js";
import type { AdapterRows } from "../lora/serving/adapter-rows.js";
import type { AdapterSites } from "../lora/serving/sites.js";
import type { LanguageModelGraph } from "../models/architecture.js";
import { positionOffset } from "../models/parts/position-offset.js";
import type { CacheUse } from "../ops/cached-attention.js";
import type { Engine, HostData } from "../runtime/engine.js";
import { type CompileOptions, Program } from "../runtime/program.js";
import { buildGenerationGraph, maskName, pastDimensions } from "./generation-graph.js";
import { KeyValueCache } from "./key-value-cache.js";

/** An adapter that a generation program applies: its layout, and its values, which may change between runs. */
export interface AppliedAdapter {
  readonly layout: AdapterLayout;
  readonly vector: Float32Array;
}

export interface GenerationProgramOptions {
  readonly model: LanguageModelGraph;
  /** An adapter that all sequences have. */
  readonly adapter?: AppliedAdapter | undefined;
  /** Instead of it: where each sequence may have an adapter of its own, which a step is handed. */
  readonly sites?: AdapterSites | undefined;
  readonly maxPositions: number;
}

/** What answers are computed with: a program, or one whose sequences have adapters; see `withAdapters`. */
export type Stepper = Pick<GenerationProgram, "vocabulary" | "maxPositions" | "cache" | "step">;

/** A program with sites, the adapters of its sequences given. */
export function withAdapters(program: GenerationProgram, adapters: AdapterRows): Stepper {
  return {
    vocabulary: program.vocabulary,
    maxPositions: program.maxPositions,
    cache: (batch, expectedLength) => program.cache(batch, expectedLength),
    step: (cache, sequences) => program.step(cache, sequences, adapters),
  };
}

/**
 * The most tokens of a sequence that are fed at once. What a piece does not see yet, the later tokens of a prompt, is not
 * computed, and no more than the scores of one piece live at a time.
 */
const TOKENS_PER_PIECE = 256;

interface Programs {
  readonly any: Program;
  readonly oneToken: Program | undefined;
  /** The window of each block. */
  readonly windows: readonly (number | undefined)[];
}

/** Next-token logits of sequences that grow: a step feeds each sequence its new tokens. */
export class GenerationProgram {
  readonly vocabulary: number;
  readonly maxPositions: number;
  /** Where each sequence may have an adapter of its own; undefined for a program that takes none, or one for all. */
  readonly sites: AdapterSites | undefined;
  readonly #program: Program;
  /** For a single token of a single sequence, where that is a program of its own. */
  readonly #oneToken: Program | undefined;
  readonly #windows: Programs["windows"];
  readonly #model: LanguageModelGraph;
  readonly #adapter: AppliedAdapter | undefined;
  readonly #inputs: ReadonlyMap<string, LayoutEntry>;

  private constructor(programs: Programs, inputs: ReadonlyMap<string, LayoutEntry>, options: GenerationProgramOptions) {
    this.#program = programs.any;
    this.#oneToken = programs.oneToken;
    this.#windows = programs.windows;
    this.#inputs = inputs;
    this.#model = options.model;
    this.#adapter = options.adapter;
    this.vocabulary = options.model.dimensions.vocabulary;
    this.maxPositions = options.maxPositions;
    this.sites = options.sites;
  }

  static async compile(engine: Engine, options: GenerationProgramOptions, compile: CompileOptions): Promise<GenerationProgram> {
    const forms = [...options.model.weights.keys()].map(compile.weights);
    const ownForm = forms.some(({ answering }) => answering !== undefined);
    // In float32 the engine's products read the weights as they are: a copy of them would gain little.
    const packed = { ...compile, packWeights: ownForm || forms.some(({ int8 }) => int8 !== undefined) };
    const build = (use: CacheUse) => buildGenerationGraph({ ...options, layout: options.adapter?.layout, use });
    const { graph, inputs, windows } = build(ownForm ? "joined" : "apart");
    const any = await Program.compile(graph, engine, packed);
    // A token that sees itself alone needs a mask.
    const oneToken = ownForm && !windows.includes(1) ? await Program.compile(build("oneToken").graph, engine, packed) : undefined;
    return new GenerationProgram({ any, oneToken, windows }, inputs, options);
  }

  /** An empty cache for a batch of sequences. */
  cache(batch: number, expectedLength: number): KeyValueCache {
    const { blocks, kvHeads, headSize } = this.#model.dimensions;
    return new KeyValueCache({ batch, blocks, kvHeads, headSize }, expectedLength);
  }

  /**
   * Feeds each sequence its new tokens, a piece of all of them at a time, and takes them into the cache. A sequence that has begun
   * may be given none: it stays as it is, and its row of the result means nothing.
   *
   * @param adapters the adapters of the sequences, for a program with sites
   * @returns the logits [B, V] of the token after each sequence's last
   * @throws InputError when a sequence is empty or becomes longer than the program's positions; the cache is then unchanged.
   */
  async step(cache: KeyValueCache, sequences: readonly (readonly number[])[], adapters?: AdapterRows): Promise<Float32Array> {
    for (const [sequence, ids] of sequences.entries()) this.#checkLength(cache.length(sequence) + ids.length);
    const fed = sequences.map((ids, sequence) => this.#fed(cache, sequence, ids));
    const longest = Math.max(...fed.map(({ length }) => length));
    const piece = Math.ceil(longest / Math.ceil(longest / TOKENS_PER_PIECE)); // as equal as can be
    const tokensFrom = (from: number) => fed.map((ids) => ids.slice(from, from + piece));
    const result = await this.#run(cache, tokensFrom(0), adapters);
    for (let from = piece; from < longest; from += piece) {
      const logits = await this.#run(cache, tokensFrom(from), adapters);
      for (const [sequence, { length }] of fed.entries()) {
        const row = [sequence * this.vocabulary, (sequence + 1) * this.vocabulary] as const;
        if (length > from) result.set(logits.subarray(...row), row[0]);
      }
    }
    return result;
  }

  /** The new tokens of a sequence, with all that it holds where they bring it to a length that has other positions. */
  #fed(cache: KeyValueCache, sequence: number, ids: readonly number[]): readonly number[] {
    const offset = positionOffset(this.#model.dimensions, cache.length(sequence) + ids.length);
    if (ids.length === 0 || offset === cache.offset(sequence)) return ids;
    const all = [...cache.ids(sequence), ...ids];
    cache.restart(sequence, offset);
    return all;
  }

  async #run(cache: KeyValueCache, sequences: readonly (readonly number[])[], given: AdapterRows | undefined): Promise<Float32Array> {
    const counts = sequences.map(({ length }) => length);
    const tokens = Math.max(...counts);
    const size = sequences.length * tokens;
    const ids = new BigInt64Array(size);
    const positions = new BigInt64Array(size);
    for (const [sequence, newIds] of sequences.entries()) {
      const past = cache.offset(sequence) + cache.length(sequence);
      for (const [index, id] of newIds.entries()) {
        ids[sequence * tokens + index] = BigInt(id);
        positions[sequence * tokens + index] = BigInt(past + index);
      }
    }
    const last = BigInt64Array.from(counts, (count, sequence) => BigInt(sequence * tokens + Math.max(count - 1, 0)));
    const alone = sequences.length === 1 && tokens === 1 && cache.length(0) > 0 ? this.#oneToken : undefined;
    const feeds: Record<string, HostData> = { ids, positions, last, ...this.#adapterFeeds() };
    Object.assign(
      feeds,
      cache.feeds((block) => this.#windows[block]),
    );
    const adapters = given?.feeds(tokens);
    Object.assign(feeds, adapters?.feeds);
    const dimensions: Record<string, number> = { batch: sequences.length, tokens, ...adapters?.dimensions };
    for (const window of new Set(this.#windows)) {
      Object.assign(dimensions, pastDimensions(window, cache.rows(window), tokens));
      if (alone === undefined) feeds[maskName(window)] = cache.bias(counts, window);
    }
    const outputs = await (alone ?? this.#program).run(feeds, dimensions);
    cache.append(outputs, sequences);
    const logits = outputs.logits?.data;
    if (!(logits instanceof Float32Array)) throw new Error("the program returned no logits");
    return logits;
  }

  async release(): Promise<void> {
    await this.#program.release();
    await this.#oneToken?.release();
  }

  #checkLength(length: number): void {
    if (length === 0) throw new InputError("The prompt has no tokens, so that nothing can follow it. Give it at least one.");
    if (length <= this.maxPositions) return;
    throw new InputError(`The text has ${length} tokens, the model is run with at most ${this.maxPositions}. Shorten the prompt.`);
  }

  #adapterFeeds(): Record<string, HostData> {
    const feeds: Record<string, HostData> = {};
    if (this.#adapter !== undefined) for (const [name, entry] of this.#inputs) feeds[name] = viewOf(this.#adapter.vector, entry);
    return feeds;
  }
}

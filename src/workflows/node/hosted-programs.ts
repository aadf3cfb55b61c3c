import { GenerationProgram, withAdapters } from "../../generation/generation-program.js";
import { GenerationSession } from "../../generation/generator.js";
import { AdapterRows } from "../../lora/serving/adapter-rows.js";
import type { ServedAdapter } from "../../lora/serving/served-adapter.js";
import { covers, sitesOf } from "../../lora/serving/sites.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import type { OpenedModel } from "./open-model.js";

/** A conversation, and the program that it goes on with. */
interface Conversation {
  readonly program: GenerationProgram;
  readonly session: GenerationSession;
}

/**
 * The compiled programs of a loaded model: one without adapters, compiled when it is asked for, and one for every adapter, whose matrices
 * are its inputs. That one is compiled again only where an adapter comes that sits at other layers than those before it, or is the first
 * to have gains, and then takes the place of the former.
 */
export class HostedPrograms {
  readonly #opened: OpenedModel;
  #plain: Promise<GenerationProgram> | undefined;
  #adapted: GenerationProgram | undefined;
  /** Those of adapters that need one of their own. */
  readonly #own = new Map<ServedAdapter, GenerationProgram>();
  readonly #conversations = new Map<ServedAdapter | undefined, Conversation>();

  constructor(opened: OpenedModel) {
    this.#opened = opened;
  }

  /** Makes sure that all adapters that are loaded go into the program for adapters. */
  async admit(all: readonly ServedAdapter[]): Promise<void> {
    const adapters = all.filter(({ alone }) => alone === undefined);
    const sites = this.#adapted?.sites;
    if (adapters.every((adapter) => sites !== undefined && covers(sites, adapter))) return;
    const former = this.#adapted;
    const { model, compile } = this.#opened;
    const options = { model, sites: sitesOf(adapters, model.linearGroups), maxPositions: model.dimensions.maxPositions };
    this.#adapted = await GenerationProgram.compile(nodeEngine, options, compile);
    await former?.release();
  }

  /** Forgets what was said with an adapter. */
  async forget(adapter: ServedAdapter): Promise<void> {
    this.#conversations.delete(adapter);
    await this.#own.get(adapter)?.release();
    this.#own.delete(adapter);
  }

  /** The program of an adapter that needs one of its own. */
  async #ownProgram(adapter: ServedAdapter): Promise<GenerationProgram> {
    const { model, compile } = this.#opened;
    const options = { model, adapter: adapter.alone, maxPositions: model.dimensions.maxPositions };
    const program = this.#own.get(adapter) ?? (await GenerationProgram.compile(nodeEngine, options, compile));
    this.#own.set(adapter, program);
    return program;
  }

  /** The program for rows with adapters and without, or for rows without any. */
  async program({ adapted }: { readonly adapted: boolean }): Promise<GenerationProgram> {
    const { model, compile } = this.#opened;
    if (!adapted) {
      this.#plain ??= GenerationProgram.compile(nodeEngine, { model, maxPositions: model.dimensions.maxPositions }, compile);
      return this.#plain;
    }
    if (this.#adapted === undefined) throw new Error("no adapter was admitted");
    return this.#adapted;
  }

  /** The conversation with an adapter, or with the model as it is. */
  async session(adapter: ServedAdapter | undefined): Promise<GenerationSession> {
    const program = adapter?.alone ? await this.#ownProgram(adapter) : await this.program({ adapted: adapter !== undefined });
    const held = this.#conversations.get(adapter);
    if (held?.program === program) return held.session;
    const stepper = program.sites === undefined ? program : withAdapters(program, new AdapterRows(program.sites, [adapter]));
    const session = new GenerationSession(stepper);
    this.#conversations.set(adapter, { program, session });
    return session;
  }
}

import { resolve } from "node:path";
import { InputError } from "../../errors.js";
import { parameterCount } from "../../lora/peft-tensors.js";
import { type ServedAdapter, servedAdapter } from "../../lora/serving/served-adapter.js";
import type { LoadedAdapter } from "../api.js";
import { suggestion } from "../parse-options.js";
import { nameAdapter } from "./adapter-name.js";
import { type DownloadContext, findAdapter, type PlacedAdapter } from "./adapter-place.js";
import { appliedTo } from "./applied-adapter.js";
import type { OpenedModel } from "./open-model.js";

/** An adapter beside a model. */
export interface HostedAdapter {
  readonly loaded: LoadedAdapter;
  /** None where it is folded into the weights. */
  readonly served: ServedAdapter | undefined;
}

/** The adapters of a loaded model, by their folders and by their names. */
export class HostedAdapters {
  readonly #byFolder = new Map<string, HostedAdapter>();

  get all(): readonly HostedAdapter[] {
    return [...this.#byFolder.values()];
  }

  get served(): readonly ServedAdapter[] {
    return this.all.flatMap(({ served }) => served ?? []);
  }

  /** The adapter of a folder, if it is loaded. @throws InputError where it has another name than the one asked for */
  known(folder: string, name: string | undefined): LoadedAdapter | undefined {
    const found = this.#byFolder.get(folder)?.loaded;
    if (found === undefined || name === undefined || found.name === name) return found;
    throw new InputError(`${folder} is loaded as "${found.name}" already. Use that name, or unload it first.`);
  }

  /** What a new adapter is called: as asked, or by its folder. @throws InputError where the name is another's */
  nameFor(folder: string, name: string | undefined): string {
    const taken = this.all.map(({ loaded }) => loaded.name);
    if (name === undefined) return nameAdapter(folder, taken);
    if (name.trim() === "") throw new InputError("The name of an adapter must not be empty.");
    const other = this.all.find(({ loaded }) => loaded.name === name);
    if (other === undefined) return name;
    throw new InputError(`"${name}" is the adapter ${other.loaded.directory}. Unload it first, or give the new one another name.`);
  }

  add(adapter: HostedAdapter): void {
    this.#byFolder.set(adapter.loaded.directory, adapter);
  }

  remove({ loaded }: HostedAdapter): void {
    this.#byFolder.delete(loaded.directory);
  }

  /** An adapter by its folder or by its name. @throws InputError where there is none */
  find(given: string): HostedAdapter {
    const found = this.#byFolder.get(given) ?? this.all.find(({ loaded }) => loaded.name === given);
    if (found !== undefined) return found;
    const names = this.all.map(({ loaded }) => loaded.name);
    const known = names.length === 0 ? "; none is" : suggestion(given, names);
    throw new InputError(`The adapter ${given} is not loaded beside this model${known}. Load it with loadAdapter first.`);
  }
}

/** The folder in which an adapter would be found, absolute. */
export const folderOf = async (directory: string, context: DownloadContext): Promise<string> =>
  resolve(await findAdapter(directory, context));

/** What people are told of an adapter. */
export function describeAdapter({ folder, adapter }: PlacedAdapter, name: string): LoadedAdapter {
  return {
    name,
    directory: folder,
    rank: adapter.config.rank,
    layers: adapter.layers.length,
    parameters: parameterCount(adapter),
  };
}

/**
 * An adapter in the form in which a batch takes it.
 *
 * @throws InputError where a value is no finite number: it would reach other rows of its batch, as zero times infinity.
 */
export async function serve({ folder, adapter }: PlacedAdapter, opened: OpenedModel): Promise<ServedAdapter> {
  const { linearGroups } = opened.model;
  const served = servedAdapter(await appliedTo(opened, adapter), linearGroups);
  for (const [name, { a, b, gain }] of [...served.groups.values()].flatMap(({ layers }) => [...layers])) {
    if ([a, b, gain].every((values) => values === undefined || values.every(Number.isFinite))) continue;
    throw new InputError(
      `${folder}: the adapter's values at ${name} are no finite numbers. Its file is damaged, or its training ran away: fetch it again, or train again with a lower --lr.`,
    );
  }
  return served;
}

import { createRandom } from "../../../src/data/random.js";
import type { Entry, Input, Seed } from "../input.js";
import { mutationOf } from "./formats.js";
import { once, pick, type Source } from "./mutation.js";

/** Places outside of an input's folder that it may point to. */
export interface Outside {
  /** A file that nothing may change, and paths of files that nothing may make. */
  readonly file: string;
  readonly escapes: readonly string[];
  /** Things that are no files: a pipe that nobody writes to, a device without an end. */
  readonly special: readonly string[];
}

/** Another thing in place of a file: nothing, a folder, a link out of the folder, to itself, or to what is no file. */
function replace(files: Map<string, Entry>, path: string, { random }: Source, { file, special }: Outside): void {
  const links = [file, path, ".", "..", "nowhere", ...special];
  switch (random.below(4)) {
    case 0:
      files.delete(path);
      break;
    case 1:
      files.set(path, "folder");
      break;
    case 2:
      files.set(path, new Uint8Array());
      break;
    default:
      files.set(path, { link: pick(random, links) });
  }
}

/** The input of a number: one of the seeds with damage, the same for the same seeds, name and number. */
export function mutatedInput(seeds: readonly Seed[], outside: Outside, stream: string, seed: number): Input {
  const random = createRandom(seed, stream);
  const files = new Map<string, Entry>(pick(random, seeds));
  const paths = [...files.keys()];
  const sourceFor = (path: string): Source => ({
    random,
    escapes: outside.escapes,
    other: () => {
      const { size } = pick(random, seeds);
      const ending = path.slice(path.lastIndexOf("."));
      const like = seeds.flatMap((each) => [...each]).filter(([name]) => name.endsWith(ending));
      return size === 0 || like.length === 0 ? new Uint8Array() : pick(random, like)[1];
    },
  });
  random.shuffle(paths);
  for (const path of paths.slice(0, once(random, 4) ? 2 : 1)) {
    const bytes = files.get(path);
    if (once(random, 12)) replace(files, path, sourceFor(path), outside);
    else if (bytes instanceof Uint8Array) files.set(path, mutationOf(path)(bytes, sourceFor(path)));
  }
  return files;
}

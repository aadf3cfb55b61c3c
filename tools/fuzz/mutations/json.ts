import { type Mutation, once, pick, type Source } from "./mutation.js";
import { damageText, fragment } from "./text.js";

// Damage of a JSON value that stays JSON: keys removed and renamed, values of another type, of another place, of another file.

type Container = unknown[] | Record<string, unknown>;

/** A place in a value. */
interface Place {
  readonly parent: Container;
  readonly key: string;
}

const isContainer = (value: unknown): value is Container => typeof value === "object" && value !== null;

const valueAt = ({ parent, key }: Place): unknown => Reflect.get(parent, key);

/** Sets an own property, whatever its name (`__proto__` too). */
function put({ parent, key }: Place, value: unknown): void {
  Object.defineProperty(parent, key, { value, writable: true, enumerable: true, configurable: true });
}

function remove({ parent, key }: Place): void {
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else Reflect.deleteProperty(parent, key);
}

/** A place on the way down, which ends at each level once in three times: small lists are not lost beside a vocabulary. */
function choose(root: Container, source: Source): Place | undefined {
  let parent = root;
  for (;;) {
    const keys = Object.keys(parent);
    if (keys.length === 0) return undefined;
    const place = { parent, key: pick(source.random, keys) };
    const value = valueAt(place);
    if (!isContainer(value) || Object.keys(value).length === 0 || once(source.random, 3)) return place;
    parent = value;
  }
}

/** Stands for a fragment until the value is text. */
const HOLE = "\uE000hole\uE000";

const badKeys = ["__proto__", "constructor", "toString", "hasOwnProperty", "", "0", "a.b", "length", "\ud800"];

type Edit = (place: Place, root: Container, source: Source) => void;

const edits: readonly Edit[] = [
  (place) => remove(place),
  (place) => put(place, HOLE),
  (place) => put(place, HOLE),
  (place, root, source) => {
    const from = choose(root, source);
    if (from !== undefined) put(place, structuredClone(valueAt(from)));
  },
  (place, _root, source) => {
    const foreign = parse(source.other());
    const from = isContainer(foreign) ? choose(foreign, source) : undefined;
    if (from !== undefined) put(place, valueAt(from));
  },
  (place, _root, source) => {
    const value = valueAt(place);
    remove(place);
    if (!Array.isArray(place.parent)) put({ parent: place.parent, key: pick(source.random, badKeys) }, value);
  },
  (place) => put(place, [valueAt(place)]),
  (place) => put(place, JSON.stringify(valueAt(place))),
  (place) => put(place, isContainer(valueAt(place)) ? Object.entries(valueAt(place) as Container) : Number(valueAt(place))),
  ({ parent, key }) => {
    if (Array.isArray(parent)) parent.splice(Number(key), 0, ...parent.slice(0, 100));
    else put({ parent, key: `${key}_` }, parent[key]);
  },
  (place, _root, source) => {
    const value = valueAt(place);
    put(
      place,
      typeof value === "string" ? value.slice(0, source.random.below(value.length + 1)) + pick(source.random, source.escapes) : HOLE,
    );
  },
];

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** The text of a JSON value after one to four edits. */
export function damagedValue(root: Container, source: Source): string {
  for (let left = 1 + source.random.below(4); left > 0; left--) {
    const place = choose(root, source);
    if (place !== undefined) pick(source.random, edits)(place, root, source);
  }
  return JSON.stringify(root).replaceAll(JSON.stringify(HOLE), () => fragment(source));
}

export const damageJson: Mutation = (bytes, source) => {
  const root = parse(bytes);
  if (!isContainer(root) || once(source.random, 4)) return damageText(bytes, source);
  return new TextEncoder().encode(damagedValue(root, source));
};

/** One JSON value a line. */
export const damageJsonLines: Mutation = (bytes, source) => {
  const lines = new TextDecoder().decode(bytes).split("\n");
  const at = source.random.below(lines.length);
  const root = parse(new TextEncoder().encode(lines[at]));
  if (!isContainer(root) || once(source.random, 3)) return damageText(bytes, source);
  lines[at] = damagedValue(root, { ...source, other: () => new TextEncoder().encode(lines[source.random.below(lines.length)]) });
  return new TextEncoder().encode(lines.join("\n"));
};

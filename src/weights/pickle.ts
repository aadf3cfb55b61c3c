import { InputError } from "../errors.js";

// A pickle is a program for a stack machine that may call any function of Python. Here a few names are known, each of which builds
// plain data; everything else is refused, and nothing is ever executed.
//                                          https://docs.python.org/3/library/pickletools.html, protocols 2 to 4

/** A tensor as PyTorch pickles it: a view of a storage, counted in elements. */
export interface PickledTensor {
  readonly kind: "tensor";
  readonly storage: PickledStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

export interface PickledStorage {
  readonly kind: "storage";
  /** The class's name, `FloatStorage`. */
  readonly type: string;
  /** The name of its entry under `data/`. */
  readonly key: string;
  readonly elements: number;
}

/** Plain data. */
export type PickleValue =
  | null
  | boolean
  | number
  | string
  | PickledTensor
  | PickledStorage
  | readonly PickleValue[]
  | ReadonlyMap<PickleValue, PickleValue>
  | KnownGlobal;

/** A name of Python that builds plain data. */
interface KnownGlobal {
  readonly kind: "global";
  readonly name: string;
}

const DICTIONARY = "collections OrderedDict";
const TENSOR = "torch._utils _rebuild_tensor_v2";
const PARAMETER = "torch._utils _rebuild_parameter";
const STORAGE = /^torch (\w+Storage)$/;

/** Nothing that holds tensors nests or grows further than this. */
const MAX_STACK = 1_000_000;

/**
 * The value of a pickle that holds tensors and plain data.
 *
 * @param file for messages
 * @throws InputError for a name that is not known, an instruction that is not, and a pickle that ends early.
 */
export function readPickle(bytes: Uint8Array, file: string): PickleValue {
  return new Machine(bytes, file).run();
}

/** Where a MARK was set. */
const MARK = Symbol("mark");
type Cell = PickleValue | typeof MARK;

class Machine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;
  readonly #stack: Cell[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #at = 0;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
  }

  run(): PickleValue {
    for (;;) {
      const code = this.#byte();
      if (code === 0x2e /* STOP */) return this.#pop();
      const instruction = instructions[code];
      if (instruction === undefined)
        throw this.#refusal(`holds the instruction 0x${code.toString(16)}, which tensors and plain data need not`);
      instruction(this.#tools);
      if (this.#stack.length > MAX_STACK) throw this.#refusal("nests too deeply");
    }
  }

  readonly #tools: Tools = {
    push: (value) => void this.#stack.push(value),
    pop: () => this.#pop(),
    mark: () => void this.#stack.push(MARK),
    popToMark: () => {
      const at = this.#stack.lastIndexOf(MARK);
      if (at < 0) throw this.#refusal("is damaged: a group has no beginning");
      return this.#stack.splice(at).slice(1) as PickleValue[];
    },
    top: () => {
      const value = this.#pop();
      this.#stack.push(value);
      return value;
    },
    number: (size) => this.#number(size),
    double: () => this.#view.getFloat64(this.#take(8)),
    text: (size) => new TextDecoder().decode(this.#bytes.subarray(...this.#range(this.#number(size)))),
    line: () => this.#line(),
    bytes: (length) => this.#bytes.subarray(...this.#range(length)),
    remember: (index) => void this.#memo.set(index ?? this.#memo.size, this.#tools.top()),
    recall: (index) => {
      const value = this.#memo.get(index);
      if (value === undefined) throw this.#refusal(`is damaged: nothing was remembered as ${index}`);
      return value;
    },
    refusal: (what) => this.#refusal(what),
  };

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK) throw this.#refusal("is damaged: it takes what is not there");
    return value;
  }

  #take(length: number): number {
    return this.#range(length)[0];
  }

  #range(length: number): [start: number, end: number] {
    const start = this.#at;
    if (!Number.isSafeInteger(length) || length < 0 || start + length > this.#bytes.length) throw this.#refusal("ends early");
    this.#at = start + length;
    return [start, this.#at];
  }

  #byte(): number {
    return this.#bytes[this.#take(1)] ?? 0;
  }

  /** A little-endian number: of 4 bytes signed, of others not. */
  #number(size: 1 | 2 | 4 | 8): number {
    const at = this.#take(size);
    if (size === 1) return this.#view.getUint8(at);
    if (size === 2) return this.#view.getUint16(at, true);
    if (size === 4) return this.#view.getInt32(at, true);
    return Number(this.#view.getBigUint64(at, true));
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#refusal("ends early");
    const text = new TextDecoder().decode(this.#bytes.subarray(this.#at, end));
    this.#at = end + 1;
    return text;
  }

  #refusal(what: string): InputError {
    return new InputError(`${this.#file} ${what}. Save it again from Python, as safetensors.`);
  }
}

/** What an instruction may do with the machine. */
interface Tools {
  push(value: PickleValue): void;
  pop(): PickleValue;
  top(): PickleValue;
  mark(): void;
  popToMark(): PickleValue[];
  number(size: 1 | 2 | 4 | 8): number;
  double(): number;
  /** UTF-8, its length before it. */
  text(lengthSize: 1 | 4 | 8): string;
  line(): string;
  bytes(length: number): Uint8Array;
  /** Keeps the top under a number, or under the next free one. */
  remember(index?: number): void;
  recall(index: number): PickleValue;
  refusal(what: string): InputError;
}

const instructions: Readonly<Record<number, (tools: Tools) => void>> = {
  128: (tools) => void tools.number(1), // PROTO
  149: (tools) => void tools.number(8), // FRAME
  40: (tools) => tools.mark(),
  78: (tools) => tools.push(null),
  136: (tools) => tools.push(true),
  137: (tools) => tools.push(false),
  74: (tools) => tools.push(tools.number(4)), // BININT
  75: (tools) => tools.push(tools.number(1)), // BININT1
  77: (tools) => tools.push(tools.number(2)), // BININT2
  71: (tools) => tools.push(tools.double()), // BINFLOAT
  138: (tools) => tools.push(longOf(tools.bytes(tools.number(1)), tools)), // LONG1
  88: (tools) => tools.push(tools.text(4)), // BINUNICODE
  140: (tools) => tools.push(tools.text(1)), // SHORT_BINUNICODE
  125: (tools) => tools.push(new Map()), // EMPTY_DICT
  93: (tools) => tools.push([]), // EMPTY_LIST
  41: (tools) => tools.push([]), // EMPTY_TUPLE
  133: (tools) => tools.push(taken(tools, 1)),
  134: (tools) => tools.push(taken(tools, 2)),
  135: (tools) => tools.push(taken(tools, 3)),
  116: (tools) => tools.push(tools.popToMark()), // TUPLE
  113: (tools) => tools.remember(tools.number(1)), // BINPUT
  114: (tools) => tools.remember(tools.number(4)), // LONG_BINPUT
  148: (tools) => tools.remember(), // MEMOIZE
  104: (tools) => tools.push(tools.recall(tools.number(1))), // BINGET
  106: (tools) => tools.push(tools.recall(tools.number(4))), // LONG_BINGET
  48: (tools) => void tools.pop(), // POP
  115: (tools) => setItems(tools, taken(tools, 2)), // SETITEM
  117: (tools) => setItems(tools, tools.popToMark()), // SETITEMS
  97: (tools) => append(tools, taken(tools, 1)), // APPEND
  101: (tools) => append(tools, tools.popToMark()), // APPENDS
  98: (tools) => void tools.pop(), // BUILD: attributes of a dictionary (`_metadata` of a state dict) say nothing of tensors
  99: (tools) => tools.push(globalNamed(tools, tools.line(), tools.line())), // GLOBAL
  147: (tools) => {
    const [module, name] = taken(tools, 2); // STACK_GLOBAL
    if (typeof module !== "string" || typeof name !== "string") throw tools.refusal("is damaged: the name of a class is no text");
    tools.push(globalNamed(tools, module, name));
  },
  81: (tools) => tools.push(storageOf(tools, tools.pop())), // BINPERSID
  82: (tools) => {
    const [callee, args] = taken(tools, 2); // REDUCE
    tools.push(built(tools, callee, args));
  },
};

function taken(tools: Tools, count: number): PickleValue[] {
  return Array.from({ length: count }, () => tools.pop()).reverse();
}

function longOf(bytes: Uint8Array, tools: Tools): number {
  let value = 0n;
  bytes.forEach((byte, index) => {
    value |= BigInt(byte) << BigInt(8 * index);
  });
  const signed = Number(BigInt.asIntN(8 * bytes.length, value));
  if (!Number.isSafeInteger(signed)) throw tools.refusal("holds a number beyond reason");
  return signed;
}

function setItems(tools: Tools, items: readonly PickleValue[]): void {
  const target = tools.top();
  if (!(target instanceof Map)) throw tools.refusal("is damaged: entries belong to no dictionary");
  for (let index = 0; index + 1 < items.length; index += 2) target.set(items[index] ?? null, items[index + 1] ?? null);
}

function append(tools: Tools, items: readonly PickleValue[]): void {
  const target = tools.top();
  if (!Array.isArray(target)) throw tools.refusal("is damaged: elements belong to no list");
  for (const item of items) target.push(item);
}

function globalNamed(tools: Tools, module: string, name: string): KnownGlobal {
  const full = `${module} ${name}`;
  if (full !== DICTIONARY && full !== TENSOR && full !== PARAMETER && !STORAGE.test(full)) {
    throw tools.refusal(`names ${module}.${name}, for which a file of tensors has no use, and which is not executed`);
  }
  return { kind: "global", name: full };
}

function storageOf(tools: Tools, value: PickleValue): PickledStorage {
  const [word, type, key, , elements] = Array.isArray(value) ? value : [];
  const name = isGlobal(type) ? STORAGE.exec(type.name)?.[1] : undefined;
  if (word !== "storage" || name === undefined || typeof key !== "string" || typeof elements !== "number") {
    throw tools.refusal("is damaged: it names a storage in an unknown way");
  }
  return { kind: "storage", type: name, key, elements };
}

function built(tools: Tools, callee: PickleValue | undefined, args: PickleValue | undefined): PickleValue {
  const name = isGlobal(callee) ? callee.name : undefined;
  const given = Array.isArray(args) ? args : undefined;
  if (name === DICTIONARY && given?.length === 0) return new Map();
  if (name === PARAMETER && given?.[0] !== undefined) return given[0];
  const tensor = name === TENSOR && given !== undefined ? tensorOf(given) : undefined;
  if (tensor === undefined) throw tools.refusal("is damaged: it builds something in an unknown way");
  return tensor;
}

function tensorOf([storage, offset, shape, strides]: readonly PickleValue[]): PickledTensor | undefined {
  if (!isKind(storage, "storage") || !isCount(offset) || !isCounts(shape) || !isCounts(strides) || shape.length !== strides.length) return;
  return { kind: "tensor", storage, offset, shape, strides };
}

const isCount = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
const isCounts = (value: unknown): value is readonly number[] => Array.isArray(value) && value.every(isCount);
const isGlobal = (value: PickleValue | undefined): value is KnownGlobal => isKind(value, "global");

function isKind<Kind extends "global" | "storage" | "tensor">(
  value: PickleValue | undefined,
  kind: Kind,
): value is Extract<PickleValue, { readonly kind: Kind }> {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === kind;
}

import { InputError } from "../errors.js";
import type { ByteSource } from "./byte-source.js";
import { MAX_DIMENSION } from "./checkpoint.js";
import { halfValues } from "./kernels/half.js";
import { EPSILON, type StoredMatrix } from "./matrix.js";

// NumPy's format: "\x93NUMPY", two bytes of version, the header's length (u16 in version 1, u32 after), a Python dictionary
// {'descr', 'fortran_order', 'shape'}, the values.       https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const;
/** NumPy itself refuses longer headers. */
const MAX_HEADER_BYTES = 10_000;
/** Values of a matrix: 2 GiB of doubles. */
const MAX_VALUES = 2 ** 28;
const ALIGNMENT = 64;

interface NumberType {
  readonly bytes: number;
  readonly epsilon: number;
  read(view: DataView, at: number, little: boolean): number;
}

/** Readers by NumPy's letter and size. */
const numberTypes: Readonly<Record<string, NumberType>> = {
  f8: { bytes: 8, epsilon: EPSILON.double, read: (view, at, little) => view.getFloat64(at, little) },
  f4: { bytes: 4, epsilon: EPSILON.single, read: (view, at, little) => view.getFloat32(at, little) },
  f2: { bytes: 2, epsilon: EPSILON.single, read: (view, at, little) => halfValues()[view.getUint16(at, little)] ?? 0 },
  i8: { bytes: 8, epsilon: EPSILON.double, read: (view, at, little) => Number(view.getBigInt64(at, little)) },
  i4: { bytes: 4, epsilon: EPSILON.double, read: (view, at, little) => view.getInt32(at, little) },
  i2: { bytes: 2, epsilon: EPSILON.double, read: (view, at, little) => view.getInt16(at, little) },
  i1: { bytes: 1, epsilon: EPSILON.double, read: (view, at) => view.getInt8(at) },
  u8: { bytes: 8, epsilon: EPSILON.double, read: (view, at, little) => Number(view.getBigUint64(at, little)) },
  u4: { bytes: 4, epsilon: EPSILON.double, read: (view, at, little) => view.getUint32(at, little) },
  u2: { bytes: 2, epsilon: EPSILON.double, read: (view, at, little) => view.getUint16(at, little) },
  u1: { bytes: 1, epsilon: EPSILON.double, read: (view, at) => view.getUint8(at) },
  b1: { bytes: 1, epsilon: EPSILON.double, read: (view, at) => view.getUint8(at) },
};

/** Reads a .npy file that holds a matrix. Throws InputError for one that does not, or is damaged. */
export async function readNpyMatrix(source: ByteSource): Promise<StoredMatrix> {
  const { descr, isFortran, shape, dataStart } = await readHeader(source);
  const kind = /^([<>|=])([fiub]\d)$/.exec(descr);
  const type = kind?.[2] === undefined ? undefined : numberTypes[kind[2]];
  if (type === undefined) throw new InputError(`${source.name}: holds ${descr}; read are ${Object.keys(numberTypes).join(", ")} of NumPy.`);
  const [rows = 0, columns = 0, ...more] = shape;
  if (shape.length !== 2 || more.length > 0)
    throw new InputError(
      `${source.name}: expected a matrix of two dimensions, found the shape (${shape.join(", ")}). Reshape it in NumPy.`,
    );
  if (rows < 1 || columns < 1 || rows * columns > MAX_VALUES)
    throw new InputError(`${source.name}: is ${rows} × ${columns}; from 1 to ${MAX_VALUES} values are read.`);
  const bytes = await source.read(dataStart, rows * columns * type.bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = kind?.[1] !== ">";
  const values = new Float64Array(rows * columns);
  for (let at = 0; at < values.length; at++) {
    const place = isFortran ? (at % columns) * rows + Math.floor(at / columns) : at;
    values[at] = type.read(view, place * type.bytes, little);
  }
  return { rows, columns, values, epsilon: type.epsilon };
}

/** A matrix of doubles as a .npy file of version 1. */
export function npyFile({ rows, columns, values }: Pick<StoredMatrix, "rows" | "columns" | "values">): Uint8Array {
  const header = `{'descr': '<f8', 'fortran_order': False, 'shape': (${rows}, ${columns}), }`;
  const start = MAGIC.length + 4;
  const length = Math.ceil((start + header.length + 1) / ALIGNMENT) * ALIGNMENT - start;
  const bytes = new Uint8Array(start + length + 8 * values.length);
  const view = new DataView(bytes.buffer);
  bytes.set([...MAGIC, 1, 0]);
  view.setUint16(MAGIC.length + 2, length, true);
  bytes.set(new TextEncoder().encode(`${header.padEnd(length - 1)}\n`), start);
  for (const [at, value] of values.entries()) view.setFloat64(start + length + 8 * at, value, true);
  return bytes;
}

async function readHeader(source: ByteSource) {
  const damaged = (what: string) => new InputError(`${source.name}: is no .npy file as NumPy writes it: ${what}.`);
  const opening = await source.read(0, Math.min(12, source.size));
  if (!MAGIC.every((byte, at) => opening[at] === byte)) throw damaged("it does not begin with NumPy's mark");
  if (opening.length < 12) throw damaged("its header is cut short");
  const view = new DataView(opening.buffer, opening.byteOffset);
  const version = opening[6] ?? 0;
  const [start, length] = version === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  if (version < 1 || version > 3 || length > MAX_HEADER_BYTES) throw damaged(`its header has version ${version} and ${length} bytes`);
  const header = new TextDecoder().decode(await source.read(start, length));
  const descr = /'descr':\s*'([^']{1,16})'/.exec(header)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1];
  if (descr === undefined || order === undefined || shape === undefined) throw damaged("its header names no plain type, order and shape");
  const sizes = shape
    .split(",")
    .map((size) => size.trim())
    .filter((size) => size !== "")
    .map(Number);
  if (sizes.some((size) => !Number.isSafeInteger(size) || size > MAX_DIMENSION)) throw damaged(`its shape is (${shape})`);
  return { descr, isFortran: order === "True", shape: sizes, dataStart: start + length };
}

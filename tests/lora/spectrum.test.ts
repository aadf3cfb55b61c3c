import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { spectrumOf } from "../../src/lora/spectrum.js";
import { readMatrix } from "../../src/weights/node/read-matrix.js";
import { npyFile } from "../../src/weights/npy.js";
import { golden, goldenPath } from "../support/golden.js";

interface Facts {
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
  readonly singularValues: readonly number[];
  readonly best: number;
  readonly error: number;
  readonly largestError: number;
}

const expected = golden<Record<string, Facts>>("rank/rank.json");
const folder = await mkdtemp(join(tmpdir(), "lorikeet-rank-"));
const written = async (name: string, data: string | Uint8Array) => {
  await writeFile(join(folder, name), data);
  return join(folder, name);
};

describe("the textbook's matrix, 4 × 5 = (4 × 2) · (2 × 5)", () => {
  const b = [1, 2, 3, 4, 5, 6, 7, 8];
  const c = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0];
  const values = Array.from({ length: 20 }, (_, at) => {
    const [row, column] = [Math.floor(at / 5), at % 5];
    return b[2 * row]! * c[column]! + b[2 * row + 1]! * c[5 + column]!;
  });

  it("has rank 2, and the 18 numbers of its best factors give its 20 back", () => {
    const { rank, approximations, factors } = spectrumOf({ rows: 4, columns: 5, values, epsilon: 2 ** -52 }, 2);
    expect(rank).toBe(2);
    expect(approximations.map((each) => [each.rank, each.parameters])).toEqual([
      [1, 9],
      [2, 18],
    ]);
    expect(approximations[1]!.error).toBeLessThan(1e-13);
    const product = values.map((_, at) => {
      const [row, column] = [Math.floor(at / 5), at % 5];
      return factors!.b[2 * row]! * factors!.c[column]! + factors!.b[2 * row + 1]! * factors!.c[5 + column]!;
    });
    for (const [at, value] of values.entries()) expect(product[at]).toBeCloseTo(value, 12);
  });

  it("is what the file of the documentation holds", async () => {
    expect([...(await readMatrix(goldenPath("rank/textbook.csv"))).values]).toEqual(values);
  });
});

describe.each(Object.keys(expected))("the matrix %s", (name) => {
  const facts = expected[name]!;

  it("has NumPy's rank and singular values, and the error that NumPy measures on its best approximation", async () => {
    const matrix = await readMatrix(goldenPath(`rank/${name}`));
    const found = spectrumOf(matrix, facts.best);
    expect(found).toMatchObject({ rows: facts.rows, columns: facts.columns, rank: facts.rank });
    expect(found.singularValues).toHaveLength(facts.singularValues.length);
    for (const [index, value] of facts.singularValues.entries()) expect(found.singularValues[index]! - value).toBeCloseTo(0, 12);
    const approximation = found.approximations.find(({ rank }) => rank === facts.best)!;
    expect(approximation.error).toBeCloseTo(facts.error, 6); // the wide one is stored in float32
    expect(approximation.largestError).toBeCloseTo(facts.largestError, 6);
  });

  it("is nearest to the product of the factors that are given, by just that error", async () => {
    const matrix = await readMatrix(goldenPath(`rank/${name}`));
    const { factors } = spectrumOf(matrix, facts.best);
    const { b, c, rank } = factors!;
    let squares = 0;
    for (let row = 0; row < matrix.rows; row++) {
      for (let column = 0; column < matrix.columns; column++) {
        let value = 0;
        for (let r = 0; r < rank; r++) value += b[row * rank + r]! * c[r * matrix.columns + column]!;
        squares += (matrix.values[row * matrix.columns + column]! - value) ** 2;
      }
    }
    expect(Math.sqrt(squares)).toBeCloseTo(facts.error, 6);
  });
});

describe("a file with a matrix", () => {
  it("may name its columns, and separate its numbers by commas, semicolons, tabs or spaces", async () => {
    for (const text of [
      "a,b\n1,-2.5\n3,4e1\n",
      "1;-2.5\r\n3;40\r\n",
      "1\t-2.5\n\n3\t40",
      " 1  -2.5 \n 3 40",
      '"x","y"\n"1","-2.5"\n3,40',
    ]) {
      const { rows, columns, values } = await readMatrix(await written("m.csv", text));
      expect([rows, columns, ...values]).toEqual([2, 2, 1, -2.5, 3, 40]);
    }
  });

  it("is one tensor of a checkpoint by its name", async () => {
    const file = goldenPath("tiny-llama/model.safetensors");
    const { rows, columns, values } = await readMatrix(file, "model.layers.0.self_attn.k_proj.weight");
    expect(values).toHaveLength(rows * columns);
    await expect(readMatrix(file)).rejects.toThrow(/matrices; name one with --tensor, such as .*weight/);
    await expect(readMatrix(file, "model.layers.0.input_layernorm.weight")).rejects.toThrow(
      /has the shape \[\d+\]; a matrix has two dimensions/,
    );
    await expect(readMatrix(file, "nothing")).rejects.toThrow(/no tensor nothing/);
  });

  it("is written as NumPy's, and read back", async () => {
    const values = Float64Array.from([1, -2, 3.5, Number.EPSILON, 0, 6]);
    const { epsilon: _, ...found } = await readMatrix(await written("w.npy", npyFile({ rows: 2, columns: 3, values })));
    expect(found).toEqual({ rows: 2, columns: 3, values });
  });

  it("is refused by place where it is none", async () => {
    const npy = await readFile(goldenPath("rank/wide.npy"));
    const patched = (from: string, to: string) => Buffer.from(npy.toString("latin1").replace(from, to), "latin1");
    const refusals: [string, string | Uint8Array, RegExp][] = [
      ["m.csv", "1,2\n3\n", /m\.csv:2: expected 2 numbers as in the first row, found 1/],
      ["m.csv", "1,2\n3,x\n", /m\.csv:2: expected a number in column 2, found "x"/],
      ["m.csv", "1,2\n3,\n", /m\.csv:2: expected a number in column 2, found ""/],
      ["m.csv", "a,b\n", /found none/],
      ["m.csv", "1,5;2\n3,5;4\n", /m\.csv:1: expected a number in column 1, found "1,5"/], // a decimal comma, not a third column
      ["m.npy", npyFile({ rows: 1, columns: 2, values: Float64Array.of(1, Number.NaN) }), /found NaN in row 1, column 2/],
      ["m.csv", Uint8Array.of(0xff, 0xfe, 0x00), /not UTF-8 text/],
      ["m.npy", "1,2\n", /does not begin with NumPy's mark/],
      ["m.npy", npy.subarray(0, 9), /cut short/],
      ["m.npy", npy.subarray(0, npy.length - 1), /cut short or damaged/],
      ["m.npy", patched("'<f4'", "'<c8'"), /holds <c8; read are/],
      ["m.npy", patched("(6, 9), }", "(54,),  }"), /expected a matrix of two dimensions, found the shape \(54\)/],
      ["m.npy", patched("(6, 9), }", "(0, 9), }"), /is 0 × 9/],
    ];
    for (const [name, data, message] of refusals)
      await expect(readMatrix(await written(name, data)), String(message)).rejects.toThrow(message);
    await expect(readMatrix(join(folder, "absent.csv"))).rejects.toThrow(/absent\.csv cannot be read: it does not exist/);
    await expect(readMatrix(goldenPath("rank/wide.npy"), "x")).rejects.toThrow(/no tensors by name/);
  });
});

describe("a matrix of zeros", () => {
  it("has rank 0 and needs no factors", () => {
    expect(spectrumOf({ rows: 2, columns: 3, values: new Float64Array(6), epsilon: 2 ** -52 })).toMatchObject({
      rank: 0,
      singularValues: [0, 0],
      effectiveRank: 0,
      approximations: [],
    });
  });
});

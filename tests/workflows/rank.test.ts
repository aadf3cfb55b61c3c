import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { readMatrix } from "../../src/weights/node/read-matrix.js";
import { runRank } from "../../src/workflows/node/rank-run.js";
import { lorikeet } from "../support/built-command.js";
import { goldenPath } from "../support/golden.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "./support.js";

const TEXTBOOK = goldenPath("rank/textbook.csv");

test("the factors that --best asks for are written, and give the matrix back", async () => {
  const out = join(await temporaryFolder(), "factors");
  const result = await runRank({ file: TEXTBOOK, best: 2, out }, fakeContext());
  expect(result).toMatchObject({ file: TEXTBOOK, rows: 4, columns: 5, rank: 2, files: [join(out, "B.npy"), join(out, "C.npy")] });
  const [matrix, b, c] = [await readMatrix(TEXTBOOK), await readMatrix(join(out, "B.npy")), await readMatrix(join(out, "C.npy"))];
  expect([b.rows, b.columns, c.rows, c.columns]).toEqual([4, 2, 2, 5]);
  for (const [at, value] of matrix.values.entries()) {
    const [row, column] = [Math.floor(at / 5), at % 5];
    expect(b.values[2 * row]! * c.values[column]! + b.values[2 * row + 1]! * c.values[5 + column]!).toBeCloseTo(value, 12);
  }
});

test("a tensor of a model's folder, by its name", async () => {
  const tensor = "model.layers.1.mlp.up_proj.weight";
  const result = await runRank({ file: TINY_CHAT, tensor }, fakeContext());
  expect(result).toMatchObject({ tensor, rank: Math.min(result.rows, result.columns) });
  expect(result.factors).toBeUndefined();
});

test("the command shows the textbook's case; its help tells it", async () => {
  const { status, stdout } = lorikeet("rank", TEXTBOOK);
  expect(status).toBe(0);
  expect(stdout).toContain("It is a product (4 × 2) · (2 × 5): 18 numbers say all of its 20.");
  expect(lorikeet("rank", "--help").stdout.replace(/\s+/g, " ")).toContain(
    "B = [[1,2],[3,4],[5,6],[7,8]] and C = [[1,0,1,0,1],[0,1,0,1,0]]",
  );
});

test("what is no matrix is refused with the place and what to do", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "m.csv");
  await writeFile(file, "1,2\n3,oops\n");
  expect(lorikeet("rank", file)).toMatchObject({
    status: 2,
    stdout: "",
    stderr: expect.stringContaining(`${file}:2: expected a number in column 2`),
  });
  await expect(runRank({ file: folder }, fakeContext())).rejects.toThrow(/neither model\.safetensors nor/);
  await expect(runRank({ file: TEXTBOOK, out: folder }, fakeContext())).rejects.toThrow("options.out needs options.best");
  await expect(runRank({ file: TEXTBOOK, best: 1, out: file }, fakeContext())).rejects.toThrow(/a file of that name is in the way/);
  await expect(runRank({ file: TINY_CHAT }, fakeContext())).rejects.toBeInstanceOf(InputError);
  expect(await readFile(file, "utf8")).toBe("1,2\n3,oops\n");
});

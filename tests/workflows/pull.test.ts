import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { pull } from "../../src/workflows/node/pull.js";
import { TINY_CHAT, temporaryFolder } from "./support.js";

test("a folder is where it is", async () => {
  expect(await pull(TINY_CHAT)).toEqual({ kind: "folder", path: TINY_CHAT, notes: [] });
});

test("what leads nowhere is refused; an aborted pull ends with the signal's reason", async () => {
  await expect(pull(`${await temporaryFolder()}/nothing`)).rejects.toBeInstanceOf(InputError);
  await expect(pull(TINY_CHAT, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
});

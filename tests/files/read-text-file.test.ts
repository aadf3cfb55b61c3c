import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { readRequiredText, readTextFile } from "../../src/files/node/read-text-file.js";
import { FileByteSource } from "../../src/weights/node/file-byte-source.js";

const folder = mkdtempSync(join(tmpdir(), "lorikeet-text-"));
afterAll(() => rmSync(folder, { recursive: true }));
const place = (name: string, bytes: string | Uint8Array): string => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};

test("the text of a file, without its byte order mark", async () => {
  expect(await readTextFile(place("text", "\ufeffgrün\n"))).toBe("grün\n");
});

test("what is not there is undefined, or told", async () => {
  expect(await readTextFile(join(folder, "none"))).toBeUndefined();
  expect(await readTextFile(join(place("file", ""), "inside"))).toBeUndefined();
  await expect(readRequiredText(join(folder, "none"))).rejects.toThrow(/no such file/);
});

test("a folder, a pipe and a device are refused before they are opened: a pipe waits for its writer, a device has no end", async () => {
  mkdirSync(join(folder, "folder"));
  await expect(readTextFile(join(folder, "folder"))).rejects.toThrow(/expected a file, found a folder/);
  execFileSync("mkfifo", [join(folder, "pipe")]);
  for (const path of [join(folder, "pipe"), "/dev/zero"]) {
    await expect(readTextFile(path)).rejects.toThrow(/expected a file, found a device or pipe/);
    await expect(FileByteSource.open(path)).rejects.toThrow(InputError);
  }
});

test("what is no UTF-8, or too large, is refused", async () => {
  await expect(readTextFile(place("bytes", Uint8Array.of(0x61, 0xff)))).rejects.toThrow(/is not UTF-8 text/);
  await expect(readTextFile(place("long", "12345"), 4)).rejects.toThrow(/has 5 bytes; at most 4 are read/);
});

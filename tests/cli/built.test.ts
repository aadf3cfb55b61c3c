import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { optionsDocument } from "../../tools/options-document.js";
import { lorikeet, MAIN } from "../support/built-command.js";

test("the built command prints help and the package's version", () => {
  const help = lorikeet("--help");
  expect(help).toMatchObject({ status: 0, stderr: "" });
  expect(help.stdout).toContain("Usage: lorikeet COMMAND");
  expect(lorikeet("--version").stdout.trim()).toBe(JSON.parse(readFileSync("package.json", "utf8")).version);
  expect(readFileSync(MAIN, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
});

test("wrong input ends the process with 2 and no stack", () => {
  expect(lorikeet("train", "--rank", "0")).toMatchObject({ status: 2, stdout: "" });
  expect(lorikeet("serve").stderr).toContain('error: "serve" (to answer over HTTP) comes with a later version');
});

test("a reader that goes away does no harm", () => {
  const { stdout, stderr } = spawnSync("sh", ["-c", `"${process.execPath}" ${MAIN} train --help | head -n 1`], { encoding: "utf8" });
  expect(stdout).toBe("Usage: lorikeet train [options]\n");
  expect(stderr).toBe("");
});

test("docs/options.md is what the declarations say (tools/make-documents.ts writes it)", () => {
  expect(readFileSync("docs/options.md", "utf8")).toBe(optionsDocument());
});

import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { optionsDocument } from "../../tools/options-document.js";

// The command as its own process, its files translated aside so that no earlier build is needed and none is touched.
const folder = "node_modules/.cache/lorikeet-command-line";
const main = `${folder}/dist/cli/main.js`;

beforeAll(async () => {
  await build({
    entryPoints: ["src/**/*.ts"],
    outbase: "src",
    outdir: `${folder}/dist`,
    platform: "node",
    format: "esm",
    logLevel: "error",
  });
  copyFileSync("package.json", `${folder}/package.json`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lorikeet = (...argv: string[]) => spawnSync(process.execPath, [main, ...argv], { encoding: "utf8" });

test("the built command prints help and the package's version", () => {
  const help = lorikeet("--help");
  expect(help).toMatchObject({ status: 0, stderr: "" });
  expect(help.stdout).toContain("Usage: lorikeet COMMAND");
  expect(lorikeet("--version").stdout.trim()).toBe(JSON.parse(readFileSync("package.json", "utf8")).version);
  expect(readFileSync(main, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
});

test("wrong input ends the process with 2 and no stack", () => {
  expect(lorikeet("train", "--rank", "0")).toMatchObject({ status: 2, stdout: "" });
  expect(lorikeet("serve").stderr).toContain('error: "serve" (to answer over HTTP) comes with a later version');
});

test("a reader that goes away does no harm", () => {
  const { stdout, stderr } = spawnSync("sh", ["-c", `"${process.execPath}" ${main} train --help | head -n 1`], { encoding: "utf8" });
  expect(stdout).toBe("Usage: lorikeet train [options]\n");
  expect(stderr).toBe("");
});

test("docs/options.md is what the declarations say (tools/make-options-document.ts writes it)", () => {
  expect(readFileSync("docs/options.md", "utf8")).toBe(optionsDocument());
});

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

// The package as a stranger gets it: the tarball, installed into an empty project with its dependencies alone.

let project = "";

/** The setting that the README names for machines which do not reach the download of the engine's CUDA part. */
const behindFirewall = { ONNXRUNTIME_NODE_INSTALL: "skip" };

function runInProject(command: string, ...argv: string[]): string {
  const env: NodeJS.ProcessEnv = { ...process.env, ...behindFirewall, npm_config_loglevel: "error" };
  // Of the npm that runs these tests, nothing may reach the npm in the project.
  for (const name of Object.keys(env)) if (/^npm_(package|lifecycle|config_local_prefix)/.test(name)) delete env[name];
  return execFileSync(command, argv, { cwd: project, encoding: "utf8", env, stdio: ["ignore", "pipe", "pipe"] });
}

beforeAll(() => {
  if (!existsSync("dist/cli/main.js")) throw new Error("dist/ is missing, and the tarball is made of it: npm run build");
  project = mkdtempSync(join(tmpdir(), "lorikeet-package-"));
  // The build has just run; run again here, it would rewrite files that other tests read.
  const pack = ["pack", "--ignore-scripts", "--json", "--loglevel=error", "--pack-destination", project];
  const [{ filename }] = JSON.parse(execFileSync("npm", pack, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
  runInProject("npm", "install", "--prefer-offline", "--no-audit", "--no-fund", `./${filename}`);
}, 600_000);
afterAll(() => rmSync(project, { recursive: true, force: true }));

test("holds the program, what it needs at run time, and nothing else", () => {
  const installed = join(project, "node_modules/lorikeet");
  const expected = ["ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "README.md", "README.zh-CN.md", "assets", "dist", "docs", "package.json"];
  expect(readdirSync(installed).sort()).toEqual(expected);
  const strays = readdirSync(installed, { recursive: true, encoding: "utf8" }).filter((name) => /\.test\.|\.tsbuildinfo$/.test(name));
  expect(strays).toEqual([]);
});

test("links in its documents lead to files that are in it", () => {
  const installed = join(project, "node_modules/lorikeet");
  const documents = readdirSync(installed, { recursive: true, encoding: "utf8" }).filter((name) => /^(docs\/)?[^/]+\.md$/.test(name));
  expect(documents).toContain("docs/library.md");
  const broken = documents.flatMap((document) =>
    [...readFileSync(join(installed, document), "utf8").matchAll(/\]\(([^)\s#]+)[^)]*\)/g)]
      .map(([, link = ""]) => link)
      .filter((link) => !/^https?:/.test(link) && !existsSync(join(installed, dirname(document), link)))
      .map((link) => `${document}: ${link}`),
  );
  expect(broken).toEqual([]);
});

test("npx lorikeet --help", () => {
  expect(runInProject("npx", "--no-install", "lorikeet", "--help")).toContain("Usage: lorikeet COMMAND");
});

test("the engine runs without what its installer would download", () => {
  writeFileSync(
    join(project, "doctor.mjs"),
    'import { doctor } from "lorikeet";\nconst report = await doctor();\nconsole.log(JSON.stringify(report));\nprocess.exit();\n',
  );
  expect(JSON.parse(runInProject("node", "doctor.mjs"))).toHaveProperty("devices");
});

test("the front door lists exactly these names", () => {
  writeFileSync(join(project, "names.mjs"), 'console.log(JSON.stringify(Object.keys(await import("lorikeet")).sort()));');
  expect(JSON.parse(runInProject("node", "names.mjs"))).toEqual([
    "InputError",
    "RunError",
    "classify",
    "combine",
    "convert",
    "doctor",
    "eject",
    "embed",
    "evaluate",
    "exportAdapter",
    "extract",
    "generate",
    "generateBatch",
    "importConfig",
    "inspect",
    "inspectData",
    "loadAdapter",
    "loadModel",
    "merge",
    "plan",
    "pull",
    "push",
    "rank",
    "resize",
    "train",
    "unloadAdapter",
    "unmerge",
  ]);
  writeFileSync(join(project, "deep.mjs"), 'await import("lorikeet/dist/index.js");');
  expect(() => runInProject("node", "deep.mjs")).toThrow(/ERR_PACKAGE_PATH_NOT_EXPORTED/);
});

test("a typed import compiles under the strictest settings, library types checked too", () => {
  writeFileSync(
    join(project, "main.ts"),
    `import { evaluate, generate, InputError, type LanguageModel, loadAdapter, loadModel, merge, train, type TrainEvent } from "lorikeet";

export async function teach(data: string, signal: AbortSignal): Promise<number> {
  let loss = Number.NaN;
  for await (const event of train({ model: "smollm2-135m", data, out: "adapter", steps: 10, signal })) {
    const seen: TrainEvent = event;
    if (event.type === "step") loss = event.loss;
    // @ts-expect-error an event of another type has no loss
    if (seen.type === "checkpoint") loss = seen.loss;
  }
  return loss;
}

export async function answer(prompt: string): Promise<string> {
  const model: LanguageModel = await loadModel("smollm2-135m");
  const adapter = await loadAdapter(model, "adapter");
  let text = "";
  for await (const piece of generate(model, { prompt, adapter, maxNewTokens: 20 })) text += piece;
  // @ts-expect-error a prompt is text
  generate(model, { prompt: 5 });
  await model.dispose();
  return text;
}

export const measured: Promise<number> = evaluate({ model: "smollm2-135m", data: "valid.jsonl" }).then(({ seconds }) => seconds);
export const merged: Promise<string> = merge({ model: "smollm2-135m", adapter: "adapter", out: "merged" }).then(({ out }) => out);
export const ours = (error: unknown): boolean => error instanceof InputError;
`,
  );
  const compilerOptions = {
    target: "ES2023",
    module: "NodeNext",
    // AbortSignal is the one global type that the library's types name: DOM's declaration will do, as Node's would.
    lib: ["ES2023", "DOM"],
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["main.ts"] }));
  expect(compile()).toBe("");
});

/** What the compiler of this repository finds in the project. */
function compile(): string {
  try {
    return runInProject(process.execPath, resolve("node_modules/typescript/bin/tsc"), "--pretty", "false");
  } catch (error) {
    return error instanceof Error && "stdout" in error ? String(error.stdout) : String(error);
  }
}

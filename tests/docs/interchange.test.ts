import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { proofsOf, readProofs } from "../../tools/interchange/proofs.js";
import { interchangeTable, unproven, withTable } from "../../tools/interchange/table.js";

describe("the table of docs/interchange.md", () => {
  const { proofs, faults } = readProofs();

  test("is proven in every way that it names, by tests that run", () => {
    expect(faults).toEqual([]);
    expect(unproven(proofs)).toEqual([]);
  });

  test("is what `npm run docs` makes", () => {
    const page = readFileSync("docs/interchange.md", "utf8");
    expect(page).toBe(withTable(page, interchangeTable(proofs)));
  });
});

describe("a proof", () => {
  const mark = "// Proves peft-bin in: its values";
  const read = (text: string) => proofsOf("tests/a.test.ts", text, "");

  test.each([
    ["a test", `${mark}\ntest("…", () => {});`],
    ["a test over rows, in a group", `describe("…", () => {\n  ${mark}\n  // Also.\n  it.each([1])("%i", () => {});\n});`],
    ["a group that holds one", `${mark}\ndescribe.each([1])("%i", () => { for (const row of rows) test(row, () => {}); });`],
  ])("stands above %s", (_where, text) => {
    expect(read(text)).toEqual({ proofs: [{ format: "peft-bin", way: "in", claim: "its values", file: "tests/a.test.ts" }], faults: [] });
  });

  test.each([
    ["nothing", mark],
    ["something else", `${mark}\nconst row = 1;\ntest("…", () => {});`],
    ["a test that is skipped", `${mark}\ntest.skip("…", () => {});`],
    ["one that is not written", `${mark}\ntest.todo("…");`],
    ["one that runs on some machines alone", `${mark}\ntest.skipIf(windows)("…", () => {});`],
    ["one in a group that is skipped", `describe.skip("…", () => {\n  ${mark}\n  test("…", () => {});\n});`],
    ["a group of nothing", `${mark}\ndescribe("…", () => {\n  // test("…", () => {});\n});`],
    ["a group whose tests are skipped", `${mark}\ndescribe("…", () => { test.skip("…", () => {}); });`],
  ])("is none above %s", (_what, text) => {
    expect(read(text)).toEqual({ proofs: [], faults: [`tests/a.test.ts: no test that always runs follows \`${mark}\``] });
  });

  test("of a check in Python is one where CI runs it", () => {
    const text = '"""Whether …"""\n\n# Proves peft-bin in: its values\n';
    const file = "tests/golden/check_a.py";
    expect(proofsOf(file, text, `gives() { python ${file} "$1"; }`).proofs).toHaveLength(1);
    expect(proofsOf(file, text, `# python ${file}`)).toMatchObject({
      proofs: [],
      faults: [expect.stringContaining("no test that always runs")],
    });
  });

  test("without a form or a claim is told", () => {
    expect(read("// Proves peft-bin: its values").faults).toEqual([expect.stringContaining("is not of the form")]);
  });

  test("is missing, or is one of something that the table does not have", () => {
    const groups = [{ title: "Adapters", formats: [{ id: "a", what: "a", tool: "", in: "`--a`", out: "`b`" }] }];
    const proof = (format: string, way: "in" | "out") => ({ format, way, claim: "…", file: "f" });
    expect(unproven([proof("a", "in"), proof("b", "in")], groups)).toEqual([
      "no test proves a out",
      "f proves b in, of which tools/interchange/formats.ts knows nothing",
    ]);
  });
});

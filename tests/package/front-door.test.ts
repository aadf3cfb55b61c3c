import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

// Whoever calls a function of the library in TypeScript can name what it takes and gives.

const parse = (path: string) => ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);

/** Names of types that stand in a node. */
function typeNames(node: ts.Node): string[] {
  const own =
    ts.isTypeReferenceNode(node) && ts.isIdentifier(node.typeName)
      ? [node.typeName.text]
      : ts.isExpressionWithTypeArguments(node) && ts.isIdentifier(node.expression)
        ? [node.expression.text]
        : [];
  const children: string[] = [];
  node.forEachChild((child) => void children.push(...typeNames(child)));
  return [...own, ...children];
}

const frontDoor = parse("src/index.ts");
const exported = frontDoor.statements.filter(ts.isExportDeclaration).flatMap((statement) => {
  const names = statement.exportClause && ts.isNamedExports(statement.exportClause) ? statement.exportClause.elements : [];
  const from = statement.moduleSpecifier && ts.isStringLiteral(statement.moduleSpecifier) ? statement.moduleSpecifier.text : "";
  return names.map(({ name }) => ({ name: name.text, file: join("src", from.replace(/\.js$/, ".ts")) }));
});

/** The types that the workflows speak in: each with the names that its own declaration uses. */
const api = parse("src/workflows/api.ts");
const declared = new Map<string, readonly string[]>();
for (const statement of api.statements) {
  if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) declared.set(statement.name.text, typeNames(statement));
  if (!ts.isExportDeclaration(statement) || !statement.exportClause || !ts.isNamedExports(statement.exportClause)) continue;
  for (const { name } of statement.exportClause.elements) declared.set(name.text, []);
}

/** The types in the signatures of the exported functions of a file. */
function signatureTypes(file: string, functions: readonly string[]): string[] {
  if (!existsSync(file)) return [];
  return parse(file)
    .statements.filter(ts.isFunctionDeclaration)
    .filter(({ name }) => name !== undefined && functions.includes(name.text))
    .flatMap(({ parameters, type }) => [...parameters.flatMap(typeNames), ...(type === undefined ? [] : typeNames(type))]);
}

test("every type of the workflows that a function's signature leads to is exported beside the function", () => {
  const names = exported.map(({ name }) => name);
  const reached = new Set<string>();
  const visit = (name: string) => {
    if (reached.has(name) || !declared.has(name)) return;
    reached.add(name);
    for (const next of declared.get(name) ?? []) visit(next);
  };
  for (const file of new Set(exported.map((each) => each.file))) for (const name of signatureTypes(file, names)) visit(name);
  expect(reached.size).toBeGreaterThan(15);
  expect([...reached].filter((name) => !names.includes(name))).toEqual([]);
});

// Runs an example: node examples/run.mjs NAME [ARGUMENT]…
// Node 22.18 and later run the .ts files themselves; for older ones esbuild takes the types out first.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const [name = "train-in-ten-lines", ...parameters] = process.argv.slice(2);
const here = (path) => new URL(path, import.meta.url);
const built = here(`../node_modules/.cache/lorikeet-examples/${name}.mjs`);

await build({
  entryPoints: [fileURLToPath(here(`${name}.ts`))],
  outfile: fileURLToPath(built),
  bundle: true,
  format: "esm",
  platform: "node",
  alias: { lorikeet: here("../dist/index.js").href }, // this package, where an application has an installed one
  external: ["file:*"],
  logLevel: "error",
});
process.argv = [process.execPath, name, ...parameters];
await import(built.href);

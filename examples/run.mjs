// Runs an example: node examples/run.mjs NAME [ARGUMENT]…
// Node 22.18 and later run the .ts files themselves; for older ones esbuild takes the types out first.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const [name = "train-in-ten-lines", ...parameters] = process.argv.slice(2);
const source = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
// Inside this package "lorikeet" means the package itself, built in dist/.
const built = new URL(`../dist/examples/${name}.mjs`, import.meta.url);

await build({ entryPoints: [source], outfile: fileURLToPath(built), format: "esm", logLevel: "error" });
process.argv = [process.execPath, source, ...parameters];
await import(built.href);

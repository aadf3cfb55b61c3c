/**
 * Makes the data of `lorikeet demo`: English to cron, in assets/demo/cron-{train,valid,test}.jsonl. From the project's root:
 *
 *   npx esbuild tools/make-cron-data.ts --bundle --platform=node --format=esm --packages=external --outfile=tools/make-cron-data.out.mjs
 *   node tools/make-cron-data.out.mjs && rm tools/make-cron-data.out.mjs
 *
 * The outcome is the same on every machine; a test compares it with the committed files.
 */
import { writeFile } from "node:fs/promises";
import { buildCronData } from "./cron-data/build.js";

const data = buildCronData();
for (const [name, rows] of Object.entries(data)) {
  const path = `assets/demo/cron-${name}.jsonl`;
  await writeFile(path, rows.map((row: unknown) => `${JSON.stringify(row)}\n`).join(""));
  console.log(`${path}: ${rows.length} rows`);
}

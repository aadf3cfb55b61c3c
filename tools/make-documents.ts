// Writes what is derived: docs/options.md and the JSON schema of run.yaml from the declarations of the options, the table of docs/interchange.md
// from the tests that prove it. Run by `npm run docs`.
import { readFileSync, writeFileSync } from "node:fs";
import { readProofs } from "./interchange/proofs.js";
import { interchangeTable, withTable } from "./interchange/table.js";
import { optionsDocument } from "./options-document.js";
import { trainSchemaText } from "./train-schema.js";

writeFileSync("docs/options.md", optionsDocument());
writeFileSync("assets/train.schema.json", trainSchemaText());
const interchange = "docs/interchange.md";
writeFileSync(interchange, withTable(readFileSync(interchange, "utf8"), interchangeTable(readProofs().proofs)));

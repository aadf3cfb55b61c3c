// Writes what is derived from the declarations of the options: docs/options.md, and the JSON schema of run.yaml. Run by `npm run docs`.
import { writeFileSync } from "node:fs";
import { optionsDocument } from "./options-document.js";
import { trainSchemaText } from "./train-schema.js";

writeFileSync("docs/options.md", optionsDocument());
writeFileSync("assets/train.schema.json", trainSchemaText());

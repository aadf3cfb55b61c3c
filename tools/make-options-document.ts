// Writes docs/options.md. Run from the repository's root:
//   npx esbuild tools/make-options-document.ts --bundle --platform=node --format=esm --packages=external | node --input-type=module
import { writeFileSync } from "node:fs";
import { optionsDocument } from "./options-document.js";

writeFileSync("docs/options.md", optionsDocument());

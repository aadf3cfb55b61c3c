#!/usr/bin/env node
import { processIo } from "./io.js";
import { run } from "./run.js";
import { workflows } from "./workflows.js";

const io = processIo();
const code = await run(process.argv.slice(2), io, workflows);
// Output to a pipe is asynchronous: what was written must have left before the process ends.
await Promise.all([io.stdout, io.stderr].map((stream) => new Promise<void>((resolve) => stream.write("", () => resolve()))));
process.exit(code);

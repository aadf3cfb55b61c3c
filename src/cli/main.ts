#!/usr/bin/env node
import { processIo } from "./io.js";
import { run } from "./run.js";
import { workflows } from "./workflows.js";

const io = processIo();
// A reader that has gone away is dealt with in run(); what is still on its way afterwards must not bring the process down.
for (const stream of [io.stdout, io.stderr]) stream.on("error", () => undefined);
const code = await run(process.argv.slice(2), io, workflows);
// Output to a pipe is asynchronous: what was written must have left before the process ends.
await Promise.all([io.stdout, io.stderr].map((stream) => new Promise<void>((resolve) => stream.write("", () => resolve()))));
process.exit(code);

import { InputError, RunError } from "../../src/errors.js";
import type { Answer, Task } from "./protocol.js";
import { readers } from "./readers/index.js";

// The process that reads mutated files. It may write into one folder alone (Node's permissions), and is ended from outside where it hangs.

const knownNames = new Set(Object.getOwnPropertyNames(Object.prototype));

async function read({ reader: name, folder, out }: Task): Promise<Answer> {
  const reader = readers.find((each) => each.name === name);
  if (reader === undefined) throw new Error(`There is no reader ${name}.`);
  const before = process.memoryUsage.rss();
  const start = process.cpuUsage();
  const how = await reader.read(folder, out).then(
    () => ({ outcome: "read" }) as const,
    (error: unknown) => described(error),
  );
  const { user, system } = process.cpuUsage(start);
  const most = process.resourceUsage().maxRSS * 1024;
  const grown = most > peak ? most - before : 0;
  peak = most;
  const polluted = Object.getOwnPropertyNames(Object.prototype).filter((key) => !knownNames.has(key));
  return { ...how, grown, seconds: (user + system) / 1e6, polluted };
}

/** The most that the process ever had, bytes. */
let peak = process.resourceUsage().maxRSS * 1024;

function described(error: unknown): Pick<Answer, "outcome" | "words"> {
  if (error instanceof InputError || error instanceof RunError) return { outcome: "refused", words: error.message };
  return { outcome: "thrown", words: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

process.on("message", (task: Task) => {
  // What is thrown here ends the process, which is a fault too.
  void read(task).then((answer) => process.send?.(answer));
});
process.on("disconnect", () => process.exit());
process.send?.("ready");

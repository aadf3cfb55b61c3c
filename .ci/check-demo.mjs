// Checks the last line of `npm run demo -- --json`, the format that scripts read: every key, its type and range, and that the
// model did learn.   node .ci/check-demo.mjs FILE
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Chance does not lift a score this far: a model that has learned nothing gives no valid cron expression. */
const SMALLEST_RISE = 0.05;

const last = readFileSync(process.argv[2], "utf8").trimEnd().split("\n").at(-1);
process.stdout.write(`${last}\n`);
const { type, target, general, seconds, tokensPerSecond, peakBytes, adapter } = JSON.parse(last);

const share = (value) => typeof value === "number" && value >= 0 && value <= 1;
const positive = (value) => typeof value === "number" && value > 0;
const holds = (file) => typeof adapter === "string" && existsSync(join(adapter, file));
const expectations = {
  'type is "done"': type === "done",
  "target.before is a share": share(target?.before),
  "target.after is a share": share(target?.after),
  "general.before is a share": share(general?.before),
  "general.after is a share": share(general?.after),
  "seconds is above 0": positive(seconds),
  "tokensPerSecond is above 0": positive(tokensPerSecond),
  "peakBytes is above 0": positive(peakBytes),
  "adapter is a folder with its configuration": holds("adapter_config.json"),
  "adapter is a folder with its weights": holds("adapter_model.safetensors"),
  [`target rises by ${SMALLEST_RISE} or more`]: target?.after >= target?.before + SMALLEST_RISE,
};
const unmet = Object.keys(expectations).filter((name) => !expectations[name]);
for (const name of unmet) process.stderr.write(`the demo's last line: expected that ${name}\n`);
process.exit(unmet.length === 0 ? 0 : 1);

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { classify, type LabelReport, train } from "lorikeet";
import { classScores, confusionMatrix } from "../../src/evaluation/labels/confusion.js";
import { linearProbe } from "./probe.js";
import { type Mail, readMails } from "./spam.js";

// `npm run demo:classify`: trains an adapter and a head on real mails, beside a linear probe on frozen embeddings.

const MODEL = "minilm-l6";
const SEED = 7;
const MAX_LENGTH = 128;
const SIZES = { full: { train: 2_400, test: 1_000, epochs: 2 }, quick: { train: 160, test: 200, epochs: 3 } } as const;
const LABELS = ["ham", "spam"] as const;
const SHOWN = 4;

const quick = process.argv.includes("--quick");
const out = process.argv.includes("--out")
  ? (process.argv[process.argv.indexOf("--out") + 1] ?? "lorikeet-demo-classify")
  : "lorikeet-demo-classify";
const { train: count, test: asked, epochs } = SIZES[quick ? "quick" : "full"];

const mails = await readMails(SEED);
const [test, learned] = [mails.slice(0, asked), mails.slice(asked, asked + count)];
const work = await mkdtemp(join(tmpdir(), "lorikeet-demo-"));
try {
  const file = async (name: string, rows: readonly Mail[]) => {
    const path = join(work, name);
    await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    return path;
  };
  console.log(`${learned.length} mails to learn from, ${test.length} to be asked about; ${MODEL}, first ${MAX_LENGTH} tokens.`);
  const data = await file("train.jsonl", learned);
  await rm(out, { recursive: true, force: true });
  const report = await trained(data);
  const told = await classify({ model: MODEL, adapter: out, data: await file("test.jsonl", test), batchSize: 16, maxLength: MAX_LENGTH });
  const after = told.rows.map((row) => (row.kind === "label" ? row.label : ""));
  const probe = await linearProbe(MODEL, learned, test, MAX_LENGTH);
  const most = LABELS.map((label) => learned.filter((mail) => mail.label === label).length);
  const baseline = test.map(() => LABELS[most.indexOf(Math.max(...most))] ?? "ham");
  console.log("\nA head that was not trained says nothing, so before the training there is only the most frequent label.\n");
  console.log("                              right   F1 of spam  Matthews");
  for (const [name, said] of [
    ["always the most frequent label", baseline],
    ["linear probe, frozen embeddings", probe],
    ["adapter and head", after],
  ] as const) {
    console.log(scoreLine(name, said));
  }
  if (rightOf(after) <= rightOf(baseline)) process.exitCode = 1; // nothing was learned: CI must see it
  const better = test.flatMap((mail, index) => (probe[index] !== mail.label && after[index] === mail.label ? [mail] : []));
  const worse = test.filter((mail, index) => probe[index] === mail.label && after[index] !== mail.label).length;
  console.log(`\n${better.length} mails that the probe gets wrong are right now, ${worse} are wrong now. Some that are right now:`);
  for (const { text, label } of better.slice(0, SHOWN)) console.log(`  ${label.padEnd(4)}  ${text.replace(/\s+/g, " ").slice(0, 110)}`);
  console.log(`\nadapter ${join(out, "adapter")}\nreport  ${report}`);
} finally {
  await rm(work, { recursive: true, force: true });
}

function rightOf(said: readonly string[]): number {
  return said.filter((label, index) => label === test[index]?.label).length;
}

function scoreLine(name: string, said: readonly string[]): string {
  const number = (label: string) => LABELS.indexOf(label as Mail["label"]);
  const scores = classScores(
    confusionMatrix(
      test.map(({ label }) => number(label)),
      said.map(number),
      2,
    ),
  );
  return `${name.padEnd(32)}${`${(100 * scores.accuracy).toFixed(1)} %`.padStart(7)}${(scores.binaryF1 ?? 0).toFixed(3).padStart(10)}${scores.matthews.toFixed(3).padStart(11)}`;
}

/** Trains and tells how it goes; returns the report's page. */
async function trained(data: string): Promise<string> {
  let page = "";
  const options = {
    model: MODEL,
    data,
    out,
    task: "classification",
    epochs,
    batchSize: 16,
    lr: 1e-3,
    rank: 8,
    alpha: 16,
    maxLength: MAX_LENGTH,
  } as const;
  for await (const event of train(options)) {
    if (event.type === "start") for (const note of event.notes) console.log(note);
    if (event.type === "evaluation") {
      const accuracy = event.metrics?.accuracy ?? Number.NaN;
      console.log(`after update ${event.step}: validation loss ${event.loss.toFixed(3)}, accuracy ${accuracy.toFixed(3)}`);
    }
    if (event.type === "warning") console.error(`warning: ${event.message}`);
    if (event.type === "report") {
      page = event.path;
      console.log((event.report as LabelReport).sentence);
    }
    if (event.type === "done") console.log(`${event.steps} updates in ${Math.round(event.seconds)} s`);
  }
  return page;
}

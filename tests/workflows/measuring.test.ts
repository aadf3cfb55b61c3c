import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { evaluate, type TrainEvent, train } from "lorikeet";
import { describe, expect, test } from "vitest";
import { golden } from "../support/golden.js";
import { jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";

interface Facts {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly conversation: readonly number[];
  readonly prompt: readonly number[];
  readonly base: { readonly nll: readonly number[] };
  readonly adapted: { readonly nll: readonly number[] };
}

const facts = golden<Facts>("tiny-chat/golden.json");

/** The golden conversation's mean loss over what is learned of it: the answer and the token that ends the turn, not the line's end. */
function goldenLoss(nll: readonly number[]): number {
  const losses = nll.slice(facts.prompt.length - 1, facts.conversation.length - 2);
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

describe("evaluate", () => {
  test("the loss and the perplexity are those of transformers, and with the adapter those of PEFT", async () => {
    const data = await jsonlFile([{ messages: facts.messages }]);
    const result = await evaluate({ model: TINY_CHAT, adapter: join(TINY_CHAT, "adapter"), data, general: false, maxNewTokens: 8 });
    const of = (metric: string) => result.comparisons.find((comparison) => comparison.metric === metric)!;
    expect(of("loss").base).toBeCloseTo(goldenLoss(facts.base.nll), 4);
    expect(of("loss").adapted).toBeCloseTo(goldenLoss(facts.adapted.nll), 4);
    expect(of("perplexity").base / Math.exp(goldenLoss(facts.base.nll))).toBeCloseTo(1, 4);
    expect(of("perplexity").adapted! / Math.exp(goldenLoss(facts.adapted.nll))).toBeCloseTo(1, 4);
    expect(of("exact match")).toMatchObject({ n: 1, base: 0, adapted: 0 });
    expect(result.samples).toHaveLength(1);
    expect(result.samples[0]).toMatchObject({ prompt: "What is the capital of France?", expected: "Paris" });
  });

  test("of a long conversation the last question stands beside the last answer, and what is too long is not asked", async () => {
    const turn = (number: number) => [
      { role: "user", content: `question ${number}` },
      { role: "assistant", content: `answer ${number}` },
    ];
    const data = await jsonlFile([
      { messages: [...turn(1), ...turn(2)] },
      { messages: [...turn(3), { role: "user", content: "word ".repeat(400) }, { role: "assistant", content: "cut" }] },
    ]);
    const result = await evaluate({ model: TINY_CHAT, data, general: false, maxLength: 128, maxNewTokens: 4 });
    expect(result.samples).toMatchObject([{ prompt: "question 2", expected: "answer 2" }]);
    expect(result.comparisons.find(({ metric }) => metric === "loss")?.n).toBe(2);
  });
});

describe("the end of a run", () => {
  async function run(completion: (row: number) => string) {
    const data = await jsonlFile(Array.from({ length: 40 }, (_, row) => ({ prompt: `say ${row}`, completion: completion(row) })));
    const out = join(await temporaryFolder(), "run");
    const events: TrainEvent[] = [];
    for await (const event of train({ model: TINY_CHAT, data, out, steps: 2, maxLength: 256 })) events.push(event);
    const report = events.find((event) => event.type === "report");
    const done = events.at(-1);
    if (report?.type !== "report" || done?.type !== "done" || "kind" in report.report) throw new Error("the run ended without its report");
    return { out, report: { ...report, report: report.report }, done };
  }

  test("short answers are compared, and everything is written and told", { timeout: 240_000 }, async () => {
    const { out, report, done } = await run(() => "yes");
    expect(report.report.target).toMatchObject({ unit: "share", n: 10 });
    expect(report.report.general.accuracy.n).toBeGreaterThanOrEqual(300);
    expect(report.report.samples).toHaveLength(3);
    expect(report.report.samples[0]).toMatchObject({ expected: "yes" });
    expect(report.report.curves.train).toHaveLength(2);
    expect(done.target).toEqual({ before: report.report.target.before, after: report.report.target.after });
    expect(done.general!.before).toBe(report.report.general.accuracy.before);
    expect(report.path).toBe(join(out, "report.html"));
    expect(await readFile(report.path, "utf8")).toContain("<html");
    expect(JSON.parse(await readFile(join(out, "report.json"), "utf8")).sentence).toBe(report.report.sentence);
    expect(existsSync(join(out, "adapter", "adapter_model.safetensors"))).toBe(true);
  });

  test("long answers are measured by their perplexity, of which the score is the inverse", { timeout: 240_000 }, async () => {
    const { report, done } = await run((row) => `answer ${row} `.repeat(20));
    const { target } = report.report;
    expect(target.unit).toBe("perplexity");
    expect(target.before).toBeGreaterThan(1);
    expect(done.target!.before).toBeCloseTo(1 / target.before, 10);
  });
});

import { describe, expect, test } from "vitest";
import { encodeQuestion, encodeRow, encodeRows, encodeUserPrompt, longExampleRules } from "../../src/data/example.js";
import { buildDataReport, lengthStatistics, maskedText } from "../../src/data/report.js";
import { promptKey, questionOf, type Row, type RowForm, type SourceRow } from "../../src/data/row.js";
import { splitHeldOut } from "../../src/data/split.js";
import { buildTextCodec } from "../../src/text/codec.js";
import { surroundingTemplate } from "../../src/text/model-input.js";
import type { TextCodec } from "../../src/text/tokenizer.js";
import { golden } from "../support/golden.js";

const json = golden<Record<string, unknown>>("text/byte-level/tokenizer.json");
const { templates } = golden<{ templates: Record<string, string> }>("text/templates.json");

const codecOf = (chatTemplate: string | undefined, startIds: number[] = []): TextCodec =>
  buildTextCodec(json, {
    file: "tokenizer.json",
    namedTokens: { bos_token: "<|im_start|>", eos_token: "<|im_end|>" },
    endOfTurnIds: [2],
    inputTemplate: surroundingTemplate(startIds, []),
    chatTemplate,
  });
const chatml = codecOf(templates.chatml);
const bare = codecOf(undefined);

const forms: Record<Row["kind"], RowForm> = { chat: "messages", completion: "prompt-completion", text: "text" };
const rows = (...list: Row[]): SourceRow[] =>
  list.map((row, index) => ({ row, form: forms[row.kind], source: { file: "f.jsonl", line: index + 1 } }));
const completion = (prompt: string, answer: string): Row => ({ kind: "completion", prompt, completion: answer });
const chat = (...contents: string[]): Row => ({
  kind: "chat",
  messages: contents.map((content, index) => ({ role: index % 2 === 0 ? "user" : "assistant", content })),
  learnFrom: 0,
});
const learnedText = (codec: TextCodec, row: Row): string => {
  const { ids, supervised } = encodeRow(codec, row);
  return codec.decode(ids.filter((_, i) => supervised[i]));
};

describe("rows become ids", () => {
  test("a prompt and its completion are turns where there is a template", () => {
    expect(encodeRow(chatml, completion("Hello", "Hi"))).toEqual(encodeRow(chatml, chat("Hello", "Hi")));
    expect(learnedText(chatml, completion("Hello", "Hi"))).toBe("Hi<|im_end|>");
  });

  test("without a template they are joined as they are, and end with the end-of-text token", () => {
    const { ids, supervised } = encodeRow(bare, completion("Hello there", " you"));
    expect(bare.decode(ids)).toBe("Hello there you<|im_end|>");
    expect(learnedText(bare, completion("Hello there", " you"))).toBe(" you<|im_end|>");
    expect(supervised.at(-1)).toBe(true);
  });

  test("the ids of the question are the beginning of the ids trained on", () => {
    for (const [codec, row] of [
      [chatml, completion("Hello there", "the fox")],
      [chatml, chat("a", "b", "c", "d")],
      [bare, completion("Hello", "the fox")],
    ] as const) {
      const { ids, supervised } = encodeRow(codec, row);
      const question = encodeQuestion(codec, row);
      expect(ids.slice(0, question?.ids.length)).toEqual(question?.ids);
      expect(supervised.slice(question?.ids.length)).toContain(true);
      expect(supervised[question?.ids.length ?? 0]).toBe(true);
    }
    expect(encodeUserPrompt(chatml, "Hello")).toEqual(encodeQuestion(chatml, completion("Hello", "x"))?.ids);
    expect(encodeUserPrompt(bare, "Hello")).toEqual(bare.encode("Hello"));
  });

  test("a document is learned whole, with its end; its opening token is not doubled and its first token is no target", () => {
    const opening = codecOf(undefined, [1]);
    const { ids, supervised } = encodeRow(opening, { kind: "text", text: "Hello there" });
    expect(opening.decode(ids)).toBe("<|im_start|>Hello there<|im_end|>");
    expect(supervised[0]).toBe(false);
    expect(supervised.slice(1)).not.toContain(false);
    expect(opening.decode(encodeRow(opening, { kind: "text", text: "<|im_start|>user\nHi<|im_end|>" }).ids)).toBe(
      "<|im_start|>user\nHi<|im_end|>",
    );
    const { examples } = encodeRows(bare, rows({ kind: "text", text: "Hello there" }), { maxLength: 100 });
    expect(examples[0]?.supervised[0]).toBe(0);
  });
});

describe("what is cut and left out, counted", () => {
  test("long examples are cut if something to learn stays, else left out", () => {
    const long = chat("Hello", "word ".repeat(200));
    const longPrompt = chat("word ".repeat(200), "Hi");
    const { examples, counts } = encodeRows(chatml, rows(long, longPrompt, chat("Hello", "Hi")), { maxLength: 80 });
    expect(counts).toEqual({ rows: 3, cut: 1, droppedTooLong: 1, droppedEmpty: 0 });
    expect(examples.map((example) => example.source.line)).toEqual([1, 3]);
    expect(examples[0]?.ids).toHaveLength(80);
    expect(longExampleRules.cut).toMatch(/cut at its end if at least one learned token stays/);
  });

  test("examples with nothing to learn are left out, never trained on as a loss of 0", () => {
    const { examples, counts } = encodeRows(chatml, rows(chat("only a question"), { kind: "text", text: " \n" }, chat("a", "b")), {
      maxLength: 80,
    });
    expect(counts).toMatchObject({ droppedEmpty: 2 });
    expect(examples.every((example) => example.supervised.includes(1))).toBe(true);
  });

  test("none left: an error that says why", () => {
    const none = () => encodeRows(chatml, rows(chat("a"), chat("word ".repeat(200), "b")), { maxLength: 64 });
    expect(none).toThrow(
      "f.jsonl: none of its 2 rows can be trained on: 1 have nothing to learn (no assistant message, or an empty answer); " +
        "1 have no answer within the first 64 tokens (raise --max-length).",
    );
  });

  test("rows that the template refuses are named with their lines", () => {
    const strict = codecOf(
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{{ m.content }}{% endfor %}",
    );
    const system: Row = { kind: "chat", messages: [{ role: "system", content: "s" }], learnFrom: 0 };
    expect(() => encodeRows(strict, rows(chat("a", "b"), system), { maxLength: 64 })).toThrow(
      /^f\.jsonl:2: The model's chat template refuses this conversation \(system\): System role not supported$/,
    );
  });
});

describe("questions and prompts", () => {
  test("the question is all that stands before the last learned answer", () => {
    expect(questionOf(chat("a", "b", "c", "d"))).toEqual({ messages: expect.objectContaining({ length: 3 }), expected: "d" });
    expect(questionOf({ kind: "text", text: "t" })).toBeUndefined();
    expect(questionOf(chat("a"))).toBeUndefined();
    expect(encodeQuestion(chatml, { kind: "text", text: "t" })).toBeUndefined();
  });

  test("prompts are one whatever their spacing and system message", () => {
    const withSystem: Row = {
      kind: "chat",
      messages: [
        { role: "system", content: "s" },
        { role: "user", content: "Hello  there\n" },
        { role: "assistant", content: "x" },
      ],
      learnFrom: 0,
    };
    expect(promptKey(withSystem)).toBe("Hello there");
    expect(promptKey(chat("Hello there", "other"))).toBe("Hello there");
    expect(promptKey(completion("Hello there", "z"))).toBe("Hello there");
  });
});

describe("holding rows out", () => {
  const numbered = (count: number, perPrompt = 1) =>
    Array.from({ length: count }, (_, index) => ({ index, prompt: `p${Math.floor(index / perPrompt)}` }));

  test("10 %, from 10 to 500 rows, never more than half", () => {
    const counts = [2, 12, 50, 100, 1000, 20_000].map((count) => splitHeldOut(numbered(count), 42).heldOut.length);
    expect(counts).toEqual([1, 6, 10, 10, 100, 500]);
  });

  test("seeded, in the file's order, every row on one side", () => {
    const all = numbered(300);
    const { train, heldOut } = splitHeldOut(all, 1);
    expect(splitHeldOut(all, 1)).toEqual({ train, heldOut });
    expect(splitHeldOut(all, 2).heldOut).not.toEqual(heldOut);
    expect([...train, ...heldOut].sort((a, b) => a.index - b.index)).toEqual(all);
    expect(train).toEqual([...train].sort((a, b) => a.index - b.index));
  });

  test("rows of one prompt stay together", () => {
    const { train, heldOut } = splitHeldOut(numbered(400, 7), 3);
    const trained = new Set(train.map((row) => row.prompt));
    expect(heldOut.filter((row) => trained.has(row.prompt))).toEqual([]);
    expect(heldOut.length).toBeGreaterThan(30);
    expect(heldOut.length).toBeLessThanOrEqual(40);
  });

  test("one prompt alone: nothing is held out; two large ones: the smaller", () => {
    expect(splitHeldOut(numbered(40, 40), 3).heldOut).toEqual([]);
    expect(splitHeldOut([], 3)).toEqual({ train: [], heldOut: [] });
    expect(splitHeldOut(numbered(100, 60), 3).heldOut).toHaveLength(40);
  });
});

describe("the report", () => {
  test("lengths, shares, samples with their mask, notes", () => {
    const list = rows(
      ...Array.from({ length: 30 }, (_, i) => completion(`Question ${i}`, `Answer 👍🏽 ${i}`)),
      chat("a", "word ".repeat(90)),
      chat("nothing"),
    );
    const encoded = encodeRows(chatml, list, { maxLength: 120 });
    const report = buildDataReport(chatml, encoded, splitHeldOut(encoded.examples, 42), {
      file: "f.jsonl",
      format: "jsonl",
      maxLength: 120,
    });
    expect(report).toMatchObject({
      rows: 32,
      examples: 31,
      cut: 1,
      droppedEmpty: 1,
      droppedTooLong: 0,
      train: 21,
      heldOut: 10,
      prompts: 31,
    });
    expect(report.forms).toEqual({ "prompt-completion": 30, messages: 2 });
    expect(report.tokens).toBe(encoded.examples.reduce((sum, example) => sum + example.ids.length, 0));
    expect(report.lengths.histogram.reduce((sum, bar) => sum + bar.count, 0)).toBe(31);
    expect(report.samples[0]?.segments.filter((segment) => segment.supervised)).toEqual([
      { text: "Answer 👍🏽 0<|im_end|>", supervised: true },
    ]);
    expect(report.samples[0]?.segments.map((segment) => segment.text).join("")).toBe(
      "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nQuestion 0<|im_end|>\n<|im_start|>assistant\nAnswer 👍🏽 0<|im_end|>\n",
    );
    expect(report.notes.join(" ")).toMatch(/mixes forms of rows.*1 examples are cut/);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  test("a remark when the template leaves the tools out", () => {
    const row: Row = {
      kind: "chat",
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
      ],
      tools: [{ name: "f" }],
      learnFrom: 0,
    };
    const encoded = encodeRows(chatml, rows(row), { maxLength: 120 });
    const { notes } = buildDataReport(chatml, encoded, splitHeldOut(encoded.examples, 1), { file: "f", format: "jsonl", maxLength: 120 });
    expect(notes.join(" ")).toMatch(/does not write "tools".*Nothing can be held out/);
  });

  test("statistics of lengths", () => {
    expect(lengthStatistics([1, 2, 3, 4, 100])).toEqual({
      least: 1,
      median: 3,
      mean: 22,
      percentile95: 100,
      most: 100,
      histogram: [
        { from: 0, to: 32, count: 4 },
        { from: 32, to: 64, count: 0 },
        { from: 64, to: 128, count: 1 },
      ],
    });
    expect(maskedText(bare, { ids: new Int32Array(0), supervised: new Uint8Array(0) })).toEqual([]);
  });
});

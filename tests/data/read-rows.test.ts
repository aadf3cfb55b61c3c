import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readRows } from "../../src/data/node/read-rows.js";
import { InputError } from "../../src/errors.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-rows-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

/** The error of reading a file with this content, with the folder's name taken out. */
async function errorOf(name: string, content: string | Uint8Array): Promise<string> {
  const path = await write(name, content);
  const error: unknown = await readRows(path).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(InputError);
  return (error as InputError).message.replaceAll(`${folder}/`, "");
}

async function rowsOf(name: string, content: string | Uint8Array) {
  const { format, rows } = await readRows(await write(name, content));
  return { format, rows: rows.map(({ row }) => row), forms: rows.map(({ form }) => form), lines: rows.map(({ source }) => source.line) };
}

describe("rows are recognised by their keys", () => {
  const one = async (row: object) => (await rowsOf("one.jsonl", JSON.stringify(row))).rows[0];
  const user = { role: "user", content: "a" };
  const assistant = { role: "assistant", content: "b" };

  test("messages with variables of the template, as an object or as JSON text", async () => {
    const wanted = { templateVariables: { enable_thinking: false } };
    expect(await one({ messages: [user, assistant], chat_template_kwargs: { enable_thinking: false } })).toMatchObject(wanted);
    expect(await one({ messages: [user, assistant], chat_template_kwargs: '{"enable_thinking": false}' })).toMatchObject(wanted);
    await expect(one({ messages: [user], chat_template_kwargs: [1] })).rejects.toThrow(
      /expected "chat_template_kwargs" to be an object, found a list/,
    );
    await expect(one({ messages: [user], chat_template_kwargs: "{" })).rejects.toThrow(
      /expected "chat_template_kwargs" to be an object or the JSON text of one/,
    );
  });

  test("messages, with system and tools", async () => {
    const tools = [{ type: "function", function: { name: "f" } }];
    expect(await one({ messages: [user, assistant], id: 7 })).toEqual({ kind: "chat", messages: [user, assistant], learnFrom: 0 });
    expect(await one({ system: "s", messages: [user, assistant], tools })).toEqual({
      kind: "chat",
      messages: [{ role: "system", content: "s" }, user, assistant],
      tools,
      learnFrom: 0,
    });
    expect(await one({ messages: [user], tools: JSON.stringify(tools) })).toMatchObject({ tools });
  });

  test("messages with parts, calls of tools and empty fields", async () => {
    const call = { id: "1", type: "function", function: { name: "f", arguments: '{"x":1}' } };
    const messages = [
      {
        role: "user",
        content: [
          { type: "text", text: "one " },
          { type: "text", text: "two" },
        ],
        name: null,
      },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "1", content: "3", tool_calls: null },
    ];
    expect(await one({ messages })).toEqual({
      kind: "chat",
      messages: [
        { role: "user", content: "one two" },
        { role: "assistant", content: "", tool_calls: [{ ...call, function: { name: "f", arguments: { x: 1 } } }] },
        { role: "tool", tool_call_id: "1", content: "3" },
      ],
      learnFrom: 0,
    });
  });

  test("prompt and completion, as strings and as messages", async () => {
    expect(await one({ prompt: "p", completion: "c" })).toEqual({ kind: "completion", prompt: "p", completion: "c" });
    expect(await one({ prompt: "p", completion: "c", system: "s" })).toEqual({
      kind: "completion",
      prompt: "p",
      completion: "c",
      system: "s",
    });
    const chat = { kind: "chat", messages: [user, assistant], learnFrom: 1 };
    expect(await one({ prompt: [user], completion: [assistant] })).toEqual(chat);
    expect(await one({ prompt: [user], completion: "b" })).toEqual(chat);
    expect(await one({ prompt: "a", completion: [assistant] })).toEqual(chat);
  });

  test("text, Alpaca and ShareGPT", async () => {
    expect(await one({ text: "t" })).toEqual({ kind: "text", text: "t" });
    expect(await one({ instruction: "i", input: "", output: "o" })).toEqual({ kind: "completion", prompt: "i", completion: "o" });
    expect(await one({ instruction: "i", input: "x", output: "o" })).toEqual({ kind: "completion", prompt: "i\n\nx", completion: "o" });
    const conversations = [
      { from: "system", value: "s" },
      { from: "human", value: "a" },
      { from: "gpt", value: "b" },
      { from: "observation", value: "c" },
    ];
    expect(await one({ conversations })).toMatchObject({
      messages: [{ role: "system", content: "s" }, user, assistant, { role: "tool", content: "c" }],
    });
  });
});

describe("files as people have them", () => {
  // Proves jsonl in: byte order marks, CRLF, blank lines, lists over lines
  test("JSONL with a byte order mark, CRLF, blank lines and no last line end", async () => {
    const { format, rows, lines } = await rowsOf("a.jsonl", '\ufeff{"text":"one"}\r\n\r\n  \r\n{"text":"tw\\r\\no"}\r\n{"text":"three"}');
    expect(format).toBe("jsonl");
    expect(rows.map((row) => row.kind === "text" && row.text)).toEqual(["one", "tw\r\no", "three"]);
    expect(lines).toEqual([1, 4, 5]);
  });

  test("JSON as a list, over lines or on one; each row knows its line", async () => {
    const text = '[\n {"text": "a, [b] {c}\\" \\\\"},\n\n {"text":\n  "d", "more": [{"x": 1}, 2]}, {"text": "e"}\n]\n';
    expect(await rowsOf("a.json", text)).toMatchObject({ format: "json", lines: [2, 4, 5], forms: ["text", "text", "text"] });
    expect(await rowsOf("b.json", '\ufeff[{"text":"a"},{"text":"b"}]')).toMatchObject({ lines: [1, 1] });
  });

  test("JSONL under the name .json or another", async () => {
    expect(await rowsOf("c.json", '{"text":"a"}\n{"text":"b"}\n')).toMatchObject({ format: "jsonl", lines: [1, 2] });
    expect(await rowsOf("rows.txt", '{"text":"a"}\n')).toMatchObject({ format: "jsonl" });
  });

  // Proves csv in: quotes, line breaks in cells, byte order marks, separators
  test("CSV with quotes, line breaks in cells, a byte order mark and CRLF", async () => {
    const { format, rows, lines } = await rowsOf("a.csv", '\ufeffprompt, completion \r\n"say ""hi"", twice","one\ntwo"\r\n\r\nb,c\r\n');
    expect(format).toBe("csv");
    expect(rows).toEqual([
      { kind: "completion", prompt: 'say "hi", twice', completion: "one\ntwo" },
      { kind: "completion", prompt: "b", completion: "c" },
    ]);
    expect(lines).toEqual([2, 5]);
  });

  test("CSV with semicolons, TSV, and Alpaca with an empty input", async () => {
    expect((await rowsOf("b.csv", "instruction;input;output\na, b;;c\n")).rows).toEqual([
      { kind: "completion", prompt: "a, b", completion: "c" },
    ]);
    expect((await rowsOf("a.tsv", "prompt\tcompletion\na, b\tc\n")).rows).toEqual([
      { kind: "completion", prompt: "a, b", completion: "c" },
    ]);
  });

  test("messages as JSON text in a table's cell", async () => {
    const cell = JSON.stringify([{ role: "user", content: "a" }]).replaceAll('"', '""');
    expect((await rowsOf("m.csv", `messages\n"${cell}"\n`)).rows).toEqual([
      { kind: "chat", messages: [{ role: "user", content: "a" }], learnFrom: 0 },
    ]);
  });

  test("a large file in many chunks, characters split between them", async () => {
    const rows = Array.from({ length: 5000 }, (_, i) => JSON.stringify({ text: `漢字👍🏽 ${i} ${"é".repeat(i % 50)}` }));
    const read = await rowsOf("large.jsonl", rows.join("\n"));
    expect(read.rows).toHaveLength(5000);
    expect(read.rows[4321]).toEqual(JSON.parse(`{"kind":"text",${rows[4321]?.slice(1)}`));
  });
});

describe("bad files: where, expected, found", () => {
  test("a line that is not JSON", async () => {
    expect(await errorOf("a.jsonl", '{"text":"a"}\n{"text":\n')).toMatch(
      /^a\.jsonl:2: expected a JSON object on this line, found "\{\\"text\\":" \(Unexpected end/,
    );
  });

  test("fields of the wrong type, all rows in one error", async () => {
    const bad = [
      { text: 5 },
      { prompt: "a", completion: null },
      { messages: [] },
      { messages: [{ role: "user" }] },
      { conversations: [{ from: "narrator", value: "x" }] },
      7,
    ];
    const message = await errorOf("b.jsonl", `${bad.map((row) => JSON.stringify(row)).join("\n")}\n{"text":"good"}`);
    expect(message.split("\n")).toEqual([
      'b.jsonl:1: expected "text" to be a string, found 5',
      'b.jsonl:2: expected "completion" to be a string, found null',
      'b.jsonl:3: expected "messages" to be a list of messages, found an empty list',
      'b.jsonl:4: "messages"[0]: expected "content" to be a string, found nothing',
      expect.stringMatching(/^b\.jsonl:5: "conversations"\[0\]: expected "from" to be one of human, user, gpt.*, found "narrator"$/),
      "b.jsonl:6: expected an object, found 7",
    ]);
  });

  test("a missing field, with the keys that were found and the nearest name", async () => {
    expect(await errorOf("c.jsonl", '{"prompt":"a","complettion":"b"}')).toBe(
      'c.jsonl:1: expected "completion" beside "prompt", found "prompt", "complettion"; rename "complettion" to "completion"',
    );
    expect(await errorOf("d.jsonl", '{"prompt":"a","response":"b"}')).toMatch(/rename "response" to "completion"$/);
    expect(await errorOf("e.jsonl", '{"Messages":[]}')).toMatch(
      /expected the keys \{"messages"\} or .*, found "Messages"; rename "Messages" to "messages"$/,
    );
    expect(await errorOf("f.jsonl", "{}")).toMatch(/found no keys$/);
    expect(await errorOf("g.csv", "question,answer\na,b\n")).toMatch(
      /^g\.csv:2: expected the keys .*found "question", "answer"; rename "question" to "prompt"$/,
    );
  });

  test("more than ten bad rows: ten are named, the others counted", async () => {
    const lines = (await errorOf("h.jsonl", '{"x":1}\n'.repeat(25))).split("\n");
    expect(lines).toHaveLength(11);
    expect(lines[9]).toMatch(/^h\.jsonl:10: /);
    expect(lines[10]).toBe("… and 15 more rows.");
  });

  test("a CSV row with too few cells", async () => {
    expect(await errorOf("i.csv", "prompt,completion\na,b\nc\n")).toMatch(
      /^i\.csv:3: expected as many cells as the heading has \(prompt,completion\)/,
    );
  });

  test("empty files, of nothing and of blanks", async () => {
    expect(await errorOf("empty.jsonl", "")).toBe("empty.jsonl: has no rows; expected rows in JSONL, JSON, CSV or Parquet.");
    expect(await errorOf("blank.json", " \n\n")).toMatch(/^blank\.json: is empty/);
    expect(await errorOf("list.json", "[]")).toMatch(/^list\.json: has no rows/);
    expect(await errorOf("heading.csv", "prompt,completion\n")).toMatch(/^heading\.csv: has no rows/);
  });

  test("JSON that is no list, and JSON cut off", async () => {
    expect(await errorOf("a.json", '{\n"data": []\n}')).toMatch(/^a\.json: expected a list of rows .*, found one object/);
    expect(await errorOf("b.json", '[{"text":"a"},')).toMatch(/^b\.json: is not JSON/);
  });

  test("other files: pictures, archives, UTF-16, nothing", async () => {
    expect(await errorOf("a.bin", Uint8Array.of(0x89, 0x50, 0xff, 0xfe, 0, 1))).toMatch(/^a\.bin: is not UTF-8 text/);
    expect(await errorOf("utf16.csv", Uint8Array.from(Buffer.from("\ufeffprompt,completion\na,b", "utf16le")))).toMatch(
      /is not UTF-8 text.*CSV UTF-8/,
    );
    expect(await errorOf("a.md", "# Title\n")).toMatch(
      /^a\.md: expected a JSONL, JSON, CSV or Parquet file .*, found a file that begins with "# Title"/,
    );
    await expect(readRows(join(folder, "none.jsonl"))).rejects.toThrow(/none\.jsonl: no such file\./);
  });

  test("a table of quotation marks ends after a thousand errors; a device has no end at all", async () => {
    expect(await errorOf("quotes.csv", `prompt,completion\n${'a"'.repeat(5000)},b\n`)).toMatch(/^quotes\.csv: .*not CSV/);
    await expect(readRows("/dev/zero")).rejects.toThrow(
      /^\/dev\/zero: expected a file, found a pipe or device\. Give - to read standard input/,
    );
  });

  test("rows that are nested without end", async () => {
    expect(await errorOf("deep.jsonl", `{"text": ${"[".repeat(100_000)}`)).toMatch(/^deep\.jsonl.*nested more than 500 deep/s);
  });

  test("pictures inside messages", async () => {
    const row = { messages: [{ role: "user", content: [{ type: "image_url", image_url: "x" }] }] };
    expect(await errorOf("j.jsonl", JSON.stringify(row))).toMatch(/"messages"\[0\]: expected parts of type "text", found "image_url"/);
  });
});

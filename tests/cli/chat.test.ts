import { describe, expect, test } from "vitest";
import { chatHelp, readLine } from "../../src/cli/chat/chat-command.js";
import type { Io } from "../../src/cli/io.js";
import { InputError } from "../../src/errors.js";
import type { GenerateRequest, LanguageModel, LoadedAdapter, Workflows } from "../../src/workflows/api.js";
import { fakeIo, runWith } from "./support.js";

const adapter = (name: string): LoadedAdapter => ({ name, directory: `adapters/${name}`, rank: 16, layers: 210, parameters: 5 });

function chatWorkflows(seen: GenerateRequest[], generate?: Workflows["generate"]): Partial<Workflows> & { disposed: number } {
  const state = {
    disposed: 0,
    loadModel: async (name: string, options?: { adapters?: readonly string[] }): Promise<LanguageModel> => ({
      name,
      architecture: "llama",
      parameters: 1,
      contextLength: 8,
      adapters: (options?.adapters ?? []).map(adapter),
      notes: [],
      dispose: async () => void state.disposed++,
    }),
    loadAdapter: async (_: LanguageModel, directory: string) => {
      if (directory === "missing") throw new InputError('missing: there is no folder "missing"');
      return adapter(directory);
    },
    generate:
      generate ??
      async function* (_model: LanguageModel, request: GenerateRequest) {
        seen.push(request);
        yield "answer ";
        yield String(seen.length);
      },
  };
  return state;
}

async function talk(lines: readonly string[], argv: readonly string[] = []) {
  const seen: GenerateRequest[] = [];
  const io = fakeIo();
  const workflows = chatWorkflows(seen);
  io.stdin.end(lines.map((line) => `${line}\n`).join(""));
  const result = await runWith(["chat", "--model", "m", ...argv], workflows, io);
  return { ...result, seen, workflows };
}

describe("chat", () => {
  test("keeps the conversation and streams the answers", async () => {
    const { code, out, seen, workflows } = await talk(["hello", "", "and now?"], ["--temperature", "0.5"]);
    expect(code).toBe(0);
    expect(out).toBe("answer 1\nanswer 2\n");
    expect(seen[0]).toMatchObject({ temperature: 0.5, adapter: null, messages: [{ role: "user", content: "hello" }] });
    expect(seen[1]?.messages).toEqual([
      { role: "user", content: "hello" },
      { role: "assistant", content: "answer 1" },
      { role: "user", content: "and now?" },
    ]);
    expect(workflows.disposed).toBe(1);
  });

  test("switches the adapter off and on inside the conversation", async () => {
    const { seen, err } = await talk(
      ["a", "/base", "b", "/adapter", "c", "/adapter y", "d", "/base", "/adapter", "e", "/adapter new", "f"],
      ["--adapter", "x", "--adapter", "y"],
    );
    expect(seen.map((request) => (request.adapter as LoadedAdapter | null)?.name)).toEqual(["x", undefined, "x", "y", "y", "new"]);
    expect(seen[1]?.adapter).toBeNull();
    expect(seen[5]?.messages).toHaveLength(11);
    expect(err).toContain("y answers (rank 16, 210 layers).");
  });

  test("system and reset", async () => {
    const { seen } = await talk(["/system Be brief.", "a", "/reset", "b", "/system", "c"], ["--system", "Be kind."]);
    const contents = seen.map((request) => request.messages?.map((message) => `${message.role}: ${message.content}`));
    expect(contents).toEqual([
      ["system: Be brief.", "user: a"],
      ["system: Be brief.", "user: b"],
      ["user: b", "assistant: answer 2", "user: c"],
    ]);
  });

  test("help, exit, and slashes that are meant", async () => {
    const { err, seen } = await talk(["/help", "//etc/hosts", "/exit", "never said"]);
    expect(err).toContain(chatHelp);
    expect(seen.map((request) => request.messages?.at(-1)?.content)).toEqual(["/etc/hosts"]);
  });

  test("from a pipe a failure is a failure", async () => {
    expect(await talk(["/bass"])).toMatchObject({ code: 2, err: "error: there is no /bass; did you mean /base?\n" });
    expect(await talk(["/adapter"])).toMatchObject({ code: 2, err: "error: no adapter is loaded; /adapter DIR loads one\n" });
    expect(await talk(["/adapter missing"])).toMatchObject({ code: 2, workflows: { disposed: 1 } });
  });

  test("from a pipe a Ctrl-C ends the chat: the answer stops, and the lines that wait are not said", async () => {
    const seen: GenerateRequest[] = [];
    const io = fakeIo();
    const workflows = chatWorkflows(seen, async function* (_model, request) {
      seen.push(request);
      yield "half";
      io.interrupt();
      request.signal?.throwIfAborted();
      yield " and whole";
    });
    io.stdin.end("one\ntwo\nthree\n");
    const { code, out } = await runWith(["chat", "--model", "m"], workflows, io);
    expect({ code, out, asked: seen.length, disposed: workflows.disposed }).toEqual({ code: 130, out: "half\n", asked: 1, disposed: 1 });
  });

  test("what waits for the model when the program is asked to end is not begun", async () => {
    const io = fakeIo();
    const workflows = chatWorkflows([]);
    const { loadModel } = workflows;
    workflows.loadModel = async (...request) => {
      io.interrupt();
      return loadModel!(...request);
    };
    io.stdin.end("one\n");
    expect(await runWith(["chat", "--model", "m"], workflows, io)).toMatchObject({ code: 130, out: "" });
    expect(workflows.disposed).toBe(1);
  });

  test.each([
    ["while it answers", true],
    ["at the prompt", false],
  ])("on a terminal a request to end (SIGTERM) ends the chat %s", async (_, answering) => {
    const listeners: Parameters<Io["onInterrupt"]>[0][] = [];
    const io = fakeIo({ terminal: true, env: { NO_COLOR: "1" } });
    Object.assign(io.stdin, { isTTY: true, setRawMode: () => io.stdin });
    Object.assign(io, {
      onInterrupt: (listener: (typeof listeners)[number]) => {
        listeners.push(listener);
        return () => undefined;
      },
    });
    const end = () => {
      for (const listener of listeners) listener("SIGTERM");
    };
    const workflows = chatWorkflows([], async function* (_model, request) {
      yield "half";
      end();
      request.signal?.throwIfAborted();
    });
    setTimeout(() => (answering ? io.stdin.write("hi\r") : end()), 20);
    expect((await runWith(["chat", "--model", "m"], workflows, io)).code).toBe(130);
    expect(workflows.disposed).toBe(1);
  });

  test("what the model's loading had to tell is told", async () => {
    const io = fakeIo();
    const workflows = chatWorkflows([]);
    const { loadModel } = workflows;
    workflows.loadModel = async (...request) => ({ ...(await loadModel!(...request)), notes: ["from the second source"] });
    io.stdin.end();
    expect((await runWith(["chat", "--model", "m"], workflows, io)).err).toBe("from the second source\n");
  });

  test("on a terminal: errors are shown and the talk goes on; Ctrl-C stops the answer alone; twice at the prompt it leaves", async () => {
    const io = fakeIo({ terminal: true, env: { NO_COLOR: "1" } });
    Object.assign(io.stdin, { isTTY: true, setRawMode: () => io.stdin });
    const seen: GenerateRequest[] = [];
    const type = (text: string) => setTimeout(() => io.stdin.write(text), 5);
    const workflows = chatWorkflows(seen, async function* (_model, request) {
      seen.push(request);
      yield "half an ans";
      if (seen.length === 1) {
        io.interrupt();
        type("again\r");
        request.signal?.throwIfAborted();
      }
      yield "wer\u001b[2J";
      setTimeout(() => {
        io.interrupt();
        io.interrupt();
      }, 50);
    });
    type("/adapter missing\r");
    setTimeout(() => type("hi\r"), 20);
    const { code, out, err } = await runWith(["chat", "--model", "m"], workflows, io);
    expect(code).toBe(0);
    expect(io.exits).toEqual([]);
    expect(err).toContain('error: missing: there is no folder "missing"');
    expect(err).toContain("(stopped)");
    expect(err).toContain("Ctrl-C again, or /exit, leaves.");
    expect(out).toContain("base › ");
    expect(out).toContain("half an answer␛[2J");
    expect(seen[1]?.messages?.map((message) => message.content)).toEqual(["hi", "half an ans", "again"]);
  });
});

test.each([
  ["  say this ", { kind: "say", text: "say this" }],
  ["", { kind: "nothing" }],
  ["/adapter  my adapter ", { kind: "adapter", name: "my adapter" }],
  ["/adapter", { kind: "adapter", name: undefined }],
  ["/system", { kind: "system", text: undefined }],
  ["/exit now", { kind: "exit" }],
  ["/what", { kind: "unknown", name: "/what" }],
])("a line %j", (line, command) => {
  expect(readLine(line)).toEqual(command);
});

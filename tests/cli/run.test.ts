import { describe, expect, test } from "vitest";
import { InputError, RunError } from "../../src/errors.js";
import type { Workflows } from "../../src/workflows/api.js";
import { done, events, fakeIo, runWith, script } from "./support.js";

const train = ["train", "--model", "m", "--data", "d", "--out", "o"];
const pullFails = (error: unknown): Partial<Workflows> => ({ pull: () => Promise.reject(error) });

describe("exit codes and messages", () => {
  test("help and version", async () => {
    for (const argv of [[], ["--help"], ["help"], ["train", "--help"], ["help", "train"]]) {
      const { code, out, err } = await runWith(argv);
      expect(code).toBe(0);
      expect(out).toContain("Usage: lorikeet");
      expect(err).toBe("");
    }
    expect((await runWith(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each([
    [["trian"], 'error: there is no command "trian"; did you mean train?'],
    [["--foo"], "error: there is no option --foo before a command; `lorikeet --help` lists the commands"],
    [["serve", "dir", "--port", "8080"], 'error: "serve" (to answer over HTTP) comes with a later version of Lorikeet; there are demo,'],
    [["studio"], 'error: "studio" (to train in a web page) comes with a later version'],
    [["train", "--rankk", "3"], "error: unknown option '--rankk'\n(Did you mean --rank?)"],
    [["train", "--rank"], "error: option '--rank <N>' argument missing"],
    [["pull"], "error: MODEL is missing: expected an alias"],
    [["pull", "a", "b"], "error: too many arguments for 'pull'"],
    [[...train, "--batch-size", "many"], 'error: --batch-size: expected a whole number from 1 to 4096; found "many"'],
    [[...train, "--epochs", "1", "--steps", "2"], "error: --epochs and --steps exclude one another: give one"],
    [["generate", "--model", "m"], "error: give either --prompt, --messages or --prompts"],
    [["generate", "--model", "m", "--messages", "f", "--system", "s"], "error: --system belongs to --prompt"],
    [["generate", "--model", "m", "--prompt", "p", "--merged"], "error: --merged takes exactly one --adapter; found 0"],
    [["generate", "--model", "m", "--messages", "/no/such.json"], "error: /no/such.json: expected a .json file: ENOENT"],
  ])("%j is wrong input", async (argv, message) => {
    const { code, out, err } = await runWith(argv);
    expect(err).toContain(message);
    expect(err).not.toContain("at ");
    expect(out).toBe("");
    expect(code).toBe(2);
  });

  test("all problems at once", async () => {
    const { err } = await runWith(["train", "--rank", "0", "--dropout", "1", "--model", "m"]);
    const [first, ...others] = err.trimEnd().split("\n");
    expect(first).toBe("error: 4 problems:");
    expect(others.sort()).toEqual([
      expect.stringMatching(/^ {2}--data is missing: expected a \.jsonl, \.json or \.csv file/),
      "  --dropout: expected a number from 0 and below 1; found 1",
      "  --out is missing: expected a folder",
      "  --rank: expected a whole number from 1 to 4096; found 0",
    ]);
  });

  test.each([
    [new InputError("data.jsonl:3: expected messages, found text"), 2, "error: data.jsonl:3: expected messages, found text\n"],
    [new RunError("the disk is full", { cause: new Error("ENOSPC") }), 1, "error: the disk is full\n  cause: ENOSPC\n"],
    [
      Object.assign(new Error("EACCES: permission denied, open 'x'"), { code: "EACCES", syscall: "open" }),
      1,
      "error: EACCES: permission denied, open 'x'\n",
    ],
    [new TypeError("x is undefined"), 1, "error: x is undefined\nThis is a fault in Lorikeet. LORIKEET_DEBUG=1 shows where it happened.\n"],
    ["thrown text", 1, "error: thrown text\nThis is a fault in Lorikeet. LORIKEET_DEBUG=1 shows where it happened.\n"],
  ])("a failing workflow: %s", async (error, code, message) => {
    const result = await runWith(["pull", "m", "--quiet"], pullFails(error));
    expect(result.code).toBe(code);
    expect(result.err).toBe(message);
  });

  test("LORIKEET_DEBUG shows the stack, and that of the cause", async () => {
    const error = new RunError("outer", { cause: new Error("inner") });
    const { err } = await runWith(["pull", "m"], pullFails(error), fakeIo({ env: { LORIKEET_DEBUG: "1" } }));
    expect(err).toMatch(/RunError: outer\n +at .*\ncaused by Error: inner\n +at/s);
  });
});

describe("interruption", () => {
  test("a first Ctrl-C aborts, the run saves and ends with 130; a second exits at once", async () => {
    const io = fakeIo();
    const { code, err } = await runWith(
      train,
      {
        async *train({ signal }) {
          yield* script().slice(0, 3);
          io.interrupt();
          expect(signal?.aborted).toBe(true);
          expect(io.exits).toEqual([]);
          io.interrupt();
          expect(io.exits).toEqual([130]);
          yield { ...done, reason: "interrupted" };
        },
      },
      io,
    );
    expect(code).toBe(130);
    expect(err).toContain("Stopping after the current step. Ctrl-C again ends at once.");
    expect(io.stdout.text).toContain("The same command with --resume goes on from here.");
  });

  test("a workflow that throws the reason of the abort ends with 130 and no error", async () => {
    const io = fakeIo();
    const { code, err } = await runWith(
      ["pull", "m"],
      {
        async pull(_model, controls) {
          io.interrupt();
          controls?.signal?.throwIfAborted();
          return { kind: "folder", path: "p", notes: [] };
        },
      },
      io,
    );
    expect(code).toBe(130);
    expect(err).toContain("Interrupted.\n");
    expect(err).not.toContain("error:");
  });

  test("a reader that goes away stops the run as Ctrl-C does", async () => {
    const io = fakeIo();
    const { code } = await runWith(
      [...train, "--json"],
      {
        async *train({ signal }) {
          io.stdout.emit("error", Object.assign(new Error("EPIPE"), { code: "EPIPE" }));
          yield { ...done, reason: signal?.aborted === true ? "interrupted" : "finished" };
        },
      },
      io,
    );
    expect(code).toBe(130);
    expect(io.stdout.listenerCount("error")).toBe(0);
  });
});

test("a run without its last event is no success", async () => {
  expect((await runWith(train, { train: () => events(script().slice(0, 4)) })).code).toBe(1);
});

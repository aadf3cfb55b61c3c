import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { Answer, Task } from "./protocol.js";
import type { Sandbox } from "./sandbox.js";

/** Between two looks at a process that has not answered. */
const LOOK_MILLISECONDS = 100;
/** Looks after which it counts as hanging. They are counted by this process's timer, which stands still with the machine. */
const PATIENCE = 200;
/** What JavaScript's objects may take in it. */
const HEAP_MEGABYTES = 512;

/** How a reader ended: with an answer, or with the process. */
export type Ending = Answer | { readonly outcome: "ended" | "hangs"; readonly words: string };

/** A process that reads, and is started anew where it has ended. */
export interface Subject {
  ask(task: Task): Promise<Ending>;
  stop(): void;
}

/**
 * Starts no process before it is asked.
 *
 * @param script the bundle of `subject.ts`
 */
export function createSubject(script: string, { base, outFolder }: Sandbox): Subject {
  let running: Promise<ChildProcess> | undefined;
  const start = () =>
    new Promise<ChildProcess>((resolve, reject) => {
      const child = fork(script, {
        execArgv: [`--max-old-space-size=${HEAP_MEGABYTES}`, ...permissions(outFolder)],
        cwd: join(base, "home"),
        env: { PATH: process.env.PATH, HOME: join(base, "home"), TMPDIR: join(base, "home"), HF_HUB_OFFLINE: "1" },
        stdio: ["ignore", "ignore", "pipe", "ipc"],
      });
      child.once("message", () => resolve(child)).once("exit", (code) => reject(new Error(`The reading process did not start (${code}).`)));
    });
  return {
    async ask(task) {
      running ??= start();
      const ending = await answerOf(await running, task);
      if (ending.outcome === "ended" || ending.outcome === "hangs") running = undefined;
      return ending;
    },
    stop: () => void running?.then((child) => child.kill("SIGKILL")),
  };
}

/** It may write into one folder, and start threads and the process that decodes Parquet; Node 20 has another name for this than later ones. */
function permissions(folder: string): string[] {
  const known = process.allowedNodeEnvironmentFlags;
  const permission = known.has("--permission") ? "--permission" : "--experimental-permission";
  const addons = known.has("--allow-addons") ? ["--allow-addons"] : [];
  return [
    permission,
    "--allow-fs-read=*",
    `--allow-fs-write=${folder}/`,
    "--allow-worker",
    "--allow-child-process",
    ...addons,
    "--no-warnings",
  ];
}

function answerOf(child: ChildProcess, task: Task): Promise<Ending> {
  return new Promise((resolve) => {
    let [looks, complaint] = [0, ""];
    const onError = (bytes: Buffer) => {
      complaint = (complaint + bytes).slice(0, 4000);
    };
    const finish = (ending: Ending) => {
      clearInterval(watch);
      child.off("message", onAnswer).off("exit", onExit);
      child.stderr?.off("data", onError);
      resolve(ending);
    };
    const onAnswer = (answer: Answer) => finish(answer);
    const onExit = (code: number | null, signal: string | null) =>
      finish({ outcome: "ended", words: `The process ended (${code ?? signal}). ${complaint}` });
    const watch = setInterval(() => {
      if (++looks < PATIENCE) return;
      child.off("exit", onExit).kill("SIGKILL");
      finish({ outcome: "hangs", words: "The reader did not come to an end." });
    }, LOOK_MILLISECONDS);
    child.stderr?.on("data", onError);
    child.on("message", onAnswer).on("exit", onExit);
    child.send(task);
  });
}

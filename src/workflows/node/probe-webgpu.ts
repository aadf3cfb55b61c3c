import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { DoctorReport } from "../api.js";
import type { ProbeResult } from "./webgpu-probe.js";

type DeviceReport = DoctorReport["devices"][number];

/** A graphics card answers in two seconds; a driver that hangs is not waited for. */
const MILLISECONDS = 30_000;
const LONGEST_DETAIL = 200;

/** Tries WebGPU in a process of its own, which a bad driver may end. The program is a parameter for tests. */
export async function probeWebGpu(
  signal?: AbortSignal,
  program = fileURLToPath(new URL("./webgpu-probe.js", import.meta.url)),
  timeout = MILLISECONDS,
): Promise<DeviceReport> {
  const result = await runProbe(program, timeout, signal);
  signal?.throwIfAborted();
  if ("flops" in result) return { device: "webgpu", available: true, detail: "", gigaflops: result.flops / 1e9 };
  return { device: "webgpu", available: false, detail: plainWords(result.problem) };
}

function runProbe(program: string, timeout: number, signal: AbortSignal | undefined): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const options = { timeout, killSignal: "SIGKILL", ...(signal === undefined ? {} : { signal }) } as const;
    execFile(process.execPath, [program], options, (error, output) => {
      // What was printed counts even where the driver ends the process badly afterwards.
      const printed = readResult(output);
      if (printed !== undefined) resolve(printed);
      else if (error?.killed) resolve({ problem: `it gave no answer within ${timeout / 1000} seconds` });
      else if (typeof error?.signal === "string") resolve({ problem: `its driver ended the program that tried it (${error.signal})` });
      else resolve({ problem: `the program that tries it ended with ${error?.code ?? 0} and said nothing` });
    });
  });
}

function readResult(output: string): ProbeResult | undefined {
  try {
    const value: unknown = JSON.parse(output);
    if (typeof value !== "object" || value === null) return undefined;
    if ("flops" in value && typeof value.flops === "number") return { flops: value.flops };
    return "problem" in value && typeof value.problem === "string" ? { problem: value.problem } : undefined;
  } catch {
    return undefined;
  }
}

/** The first line of a message. The engine puts the place in its source and the broken condition before its words. */
function plainWords(problem: string): string {
  const first = problem.split("\n").find((each) => each.trim() !== "") ?? "";
  const line = / was false\. (.+)$/.exec(first)?.[1] ?? first;
  return line.length > LONGEST_DETAIL ? `${line.slice(0, LONGEST_DETAIL)}…` : line;
}

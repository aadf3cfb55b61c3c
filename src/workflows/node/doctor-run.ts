import { readFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { lorikeetCacheFolder } from "../../hub/node/settings.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import type { DoctorReport, Progress } from "../api.js";
import { folderBytes } from "./cache.js";
import { int8Pays, targetOf } from "./device.js";
import { int8Support } from "./int8-support.js";
import { packageVersion } from "./package-version.js";
import { probeWebGpu } from "./probe-webgpu.js";
import { measureProductSpeed } from "./product-speed.js";
import { breathe, type WorkerContext } from "./worker/context.js";

type DeviceReport = DoctorReport["devices"][number];

/** Less free memory than this is too little for the smallest model. */
const SCARCE_BYTES = 3e9;

/** The work of `doctor`, in its worker: the engine blocks its thread while it multiplies. */
export async function runDoctor({ signal, emit }: WorkerContext): Promise<DoctorReport> {
  const tell = (task: string) => emit({ task, done: 0, unit: "items" } satisfies Progress);
  tell("measuring the processor");
  const cpu = await processorReport();
  await breathe();
  signal.throwIfAborted();
  tell("looking for a graphics card");
  const webgpu = await probeWebGpu(signal);
  const folder = lorikeetCacheFolder();
  const memory = { total: totalmem(), available: process.availableMemory() };
  return {
    lorikeet: await packageVersion(),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    processor: { model: cpus()[0]?.model.trim() ?? "unknown", cores: cpus().length, features: await processorFeatures() },
    memory,
    devices: [cpu, webgpu],
    cache: { folder, bytes: await folderBytes(folder) },
    auto: { device: targetOf("auto"), precision: cpu.int8 !== undefined && int8Pays(cpu.int8) ? "int8" : "fp32" },
    notes: notesOf(memory.available, cpu, webgpu),
  };
}

async function processorReport(): Promise<DeviceReport> {
  try {
    const gigaflops = (await measureProductSpeed({ target: "cpu" })) / 1e9;
    const { exact, speedup } = await int8Support(undefined);
    return { device: "cpu", available: true, detail: nodeEngine.version, gigaflops, int8: { exact, speedup } };
  } catch (error) {
    return { device: "cpu", available: false, detail: error instanceof Error ? error.message : String(error) };
  }
}

function notesOf(available: number, cpu: DeviceReport, webgpu: DeviceReport): string[] {
  const notes: string[] = [];
  if (!cpu.available) notes.push("The engine does not run on this processor: reinstall Lorikeet with npm, for this platform.");
  if (available < SCARCE_BYTES) {
    notes.push(`Only ${(available / 1e9).toFixed(1)} GB of memory are free: close other programs, or train with a small --batch-size.`);
  }
  if ((webgpu.gigaflops ?? 0) > 2 * (cpu.gigaflops ?? 0)) {
    notes.push("The graphics card multiplies faster than the processor: try --device webgpu.");
  }
  return notes;
}

/** What matters to matrix products, of what a processor has. Linux's names, x86 and ARM. */
const telling = new Set([
  ..."avx avx2 fma f16c avx512f avx512bw avx512_vnni avx512_bf16 avx_vnni amx_tile amx_int8 amx_bf16".split(" "),
  ..."asimd asimdhp asimddp i8mm bf16 sve sve2".split(" "),
]);

/** Features of the first processor in /proc/cpuinfo; none on systems without that file. */
async function processorFeatures(): Promise<string[]> {
  const text = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  return featuresIn(text);
}

export function featuresIn(cpuinfo: string): string[] {
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1] ?? "";
  return flags
    .trim()
    .split(/\s+/)
    .filter((flag) => telling.has(flag));
}

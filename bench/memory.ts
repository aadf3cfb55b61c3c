import { readFileSync, writeFileSync } from "node:fs";
import type { PeakOf } from "./comparison.js";

/** Forgets the peak memory so far where the system can (Linux: proc(5), clear_refs), and says what `peakBytes` will cover. */
export function resetPeak(): PeakOf {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
    return "training";
  } catch {
    return "process";
  }
}

/** Highest resident memory since the reset: VmHWM where it was reset. */
export function peakBytes(of: PeakOf): number {
  if (of === "process") return process.resourceUsage().maxRSS * 1024;
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  if (kilobytes === undefined) throw new Error("/proc/self/status has no line VmHWM");
  return Number(kilobytes) * 1024;
}

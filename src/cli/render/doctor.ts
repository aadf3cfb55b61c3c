import type { DoctorReport } from "../../workflows/api.js";
import { bytesText } from "./numbers.js";
import type { Paint } from "./paint.js";
import { facts } from "./table.js";

/** What this machine can run, and how fast. */
export function doctorText(report: DoctorReport, paint: Paint): string {
  const { processor, memory, cache, auto } = report;
  const features = processor.features.length === 0 ? "" : ` (${processor.features.join(", ")})`;
  const devices = report.devices.map(({ device, available, detail, gigaflops }): [string, string] => {
    const speed = gigaflops === undefined ? "" : `, ${Math.round(gigaflops)} GFLOP/s`;
    return [
      device,
      `${available ? paint("green", "ready") : paint("yellow", "not available")}${speed}${detail === "" ? "" : `: ${detail}`}`,
    ];
  });
  const text = facts([
    ["lorikeet", `${report.lorikeet} on Node ${report.node}, ${report.platform}`],
    ["processor", `${processor.model}, ${processor.cores} cores${features}`],
    ["memory", `${bytesText(memory.available)} free of ${bytesText(memory.total)}`],
    ...devices,
    ["auto means", `device ${auto.device}, precision ${auto.precision}`],
    ["cache", `${cache.folder}, ${bytesText(cache.bytes)}`],
  ]);
  return [text, ...report.notes].join("\n");
}

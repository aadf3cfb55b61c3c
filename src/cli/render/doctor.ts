import type { DoctorReport } from "../../workflows/api.js";
import { bytesText } from "./numbers.js";
import type { Paint } from "./paint.js";
import { facts } from "./table.js";

/** What this machine can run, and how fast. */
export function doctorText(report: DoctorReport, paint: Paint): string {
  const { processor, memory, cache, auto } = report;
  const features = processor.features.length === 0 ? "" : ` (${processor.features.join(", ")})`;
  const devices = report.devices.map(({ device, available, detail, gigaflops, int8 }): [string, string] => {
    const speed = `${gigaflops === undefined ? "" : `, ${Math.round(gigaflops)} GFLOP/s`}${int8Text(int8)}`;
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
    [
      "auto means",
      `device ${auto.device}, precision ${auto.precision}${auto.precision === "int8" ? " (fp32 for models narrower than 256)" : ""} to train, fp32 to answer`,
    ],
    ["cache", `${cache.folder}, ${bytesText(cache.bytes)}`],
  ]);
  return [text, ...report.notes].join("\n");
}

function int8Text(int8: DoctorReport["devices"][number]["int8"]): string {
  if (int8 === undefined) return "";
  return int8.exact ? `, int8 ${int8.speedup.toFixed(1)} times as fast` : ", no int8 (it cuts sums of 8-bit products short)";
}

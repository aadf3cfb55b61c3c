import type { Controls, DoctorReport, Progress } from "../api.js";
import { callOnce } from "./worker/client.js";

/** Says what this machine can run, and how fast: a matrix product on the processor, and on a graphics card where there is one. */
export async function doctor({ signal, onProgress }: Controls = {}): Promise<DoctorReport> {
  return callOnce("doctor", undefined, { onEvent: (event) => onProgress?.(event as Progress), signal });
}

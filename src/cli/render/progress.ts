import type { Progress } from "../../workflows/api.js";
import type { Screen } from "../screen.js";
import { bytesText } from "./numbers.js";

/** "████░░░░" of a given width. */
export function bar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

/** One line about a long piece of work: "downloading model.safetensors  ████░░░░  120 MB of 270 MB". */
function progressText({ task, done, total, unit }: Progress): string {
  const amount = (value: number) => (unit === "bytes" ? bytesText(value) : String(value));
  if (total === undefined || total <= 0) return done > 0 ? `${task}  ${amount(done)}` : task;
  return `${task}  ${bar(done / total, 20)}  ${amount(done)} of ${amount(total)}`;
}

/** Shows progress: the live line on a terminal, else one plain line where a task begins. */
export function progressReporter(screen: Screen): (progress: Progress) => void {
  let last: string | undefined;
  return (progress) => {
    if (screen.isLive) screen.live(progressText(progress));
    else if (progress.task !== last) screen.note(`${progress.task} …`);
    last = progress.task;
  };
}

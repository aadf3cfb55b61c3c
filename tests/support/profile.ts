import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One node that the engine ran. */
export interface Ran {
  readonly node: string;
  readonly type: string;
  readonly provider: string;
  /** Bytes that the engine's allocator had given out when the node was done. */
  readonly bytesInUse: number;
}

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly args: Readonly<Record<string, string>>;
}

const SUFFIX = "_kernel_time";

/** Calls `run` with a prefix for the engine's profile and reads the profile: the nodes in the order in which they ran. */
export async function profiled(run: (prefix: string) => Promise<void>): Promise<readonly Ran[]> {
  const folder = mkdtempSync(join(tmpdir(), "lorikeet-profile-"));
  try {
    await run(join(folder, "profile"));
    const [file = ""] = readdirSync(folder);
    const events = JSON.parse(readFileSync(join(folder, file), "utf8")) as readonly ProfileEvent[];
    return events
      .filter(({ cat, name }) => cat === "Node" && name.endsWith(SUFFIX))
      .map(({ name, args }) => ({
        node: name.slice(0, -SUFFIX.length),
        type: args.op_name ?? "",
        provider: args.provider ?? "",
        bytesInUse: Number(args.mem_bytes_requested_in_use),
      }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

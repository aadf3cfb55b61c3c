import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "vitest";

// A disk that is soon full: a tmpfs of 256 KiB in a mount namespace of its own, where root or a user namespace may mount (ENOSPC);
// and, everywhere, a limit of at most 256 KiB on the size of a file, which fails the same write at the same place (EFBIG).

const mounted = 'mount -t tmpfs -o size=256k tmpfs "$DISK" && exec "$NODE" "$PROGRAM" "$DISK"';
const wrappers = {
  root: ["unshare", "-m", "sh", "-c", mounted],
  namespace: ["unshare", "-rm", "sh", "-c", mounted],
  limit: ["sh", "-c", `ulimit -f 256; trap '' XFSZ; exec "$NODE" "$PROGRAM" "$DISK"`],
} as const;

function start(wrapper: keyof typeof wrappers, program: string) {
  const disk = mkdtempSync(join(tmpdir(), "lorikeet-disk-"));
  const [command, ...argv] = wrappers[wrapper];
  try {
    return spawnSync(command, argv, { encoding: "utf8", env: { ...process.env, DISK: disk, NODE: process.execPath, PROGRAM: program } });
  } finally {
    rmSync(disk, { recursive: true, force: true });
  }
}

/**
 * Declares a test for each kind of small disk. Its body gets a function that runs a program, an .mjs file, with the disk's folder as
 * its argument and returns what it printed, and the system's code for the write that fails. Where no file system may be mounted, the
 * first of the two is skipped, and says why.
 */
export function testOnSmallDisk(name: string, body: (run: (program: string) => string, code: string) => Promise<void> | void): void {
  const mounting = (["root", "namespace"] as const).find((each) => start(each, "--version").status === 0);
  const runWith = (wrapper: keyof typeof wrappers) => (program: string) => {
    const { status, stdout, stderr } = start(wrapper, program);
    if (status !== 0) throw new Error(`the program on the small disk ended with ${status}: ${stderr}`);
    return stdout;
  };
  test(`${name} (full file system)`, (context) => {
    if (mounting === undefined) return context.skip("a file system may not be mounted here");
    return body(runWith(mounting), "ENOSPC");
  });
  test(`${name} (limit on a file's size)`, () => body(runWith("limit"), "EFBIG"));
}

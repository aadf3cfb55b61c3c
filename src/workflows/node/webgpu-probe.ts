import { measureProductSpeed } from "./product-speed.js";

// A program of its own: a missing or broken driver may end the process. Prints operations per second, or why there are none.

/** What the program writes to standard output. */
export type ProbeResult = { readonly flops: number } | { readonly problem: string };

async function probe(): Promise<ProbeResult> {
  try {
    return { flops: await measureProductSpeed({ target: "webgpu" }) };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

const result = await probe();
// The provider's threads must not keep or crash a process that has said all.
process.stdout.write(JSON.stringify(result), () => process.exit());

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    // Each file has a process of its own: the WebGPU driver is chosen by the process's environment, and the engine's
    // memory goes back to the system with it.
    pool: "forks",
    // The engine's threads use all cores already. A second file beside it fills the gaps; a third would only slow both,
    // and timeouts would come to depend on the machine.
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // .ci/run adds these numbers to its own.
    reporters: process.env.CI === undefined ? ["default"] : ["default", ["json", { outputFile: "node_modules/.cache/vitest.json" }]],
  },
});

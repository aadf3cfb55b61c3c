import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { cache, folderBytes } from "../../src/workflows/node/cache.js";
import { featuresIn, runDoctor } from "../../src/workflows/node/doctor-run.js";
import { int8Support } from "../../src/workflows/node/int8-support.js";
import { openModel } from "../../src/workflows/node/open-model.js";
import { probeWebGpu } from "../../src/workflows/node/probe-webgpu.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "./support.js";

afterEach(() => vi.unstubAllEnvs());

test("a machine is described: versions, processor, memory, speed, cache", async () => {
  vi.stubEnv("LORIKEET_CACHE", await temporaryFolder());
  const context = fakeContext();
  const report = await runDoctor(context);
  expect(report).toMatchObject({
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    cache: { folder: process.env.LORIKEET_CACHE },
    auto: { device: "cpu" },
  });
  expect(report.cache.bytes).toBeLessThan(1000); // what was measured is remembered
  const { exact, speedup } = await int8Support(undefined);
  expect(report.devices[0]?.int8).toEqual({ exact, speedup });
  expect(report.auto.precision).toBe(exact && speedup >= 1.3 ? "int8" : "fp32");
  expect(report.lorikeet).toMatch(/^\d+\.\d+\.\d+/);
  expect(report.processor.cores).toBeGreaterThan(0);
  expect(report.memory.available).toBeGreaterThan(0);
  expect(report.memory.available).toBeLessThanOrEqual(report.memory.total);
  expect(report.devices.map(({ device }) => device)).toEqual(["cpu", "webgpu"]);
  expect(report.devices[0]).toMatchObject({ available: true, detail: expect.stringContaining("onnxruntime-node") });
  expect(report.devices[0]?.gigaflops).toBeGreaterThan(0.1);
  expect(context.events).toMatchObject([{ task: "measuring the processor" }, { task: "looking for a graphics card" }]);
  expect(structuredClone(report)).toEqual(report);
});

test("features of x86 and ARM processors, those that matter alone", () => {
  expect(featuresIn("processor\t: 0\nflags\t\t: fpu sse2 avx2 fma avx512_vnni\nbugs\t\t: x\n")).toEqual(["avx2", "fma", "avx512_vnni"]);
  expect(featuresIn("Features\t: fp asimd asimddp i8mm cpuid\n")).toEqual(["asimd", "asimddp", "i8mm"]);
  expect(featuresIn("")).toEqual([]);
});

describe("the probe of WebGPU", () => {
  async function probed(code: string, timeout = 20_000) {
    const program = join(await temporaryFolder(), "probe.mjs");
    await writeFile(program, code);
    return await probeWebGpu(undefined, program, timeout);
  }

  test("a card that works", async () => {
    const found = await probed(`process.stdout.write('{"flops":2e12}')`);
    expect(found).toEqual({ device: "webgpu", available: true, detail: "", gigaflops: 2000 });
  });

  test("a driver that says no, ends the program, hangs, or falls silent", async () => {
    const cases: [string, RegExp][] = [
      [`process.stdout.write('{"problem":"no adapter\\\\nmore"}')`, /^no adapter$/],
      [
        `process.stdout.write('{"problem":"/a/b.cc:136 f() ok was false. Failed to get an adapter: none\\\\n"}')`,
        /^Failed to get an adapter: none$/,
      ],
      [`process.kill(process.pid, "SIGSEGV"); setTimeout(() => {}, 5000)`, /ended the program that tried it \(SIGSEGV\)/],
      ["process.exit(3)", /ended with 3 and said nothing/],
    ];
    for (const [code, detail] of cases) {
      const found = await probed(code);
      expect(found.available).toBe(false);
      expect(found.detail).toMatch(detail);
    }
    expect((await probed("setTimeout(() => {}, 60_000)", 500)).detail).toBe("it gave no answer within 0.5 seconds");
  });

  test("an abort ends it", async () => {
    await expect(probeWebGpu(AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
  });
});

test("the cache: its size, and emptied of what is Lorikeet's alone", async () => {
  const folder = await temporaryFolder();
  vi.stubEnv("LORIKEET_CACHE", folder);
  await openModel(join(TINY_CHAT, "tiny-chat.gguf"), { target: "cpu" });
  await writeFile(join(folder, "mine.txt"), "four");
  const { bytes } = await cache("show");
  expect(bytes).toBeGreaterThan(150_000);
  expect(await cache("clear")).toEqual({ folder, bytes: bytes - 4 });
  expect(await cache("show")).toEqual({ folder, bytes: 4 });
  expect(await folderBytes(join(folder, "nowhere"))).toBe(0);
});

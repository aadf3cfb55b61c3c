import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";

const chromiumArguments = [
  "--no-sandbox",
  // WebGPU on the CPU, by the SwiftShader that comes with Chromium.
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  // No traffic but the page's.
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--no-default-browser-check",
];

/** Chromium without a window. */
export async function launchChromium(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) {
    throw new Error(`${CHROMIUM} does not exist: install Debian's package chromium, or set CHROMIUM_PATH to a Chromium.`);
  }
  return chromium.launch({ executablePath: CHROMIUM, args: chromiumArguments });
}

import { existsSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";

// WebGPU without a GPU. Debian's package `chromium` brings SwiftShader, a Vulkan driver that computes on the CPU, and a
// Vulkan loader. The engine's WebGPU provider takes the driver that VK_ICD_FILENAMES names when its first session opens.
// vitest gives each file a process of its own (`pool: "forks"`), in which `process.env` is the engine's environment too;
// in a worker thread it would be a copy.

const icdFiles = ["/usr/lib/chromium/vk_swiftshader_icd.json", "/usr/lib64/chromium-browser/vk_swiftshader_icd.json"];

/** Flag of the C library: the library stays when the handle is closed. Node names the others alone. */
const RTLD_NODELETE = 0x1000;

/** Points the engine at SwiftShader, unless VK_ICD_FILENAMES names another driver already. */
export function useSwiftShader(): void {
  const named = process.env.VK_ICD_FILENAMES;
  const icd = named ?? icdFiles.find(existsSync);
  if (icd === undefined || !existsSync(icd)) {
    throw new Error(
      `These tests need a Vulkan driver, and ${named ?? icdFiles.join(" or ")} does not exist. ` +
        "Install Debian's package chromium (apt-get install chromium), or set VK_ICD_FILENAMES to the file of a driver.",
    );
  }
  process.env.VK_ICD_FILENAMES = icd;
  preload(join(dirname(icd), "libvulkan.so.1"));
}

/**
 * Loads the Vulkan loader that lies beside the driver: a machine with chromium need not have one of its own, and the
 * provider then finds it by its name. Node takes the file for an addon, which it is not, and says so after loading it.
 */
function preload(library: string): void {
  if (!existsSync(library)) return;
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch (error) {
    if (!String(error).includes("self-register")) throw error;
  }
}

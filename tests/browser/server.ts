import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const pageFolder = fileURLToPath(new URL("page", import.meta.url));
const engineFolder = dirname(fileURLToPath(import.meta.resolve("onnxruntime-web/webgpu")));

const types: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/** With these a page is isolated from other origins, and may share memory between threads. */
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/**
 * Serves, on this machine alone, `/<name>.html` with the bundle of page/<name>.ts, the engine's files under `/engine/`, and those of a
 * folder under `/models/`.
 */
export async function servePages(
  names: readonly string[],
  modelFolder?: string,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const pages = new Map<string, Uint8Array | string>();
  for (const name of names) {
    pages.set(`/${name}.html`, `<!doctype html><title>${name}</title><script type="module" src="/${name}.js"></script>`);
    pages.set(`/${name}.js`, await bundle(join(pageFolder, `${name}.ts`)));
  }
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const engineFile = /^\/engine\/([\w.-]+)$/.exec(path)?.[1];
    const modelFile = /^\/models\/((?:\w[\w.-]*\/)*\w[\w.-]*)$/.exec(path)?.[1];
    const file =
      engineFile !== undefined
        ? join(engineFolder, engineFile)
        : modelFolder !== undefined && modelFile !== undefined
          ? join(modelFolder, modelFile)
          : undefined;
    const content = file === undefined ? Promise.resolve(pages.get(path)) : readFile(file);
    content.then(
      (body) => {
        response.writeHead(body === undefined ? 404 : 200, { ...isolation, "Content-Type": types[extname(path)] ?? "text/plain" });
        response.end(body);
      },
      () => {
        response.writeHead(404);
        response.end();
      },
    );
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function bundle(entry: string): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2023",
    write: false,
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error(`${entry} was not bundled`);
  return file.contents;
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

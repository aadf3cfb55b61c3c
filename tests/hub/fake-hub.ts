import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A repository on the fake Hub. Files named in `large` are kept in LFS: a SHA-256, and a redirect to the storage server. */
export interface FakeRepository {
  /** A data set stands under another path than a model. */
  type?: "dataset";
  commit: string;
  files: Record<string, Uint8Array>;
  large?: readonly string[];
}

export interface SeenRequest {
  /** `hub` or `storage`. */
  server: string;
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

/** Answers in place of the server, and returns true, or returns false. */
export type Intercept = (request: SeenRequest, response: ServerResponse) => boolean;

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
export const gitHash = (bytes: Uint8Array) => createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

/** A Hub on this machine: model information, listing in pages, `resolve` with redirects, checksums and ranges. */
export class FakeHub {
  readonly repositories = new Map<string, FakeRepository>();
  readonly seen: SeenRequest[] = [];
  intercept: Intercept = () => false;
  readonly #hub: Server;
  readonly #storage: Server;

  constructor() {
    this.#hub = createServer((request, response) => this.#answer("hub", request, response));
    this.#storage = createServer((request, response) => this.#answer("storage", request, response));
  }

  async start(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  /** Paths asked for, without queries. */
  get paths(): string[] {
    return this.seen.map((request) => request.path);
  }

  #answer(server: string, request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://fake");
    const seen = { server, path: url.pathname, range: request.headers.range, authorization: request.headers.authorization };
    this.seen.push(seen);
    if (this.intercept(seen, response)) return;
    if (server === "storage") {
      const content = [...this.repositories.values()]
        .flatMap(({ files }) => Object.values(files))
        .find((bytes) => url.pathname === `/${sha256(bytes)}`);
      if (content === undefined) response.writeHead(404).end();
      else sendRange(response, content, request.headers.range);
      return;
    }
    const [, api, models, organisation, name, verb, revision, ...folder] = url.pathname.split("/").map(decodeURIComponent);
    const listing = { verb: verb ?? "", revision: revision ?? "", folder: folder.map((part) => `${part}/`).join("") };
    const id = `${organisation}/${name}`;
    const isRight = this.repositories.get(id)?.type === "dataset" ? models === "datasets" : models === "models";
    if (api === "api" && (isRight || !this.repositories.has(id))) this.#answerApi(url, response, id, listing);
    else if (api === "api") send(response, 404, { error: "Repository not found" });
    else this.#answerFile(url, response, request.headers.range);
  }

  #answerApi(
    url: URL,
    response: ServerResponse,
    id: string,
    { verb, revision, folder }: { verb: string; revision: string; folder: string },
  ): void {
    const repository = this.repositories.get(id);
    if (repository === undefined || (revision !== "main" && revision !== repository.commit)) {
      send(response, repository === undefined ? 401 : 404, { error: "Repository or revision not found" });
      return;
    }
    if (verb === "revision") {
      send(response, 200, {
        _id: "1",
        id,
        sha: repository.commit,
        private: false,
        gated: false,
        downloads: 1,
        likes: 1,
        lastModified: "2024-01-01",
      });
      return;
    }
    const recursive = url.searchParams.get("recursive") === "true";
    const inFolder = Object.entries(repository.files).filter(([path]) => path.startsWith(folder));
    const folders = new Set(inFolder.flatMap(([path]) => /^(.+)\//.exec(path.slice(folder.length))?.[1] ?? []));
    const listed = inFolder.filter(([path]) => recursive || !path.slice(folder.length).includes("/"));
    const entries = listed.map(([path, bytes]) => ({
      type: "file",
      path,
      size: bytes.length,
      oid: gitHash(bytes),
      ...(repository.large?.includes(path) ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } } : {}),
    }));
    const page = Number(url.searchParams.get("cursor") ?? 0);
    const next = new URL(url.pathname, this.address);
    if (recursive) next.searchParams.set("recursive", "true");
    next.searchParams.set("cursor", String(page + 3));
    const more = page + 3 < entries.length ? { Link: `<${next}>; rel="next"` } : {};
    const directories = ["onnx", ...folders].map((path) => ({ type: "directory", path, size: 0, oid: "0".repeat(40) }));
    send(response, 200, [...entries.slice(page, page + 3), ...directories], more);
  }

  #answerFile(url: URL, response: ServerResponse, range: string | undefined): void {
    const [organisation, name, , commit, ...path] = url.pathname
      .replace(/^\/(datasets\/)?/, "")
      .split("/")
      .map(decodeURIComponent);
    const file = path.join("/");
    const repository = this.repositories.get(`${organisation}/${name}`);
    const content = repository?.files[file];
    const isDataSet = url.pathname.startsWith("/datasets/");
    if (
      repository === undefined ||
      isDataSet !== (repository.type === "dataset") ||
      content === undefined ||
      commit !== repository.commit
    ) {
      response.writeHead(404, { "X-Error-Code": "EntryNotFound" }).end();
    } else if (repository.large?.includes(file)) {
      const storage = `http://127.0.0.1:${(this.#storage.address() as AddressInfo).port}`;
      response.writeHead(302, { Location: `${storage}/${sha256(content)}`, "X-Linked-ETag": `"${sha256(content)}"` }).end();
    } else sendRange(response, content, range);
  }
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
}

export function sendRange(response: ServerResponse, content: Uint8Array, range: string | undefined): void {
  const begin = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  if (range === undefined) response.writeHead(200, { "Content-Length": content.length });
  else {
    response.writeHead(206, {
      "Content-Length": content.length - begin,
      "Content-Range": `bytes ${begin}-${content.length - 1}/${content.length}`,
    });
  }
  response.end(content.subarray(begin));
}

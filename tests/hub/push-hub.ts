import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Answers in place of the server, and returns true, or returns false. */
export type Intercept = (request: { readonly method: string; readonly path: string }, response: ServerResponse) => boolean;

/** A Hub on this machine that takes commits: repositories, preupload, LFS with a storage of its own, and commits as NDJSON. */
export class PushHub {
  /** Repositories by name, with the files of their last commit. */
  readonly repositories = new Map<string, { readonly visibility: string; files: Map<string, Uint8Array>; titles: string[] }>();
  readonly seen: { readonly method: string; readonly path: string; readonly authorization: string | undefined }[] = [];
  intercept: Intercept = () => false;
  readonly #objects = new Map<string, Uint8Array>();
  readonly #hub: Server = createServer((request, response) => void this.#answer(request, response, false));
  readonly #storage: Server = createServer((request, response) => void this.#answer(request, response, true));

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
    return addressOf(this.#hub);
  }

  async #answer(request: IncomingMessage, response: ServerResponse, isStorage: boolean): Promise<void> {
    const { method = "", url = "/" } = request;
    const path = new URL(url, "http://hub").pathname;
    this.seen.push({ method, path: isStorage ? `storage${path}` : path, authorization: request.headers.authorization });
    if (this.intercept({ method, path }, response)) return;
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    if (isStorage) this.#store(path.slice(1), body, response);
    else this.#commitApi(path.replace(/^\/moved/, ""), body, response); // where a redirect leads
  }

  #store(oid: string, body: Uint8Array, response: ServerResponse): void {
    if (createHash("sha256").update(body).digest("hex") !== oid) send(response, 400, { error: "not the object that was announced" });
    else {
      this.#objects.set(oid, body);
      response.writeHead(200, { ETag: `"${oid}"` }).end();
    }
  }

  #commitApi(path: string, body: Buffer, response: ServerResponse): void {
    const [, name = "", verb = ""] =
      /^\/(?:api\/models\/)?([^/]+\/[^/.]+)(?:\.git)?\/(preupload\/main|info\/lfs\/objects\/batch|commit\/main)$/.exec(path) ?? [];
    const repository = this.repositories.get(name);
    if (path === "/api/repos/create") this.#create(JSON.parse(body.toString()), response);
    else if (repository === undefined) send(response, 404, { error: "Repository not found" });
    else if (verb === "preupload/main") this.#preupload(JSON.parse(body.toString()), response);
    else if (verb === "info/lfs/objects/batch") this.#batch(JSON.parse(body.toString()), response);
    else this.#commit(repository, body.toString(), response);
  }

  #preupload({ files }: { files: { path: string }[] }, response: ServerResponse): void {
    const mode = (file: string) => (file.endsWith(".safetensors") ? "lfs" : "regular");
    send(response, 200, { files: files.map((file) => ({ path: file.path, uploadMode: mode(file.path), shouldIgnore: false })) });
  }

  #batch({ objects }: { objects: { oid: string; size: number }[] }, response: ServerResponse): void {
    const upload = (oid: string) => (this.#objects.has(oid) ? {} : { actions: { upload: { href: `${addressOf(this.#storage)}/${oid}` } } });
    send(response, 200, { transfer: "basic", objects: objects.map(({ oid, size }) => ({ oid, size, ...upload(oid) })) });
  }

  #create({ name, organization, visibility }: Record<string, string>, response: ServerResponse): void {
    const id = `${organization}/${name}`;
    if (this.repositories.has(id)) send(response, 409, { error: "You already created this model repo" });
    else {
      this.repositories.set(id, { visibility: visibility ?? "", files: new Map(), titles: [] });
      send(response, 200, { url: `${this.address}/${id}`, id: "1" });
    }
  }

  #commit(repository: { files: Map<string, Uint8Array>; titles: string[] }, body: string, response: ServerResponse): void {
    const files = new Map(repository.files);
    let missing: string | undefined;
    for (const line of body.split("\n").filter((text) => text !== "")) {
      const { key, value } = JSON.parse(line);
      if (key === "header") repository.titles.push(value.summary);
      if (key === "file") files.set(value.path, Buffer.from(value.content, value.encoding));
      const object = key === "lfsFile" ? this.#objects.get(value.oid) : undefined;
      if (object !== undefined) files.set(value.path, object);
      else if (key === "lfsFile") missing = value.oid;
    }
    if (missing !== undefined) send(response, 400, { error: `there is no object ${missing}` });
    else this.#publish(repository, files, response);
  }

  #publish(repository: { files: Map<string, Uint8Array> }, files: Map<string, Uint8Array>, response: ServerResponse): void {
    repository.files = files;
    send(response, 200, {
      success: true,
      commitOid: "c".repeat(40),
      commitUrl: `${this.address}/commit/${"c".repeat(40)}`,
      hookOutput: "",
    });
  }
}

const addressOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

export function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { InputError, RunError } from "../../errors.js";
import { connectionFetch, type HubConnection, Interrupted, pause } from "./hub-connection.js";

/** Bytes of one file so far. */
export interface DownloadProgress {
  readonly file: string;
  readonly received: number;
  readonly total: number;
}

/** A file on a server, and what it must turn out to be. */
export interface RemoteFile {
  readonly name: string;
  /** What it is a file of, for messages: "model". */
  readonly kind: string;
  readonly address: string;
  readonly bytes: number;
  /** Checksum: SHA-256 of the content (large files), or git's SHA-1 of `blob SIZE\0` and the content (small ones). */
  readonly digest: { readonly algorithm: "sha256" | "git"; readonly hex: string };
}

/**
 * Downloads a file to `path`, continuing a part that an earlier try left in `path.incomplete`, and checks it. The file appears
 * whole or not at all. A broken connection is taken up where it broke, as long as each try brings something.
 *
 * The library's own `downloadFileToCacheDir` begins anew each time, checks nothing, and cannot be stopped; it shares this layout.
 */
export async function downloadFile(
  file: RemoteFile,
  path: string,
  connection: HubConnection,
  onProgress?: (progress: DownloadProgress) => void,
): Promise<void> {
  const incomplete = `${path}.incomplete`;
  let fruitless = 0;
  let damaged = 0;
  for (;;) {
    const before = await sizeOf(incomplete);
    try {
      if (before !== file.bytes || file.bytes === 0) await transfer(file, incomplete, before, connection, onProgress);
      if (await hasDigest(incomplete, file)) break;
      await rm(incomplete, { force: true });
      if (++damaged > 1)
        throw new RunError(`${file.name}: what ${file.address} gave does not have the checksum that the Hub states. Try again later.`);
    } catch (error) {
      if (!(error instanceof Interrupted)) throw explainDisk(file, path, error);
      fruitless = (await sizeOf(incomplete)) > before ? 0 : fruitless + 1;
      if (fruitless > connection.patience.retries) {
        throw new RunError(`${file.name} could not be downloaded: ${error.message}. What has arrived is kept; run again to continue.`, {
          cause: error,
        });
      }
      await pause(connection, fruitless, error.wait);
    }
  }
  // Another process may have finished the same file in the meantime: the content is the same.
  await rename(incomplete, path).catch(async (error: unknown) => {
    if ((await sizeOf(path)) !== file.bytes) throw error;
  });
}

/** One try: asks for what is missing and writes it in place. */
async function transfer(
  file: RemoteFile,
  incomplete: string,
  have: number,
  connection: HubConnection,
  onProgress?: (progress: DownloadProgress) => void,
): Promise<void> {
  let at = have > file.bytes ? 0 : have;
  const response = await connectionFetch(connection, connection.patience.stallMilliseconds)(file.address, {
    headers: { "Accept-Encoding": "identity", ...(at > 0 ? { Range: `bytes=${at}-` } : {}) },
  });
  if (response.status === 200)
    at = 0; // the whole file, also where a range was asked for
  else if (response.status === 206) checkContentRange(response, at, file);
  else if (response.status === 416) {
    await rm(incomplete, { force: true });
    throw new Interrupted(`${file.address} does not continue the part that is here`);
  } else throw refusal(file, response.status);

  const handle = await open(incomplete, at === 0 ? "w" : "r+");
  try {
    onProgress?.({ file: file.name, received: at, total: file.bytes });
    for await (const piece of pieces(response, connection)) {
      if (at + piece.byteLength > file.bytes)
        throw new RunError(`${file.address} sends more than the ${file.bytes} bytes that the Hub states.`);
      await writeAt(handle, piece, at);
      at += piece.byteLength;
      onProgress?.({ file: file.name, received: at, total: file.bytes });
    }
    if (at < file.bytes) throw new Interrupted(`the connection ended after ${at} of ${file.bytes} bytes`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The body, piece by piece; Interrupted when it breaks or stands still. */
async function* pieces(response: Response, connection: HubConnection): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  const { stallMilliseconds } = connection.patience;
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const stalled = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Interrupted(`nothing arrived for ${stallMilliseconds / 1000} s`)), stallMilliseconds);
      });
      try {
        const { done, value } = await Promise.race([reader.read(), stalled]);
        if (done) return;
        yield value;
      } finally {
        clearTimeout(timer);
      }
    }
  } catch (cause) {
    connection.signal?.throwIfAborted();
    // What the consumer throws does not pass here: only the network's failures do.
    throw cause instanceof Interrupted ? cause : new Interrupted("the connection broke", { cause });
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function checkContentRange(response: Response, at: number, file: RemoteFile): void {
  const [, begin, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "") ?? [];
  if (Number(begin) !== at || Number(total) !== file.bytes) {
    throw new RunError(
      `${file.address} answers with bytes from ${begin} of ${total}; from ${at} of ${file.bytes} were asked for. Try again later.`,
    );
  }
}

function refusal(file: RemoteFile, status: number): Error {
  if (status === 401 || status === 403) {
    return new InputError(
      `${file.address} is not given out (status ${status}): the ${file.kind} is gated or private. Accept its terms on its page, and set HF_TOKEN to an access token that may read it.`,
    );
  }
  return new RunError(`${file.address} is not given out (status ${status}). Try again later.`);
}

async function hasDigest(path: string, file: RemoteFile): Promise<boolean> {
  if ((await sizeOf(path)) !== file.bytes) return false;
  const { algorithm, hex } = file.digest;
  const hash = createHash(algorithm === "git" ? "sha1" : "sha256");
  if (algorithm === "git") hash.update(`blob ${file.bytes}\0`);
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest("hex") === hex;
}

async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

function explainDisk(file: RemoteFile, path: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new RunError(
    `${file.name} could not be downloaded: the disk of ${path} is full (${file.bytes} bytes are needed). Make room, or set HF_HOME to another place; what has arrived is kept.`,
    { cause: error },
  );
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    (found) => found.size,
    () => 0,
  );
}

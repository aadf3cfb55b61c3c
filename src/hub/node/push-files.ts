import { createRepo, HubApiError, uploadFiles } from "@huggingface/hub";
import { InputError, RunError } from "../../errors.js";
import { connectionFetch, type HubConnection, Interrupted, pause } from "./hub-connection.js";

/** A file to be put into a repository. */
export interface FileToPush {
  /** Inside the repository. */
  readonly path: string;
  readonly content: Blob;
}

/** What is to be pushed, and where. */
export interface Push {
  /** `owner/name`; it is made where it does not exist. */
  readonly repository: string;
  readonly isPrivate: boolean;
  readonly message: string;
  readonly files: readonly FileToPush[];
}

/** Bytes a second of a slow line; an upload may take as long as it needs at this speed. */
const SLOW_LINE = 50_000;

/**
 * Puts files into a model repository of the Hub, in one commit: all of them appear, or none.
 *
 * @returns the address of the commit
 * @throws InputError where the Hub refuses, in words and with what to do; RunError where it cannot be reached.
 */
export async function pushFiles(push: Push, connection: HubConnection): Promise<string> {
  const { repository, isPrivate, message, files } = push;
  const { token, endpoint: hubUrl, patience, signal } = connection;
  if (token === undefined) {
    throw new InputError(
      `Pushing to ${repository} needs an access token that may write: make one at ${hubUrl}/settings/tokens, and set HF_TOKEN to it (or run \`hf auth login\`).`,
    );
  }
  const repo = { type: "model", name: repository } as const;
  const bytes = files.reduce((sum, { content }) => sum + content.size, 0);
  const limit = Math.ceil(patience.stallMilliseconds + (1000 * bytes) / SLOW_LINE);
  const send = connectionFetch(connection, limit, limit);
  try {
    await again(connection, () =>
      makeRepository({ repo, accessToken: token, visibility: isPrivate ? "private" : "public", hubUrl, fetch: send }),
    );
    const uploaded = await again(connection, () =>
      uploadFiles({
        repo,
        accessToken: token,
        files: files.map(({ path, content }) => ({ path, content })),
        commitTitle: message,
        hubUrl,
        fetch: send,
        ...(signal === undefined ? {} : { abortSignal: signal }),
      }),
    );
    return uploaded?.commit.url ?? `${hubUrl}/${repository}`;
  } catch (error) {
    signal?.throwIfAborted();
    throw explain(error, repository, hubUrl);
  }
}

/** A repository that is there already is taken as it is. */
async function makeRepository(options: Parameters<typeof createRepo>[0]): Promise<void> {
  try {
    await createRepo(options);
  } catch (error) {
    if (!(error instanceof HubApiError && error.statusCode === 409)) throw error;
  }
}

/** Tries again while the Hub is busy or the connection breaks. A commit that was taken twice holds the same files. */
async function again<T>(connection: HubConnection, task: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await task();
    } catch (error) {
      connection.signal?.throwIfAborted();
      const failure = isBroken(error) ? new Interrupted(`the answer of ${connection.endpoint} broke off`, { cause: error }) : error;
      if (!(failure instanceof Interrupted) || attempt >= connection.patience.retries) throw failure;
      await pause(connection, attempt, failure.wait);
    }
  }
}

/** What reading an answer throws that ends too early, stands still, or is no answer of the Hub's. */
const isBroken = (error: unknown): boolean => error instanceof TypeError || error instanceof DOMException || error instanceof SyntaxError;

function explain(error: unknown, repository: string, endpoint: string): unknown {
  if (error instanceof Interrupted) {
    return new RunError(`${repository} could not be pushed: ${error.message}. Nothing was committed; run the command again.`, {
      cause: error,
    });
  }
  if (!(error instanceof HubApiError)) return error;
  const { statusCode: status, message } = error;
  if (status === 401) {
    return new InputError(
      `${endpoint} does not know the access token (status 401). Make one that may write at ${endpoint}/settings/tokens, and set HF_TOKEN to it.`,
      { cause: error },
    );
  }
  if (status === 403) {
    return new InputError(
      `The access token may not write to ${repository} (status 403). Push to a name of your own, or make a token of the kind "write" at ${endpoint}/settings/tokens.`,
      { cause: error },
    );
  }
  return new RunError(`${endpoint} refused ${repository} (status ${status}: ${message}). Nothing was committed.`, { cause: error });
}

import { HubApiError } from "@huggingface/hub";
import { InputError, RunError } from "../../errors.js";

/** How long the Hub may take, and how often it is asked again. */
export interface Patience {
  /** Until the first answer; short, because a machine without the Hub must not wait. */
  readonly connectMilliseconds: number;
  /** Until each later answer begins, and between two pieces of a download. */
  readonly stallMilliseconds: number;
  /** Before the first repetition; doubled for each further one. */
  readonly retryMilliseconds: number;
  /** Repetitions in a row that bring nothing. */
  readonly retries: number;
}

export const patience: Patience = { connectMilliseconds: 4000, stallMilliseconds: 30_000, retryMilliseconds: 1000, retries: 4 };
/** The longest wait that a `Retry-After` header is believed. */
const MAX_RETRY_AFTER_MILLISECONDS = 60_000;

/** What is needed to talk to the Hub. */
export interface HubConnection {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal | undefined;
  readonly patience: Patience;
}

/** The Hub did not answer, or not as the Hub does: another source may help. */
export class HubUnreachable extends Error {
  override readonly name = "HubUnreachable";
}

/** A transfer that may succeed when it is tried again. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  /** Milliseconds that the server asked to wait. */
  readonly wait: number;
  constructor(message: string, options: { readonly cause?: unknown; readonly wait?: number } = {}) {
    super(message, { cause: options.cause });
    this.wait = options.wait ?? 0;
  }
}

/**
 * A `fetch` for one connection: it adds the token for the Hub alone (never for the storage that it redirects to), gives up when
 * no answer begins in time (or, with `whole`, ends in time), turns "busy" into Interrupted, and stops with the signal. Milliseconds.
 */
export function connectionFetch(connection: HubConnection, timeout: number, whole?: number): typeof fetch {
  return async (input, init) => {
    const address = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    if (connection.token !== undefined && address.origin === new URL(connection.endpoint).origin) {
      headers.set("Authorization", `Bearer ${connection.token}`);
    }
    const clock = new AbortController();
    const timer = setTimeout(() => clock.abort(), timeout);
    const end = whole === undefined ? undefined : AbortSignal.timeout(whole);
    const signals = [clock.signal, end, connection.signal, init?.signal].filter((signal) => signal !== undefined && signal !== null);
    let response: Response;
    try {
      response = await connection.fetch(address, { ...init, headers, signal: AbortSignal.any(signals) });
    } catch (cause) {
      connection.signal?.throwIfAborted();
      if (clock.signal.aborted) throw new Interrupted(`${address.origin} did not answer within ${timeout / 1000} s`, { cause });
      throw new Interrupted(`${address.origin} cannot be reached (${reasonOf(cause)})`, { cause });
    } finally {
      clearTimeout(timer);
    }
    if (response.status === 408 || response.status === 429 || response.status >= 500) {
      await response.body?.cancel();
      const wait = Math.min(1000 * (Number(response.headers.get("Retry-After")) || 0), MAX_RETRY_AFTER_MILLISECONDS);
      const what = response.status === 429 ? "says that it was asked too often" : "answers with an error of its own";
      throw new Interrupted(`${address.origin} ${what} (status ${response.status})`, { wait });
    }
    return response;
  };
}

/** Waits before repetition number `attempt` (0 for the first); ends early when the signal says so. */
export async function pause(connection: HubConnection, attempt: number, asked: number): Promise<void> {
  const milliseconds = Math.max(asked, connection.patience.retryMilliseconds * 2 ** attempt);
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(connection.signal?.reason);
    };
    const timer = setTimeout(() => {
      connection.signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    connection.signal?.addEventListener("abort", stop, { once: true });
  });
  connection.signal?.throwIfAborted();
}

/** What was asked for: its kind, its name, and where its page is. */
export interface Asked {
  readonly kind: string;
  readonly name: string;
  readonly path: string;
}

/** Why the Hub refused something, in words and with what to do. Errors of other kinds pass unchanged. */
export function explainRefusal(error: unknown, { kind, name, path }: Asked, endpoint: string, hasToken: boolean): unknown {
  const status = error instanceof HubApiError ? error.statusCode : undefined;
  if (status === 401 || status === 403) {
    const token = hasToken
      ? "Your token (HF_TOKEN or `hf auth login`) was not enough: check that it is valid and may read it"
      : "If it is private or gated, set HF_TOKEN to an access token (or run `hf auth login`)";
    return new InputError(
      `${endpoint} does not give out ${name} (status ${status}): the name is wrong, or the ${kind} is private or gated. ` +
        `Open ${endpoint}/${path} to see, and to accept its terms. ${token}.`,
      { cause: error },
    );
  }
  if (status === 404) {
    return new InputError(
      `${endpoint} has no ${kind} ${name} (or not that revision). Check the name at ${endpoint}/${kind === "data set" ? "datasets" : "models"}.`,
      {
        cause: error,
      },
    );
  }
  if (status !== undefined)
    return new RunError(`${endpoint} refused to give out ${name} (status ${status}). Try again later.`, { cause: error });
  if (error instanceof SyntaxError) {
    return new HubUnreachable(`${endpoint} answered with something that is not the Hub's (a proxy's page?)`, { cause: error });
  }
  return error;
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && "code" in cause && typeof cause.code === "string") return cause.code;
  return cause instanceof Error ? cause.message : String(cause);
}

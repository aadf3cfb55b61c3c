import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InputError, RunError } from "../../src/errors.js";
import type { HubConnection } from "../../src/hub/node/hub-connection.js";
import { pushFiles } from "../../src/hub/node/push-files.js";
import { PushHub, send } from "./push-hub.js";

// What a Hub, its storage and the line between can do wrong while an adapter is pushed.

let hub: PushHub;
beforeEach(async () => {
  hub = new PushHub();
  await hub.start();
});
afterEach(() => hub.stop());

const weights = new Uint8Array(3000).map((_, index) => (index * 31) % 251);
const wait = { connectMilliseconds: 300, stallMilliseconds: 300, retryMilliseconds: 2, retries: 2 };

function pushed(patience = wait): Promise<string> {
  const connection: HubConnection = { endpoint: hub.address, token: "hf_write", fetch, signal: undefined, patience };
  const files = [
    { path: "adapter_config.json", content: new Blob(["{}"]) },
    { path: "adapter_model.safetensors", content: new Blob([weights]) },
  ];
  return pushFiles({ repository: "ada/tickets", isPrivate: false, message: "one", files }, connection);
}

/** Does something wrong at a place of the protocol, as many times. */
function fault(place: RegExp, times: number, answer: (response: ServerResponse) => void): void {
  let left = times;
  hub.intercept = ({ path }, response) => {
    if (!place.test(path) || left-- <= 0) return false;
    answer(response);
    return true;
  };
}

const places: readonly (readonly [string, RegExp])[] = [
  ["making the repository", /^\/api\/repos\/create$/],
  ["announcing the files", /\/preupload\//],
  ["asking for a place in the storage", /\/objects\/batch$/],
  ["the storage itself", /^\/[0-9a-f]{64}$/],
  ["the commit", /\/commit\//],
];

const faults: Readonly<Record<string, (response: ServerResponse) => void>> = {
  "a stall before the answer": () => undefined,
  "a stall in the answer": (response) => void response.writeHead(200, { "Content-Type": "application/json" }).write('{"fil'),
  "a truncated answer": (response) => {
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": 100 });
    response.write('{"fil', () => setTimeout(() => response.destroy(), 20));
  },
  "a broken connection": (response) => void response.destroy(),
  "status 429": (response) => send(response, 429, { error: "slowly" }),
  "status 500": (response) => send(response, 500, { error: "oh" }),
  "status 503": (response) => send(response, 503, { error: "busy" }),
};

// Proves hub-adapter out: a server that refuses, stalls, redirects, is busy and breaks off, at every place of the protocol
describe.each(places)("at %s", (where, place) => {
  // The storage's answer has no contents that are read.
  const names = Object.keys(faults).filter((name) => where !== "the storage itself" || !/in the answer|truncated/.test(name));

  test.each(names)("%s: once, it is tried again; always, it is told, and nothing is committed", async (name) => {
    const answer = faults[name] ?? (() => undefined);
    fault(place, 1, answer);
    await pushed();
    expect(hub.repositories.get("ada/tickets")?.files.get("adapter_model.safetensors")).toEqual(Buffer.from(weights));

    await hub.stop();
    hub = new PushHub();
    await hub.start();
    fault(place, Number.POSITIVE_INFINITY, answer);
    const error = await pushed({ ...wait, retries: 1 }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(RunError);
    expect(String(error)).toContain("Nothing was committed");
    expect(hub.repositories.get("ada/tickets")?.files.size ?? 0).toBe(0);
  });

  test.each([
    [401, InputError, "does not know the access token (status 401)"],
    [403, InputError, "may not write to ada/tickets (status 403)"],
    [404, RunError, "refused ada/tickets (status 404"],
  ])("status %i is explained", async (status, kind, words) => {
    fault(place, 1, (response) => send(response, status, { error: "no" }));
    const failure = expect(pushed()).rejects;
    if (where === "the storage itself") await failure.toThrow(new RegExp(`status ${status}`));
    else {
      await failure.toThrow(kind);
      fault(place, 1, (response) => send(response, status, { error: "no" }));
      await expect(pushed()).rejects.toThrow(words);
    }
    expect(hub.repositories.get("ada/tickets")?.files.size ?? 0).toBe(0);
  });
});

test("a Hub that has moved is followed", async () => {
  const places = /\/preupload\/|\/objects\/batch$/;
  hub.intercept = ({ path }, response) => {
    if (!places.test(path) || path.startsWith("/moved")) return false;
    response.writeHead(307, { Location: `${hub.address}/moved${path}` }).end();
    return true;
  };
  await pushed();
  expect(hub.seen.filter(({ path }) => path.startsWith("/moved"))).toHaveLength(2);
  expect(hub.repositories.get("ada/tickets")?.files.get("adapter_model.safetensors")).toEqual(Buffer.from(weights));
});

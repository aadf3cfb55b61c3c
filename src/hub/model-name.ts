import leven from "leven";
import { InputError } from "../errors.js";
import { aliases } from "./aliases.js";

/** A model on the Hub, and one GGUF file of it where one was named. */
export interface HubName {
  readonly repository: string;
  readonly file?: string;
}

/** What may stand before a Hub id when it was copied out of a browser. */
const prefix = /^(?:https?:\/\/)?(?:www\.)?(?:hf\.co|huggingface\.co)\//;
/** Hub's own rule: letters, digits, `-`, `_`, `.`, no `--` and no `..`, at most 96 characters a part. */
const part = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$/;
const ggufFile = /^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.gguf$/i;

/** Reads `org/name` or `org/name:file.gguf`, with or without the Hub's address before it; undefined where it is neither. */
export function parseHubName(text: string): HubName | undefined {
  const [name = "", file, ...more] = text.replace(prefix, "").replace(/\/$/, "").split(":");
  const parts = name.split("/");
  if (more.length > 0 || parts.length !== 2 || !parts.every((piece) => part.test(piece) && !/--|\.\./.test(piece))) return undefined;
  if (file === undefined) return { repository: name };
  return ggufFile.test(file) ? { repository: name, file } : undefined;
}

/** A repository of the Hub, a revision of it, and what in it is meant. */
export interface RepositoryName {
  /** `org/name` */
  readonly name: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  /** A file or folder inside, without slashes at its ends; empty for all of it. */
  readonly path: string;
}

const revisionForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$/;

/** Reads `org/name[@revision][/path]`, with or without the Hub's address before it; undefined where it is none. */
export function parseRepositoryName(text: string): RepositoryName | undefined {
  const [organisation = "", rest = "", ...path] = text.replace(prefix, "").replace(/\/$/, "").split("/");
  const [name = "", revision = "main", ...more] = rest.split("@");
  const isName = [organisation, name].every((piece) => part.test(piece) && !/--|\.\./.test(piece));
  const isPath = path.every((piece) => piece !== "" && !piece.startsWith(".") && !/[\\\0:]/.test(piece));
  if (!isName || !isPath || more.length > 0 || !revisionForm.test(revision) || revision.includes("..")) return undefined;
  return { name: `${organisation}/${name}`, revision, path: path.join("/") };
}

/** What to say about a name that is no alias, no file, no folder and no Hub id: the nearest alias first. */
export function unknownModel(text: string): InputError {
  const names = [...aliases.keys()].sort((a, b) => leven(a, text.toLowerCase()) - leven(b, text.toLowerCase()));
  return new InputError(
    `Model ${JSON.stringify(text)} is not known. Expected a short name (${names.join(", ")}), a Hugging Face id such as ` +
      "HuggingFaceTB/SmolLM2-135M-Instruct, a folder with config.json and safetensors, or a .gguf file.",
  );
}

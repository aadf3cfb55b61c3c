/** Parts of a model beyond which a name only looks like one of a part. */
const MAX_PARTS = 1000;

/**
 * The files of a model in GGUF, in order: the file itself, or all parts where it is named as one of them,
 * `NAME-00001-of-00003.gguf`.                                                 llama.cpp: src/llama.cpp, llama_split_path
 */
export function ggufParts(file: string): readonly [string, ...string[]] {
  const [, name, of, ending] = /^(.*)-\d{5}-of-(\d{5})(\.gguf)$/i.exec(file) ?? [];
  const count = Number(of ?? 1);
  if (name === undefined || count < 1 || count > MAX_PARTS) return [file];
  const part = (index: number) => `${name}-${String(index).padStart(5, "0")}-of-${of}${ending}`;
  return [part(1), ...Array.from({ length: count - 1 }, (_, index) => part(index + 2))];
}

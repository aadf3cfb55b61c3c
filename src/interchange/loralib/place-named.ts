/**
 * The place of a model that a path of somebody's own model means: the one whose path ends with the longest end of it, whole names alike.
 * `gpt.h.0.attn.c_attn` is `transformer.h.0.attn.c_attn`; `attn.c_attn`, which many are, is none.
 */
export function placeNamed(path: string, places: readonly string[]): string | undefined {
  const parts = path.split(".");
  for (let from = 0; from < parts.length; from++) {
    const end = parts.slice(from).join(".");
    const found = places.filter((place) => place === end || place.endsWith(`.${end}`));
    if (found.includes(end)) return end;
    if (found.length > 0) return found.length === 1 ? found[0] : undefined;
  }
  return undefined;
}

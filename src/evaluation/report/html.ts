/**
 * HTML from templates in which every value is escaped unless it is HTML itself. What a model or a file said goes into a page
 * as text and can never become markup.
 */

/** Only this file can make one: data read from JSON cannot hold a symbol of this module. */
const markup = Symbol("markup");

/** A piece of HTML that is safe to place in a page. */
export interface Html {
  readonly [markup]: string;
}

/** What a template may hold: text, which is escaped, HTML, which is not, lists of both, and nothing. */
export type Child = Html | string | number | undefined | readonly Child[];

/** A piece of HTML: the template is taken as it stands, the values in it are escaped. Values in attributes need quotes around them. */
export function html(parts: TemplateStringsArray, ...children: readonly Child[]): Html {
  return trusted(parts.map((part, index) => part + childText(children[index])).join(""));
}

/** Marks a text as HTML, unescaped: for constants of this package, never for data. */
export function trusted(text: string): Html {
  return { [markup]: text };
}

export function htmlText(piece: Html): string {
  return piece[markup];
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text as it must stand in HTML, between tags or in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

/**
 * A value as JSON that can stand inside a script element. There, `</script` and `<!--` would end or change the script, and only
 * escapes of JavaScript's own count (HTML Standard, section 4.12.1.3); U+2028 and U+2029 end a line in older engines.
 */
export function embedJson(value: unknown): Html {
  const json = JSON.stringify(value) ?? "null";
  return trusted(json.replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`));
}

function childText(child: Child): string {
  if (child === undefined) return "";
  if (typeof child === "string") return escapeHtml(child);
  if (typeof child === "number") return String(child);
  return isHtml(child) ? child[markup] : child.map(childText).join("");
}

function isHtml(child: Html | readonly Child[]): child is Html {
  return markup in child;
}

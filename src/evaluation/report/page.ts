import { escapeHtml, type Html, htmlText } from "./html.js";
import { PAGE_STYLE } from "./page-style.js";

/** A page of its own: one file, no network, readable as light, dark and printed. */
export interface Page {
  readonly title: string;
  /** What stands in the page's `main` element. */
  readonly body: Html;
  /** Style sheets after the shared one. */
  readonly styles: readonly string[];
  /** Classic scripts, run in this order when the body is there. */
  readonly scripts: readonly string[];
  /**
   * The SHA-256 of a text's UTF-8 bytes, as base64. With it the page names its scripts and styles one by one, and the browser refuses any other,
   * handlers in attributes included; without it any inline script may run. The network is forbidden either way.
   */
  readonly sha256?: ((text: string) => string) | undefined;
}

/** Before a page prints, everything folded is opened and the theme is that of paper; afterwards all is as it was. */
const PRINT_SCRIPT = `
(function () {
  "use strict";
  var opened = [];
  window.addEventListener("beforeprint", function () {
    document.documentElement.setAttribute("data-paper", "");
    document.querySelectorAll("details:not([open])").forEach(function (fold) { fold.open = true; opened.push(fold); });
  });
  window.addEventListener("afterprint", function () {
    document.documentElement.removeAttribute("data-paper");
    opened.splice(0).forEach(function (fold) { fold.open = false; });
  });
})();
`;

/** Writes the page down. All of it is constant but `title`, which is escaped, and `body`, which is HTML already. */
export function renderPage({ title, body, styles, scripts, sha256 }: Page): string {
  const allStyles = [PAGE_STYLE, ...styles].map((text) => embedded(text, "style"));
  const allScripts = [PRINT_SCRIPT, ...scripts].map((text) => embedded(text, "script"));
  const sources = (texts: readonly string[]) =>
    sha256 === undefined ? "'unsafe-inline'" : texts.map((text) => `'sha256-${sha256(text)}'`).join(" ");
  const policy = [
    "default-src 'none'",
    `style-src ${sources(allStyles)}`,
    `script-src ${sources(allScripts)}`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
${allStyles.map((text) => `<style>${text}</style>`).join("\n")}
</head>
<body>
<main>
${htmlText(body)}
</main>
${allScripts.map((text) => `<script>${text}</script>`).join("\n")}
</body>
</html>
`;
}

/**
 * A text as it can stand inside its element, and as the browser will hash it. An end tag inside would end it early: in both languages a backslash
 * before the slash keeps a string's meaning. Line ends become the one that the HTML parser makes of them.
 */
function embedded(text: string, element: "script" | "style"): string {
  return text.replace(/\r\n?/g, "\n").replace(new RegExp(`</(?=${element})`, "gi"), "<\\/");
}

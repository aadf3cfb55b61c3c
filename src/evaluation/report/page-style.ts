/** The look that reports share: colours for light and dark, type, tables, folds, paper. */

/** Colours of one theme. `gain` and `loss` are blue and orange, which people who cannot tell red from green can tell apart; `accent` and `second` are for two lines in one chart. */
export const LIGHT = {
  paper: "#fbfbf8",
  surface: "#ffffff",
  ink: "#1b1f23",
  muted: "#565e67",
  rule: "#dcdfd9",
  accent: "#0b6b5b",
  second: "#86378c",
  gain: "#0a5a9e",
  loss: "#a23e06",
  none: "#565e67",
} as const;

export type Theme = Readonly<Record<keyof typeof LIGHT, string>>;

export const DARK: Theme = {
  paper: "#13171a",
  surface: "#1b2024",
  ink: "#e9ebe8",
  muted: "#a7b0b8",
  rule: "#363e45",
  accent: "#52c7b1",
  second: "#dd9ce4",
  gain: "#73b8ff",
  loss: "#ffa66b",
  none: "#a7b0b8",
};

function variables(theme: Theme): string {
  return Object.entries(theme)
    .map(([name, colour]) => `--${name}: ${colour};`)
    .join(" ");
}

/** `data-paper` on the root, set while a page prints, forces the light theme: ink on paper. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; ${variables(LIGHT)} }
@media (prefers-color-scheme: dark) { :root:not([data-paper]) { ${variables(DARK)} } }
@media print { :root, :root:not([data-paper]) { color-scheme: light; ${variables({ ...LIGHT, paper: "#ffffff" })} } }

*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif;
}
/* A lorikeet's blue, green, yellow and red, head to breast. */
body::before { content: ""; display: block; height: 5px; background: linear-gradient(90deg, #2b5fb8 0 25%, #1c9a6c 25% 50%, #f2b632 50% 75%, #df5334 75%); }
main { max-width: 64rem; margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 2.5rem) 4rem; }
h1, h2, h3, h4 { line-height: 1.25; margin: 0; text-wrap: balance; }
h1 { font-size: clamp(1.55rem, 1.2rem + 1.6vw, 2.1rem); letter-spacing: -0.01em; }
h2 { font-size: 1.25rem; margin-bottom: 0.3rem; }
h3 { font-size: 1rem; }
p { margin: 0; max-width: 46rem; }
section { margin-top: 3rem; }
.muted { color: var(--muted); }
.small { font-size: 0.875rem; }
code, pre, .mono { font-family: ui-monospace, SFMono-Regular, "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: 0.9em; }
code { background: color-mix(in srgb, var(--ink) 7%, transparent); border-radius: 4px; padding: 0.1em 0.3em; overflow-wrap: anywhere; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); font-size: 0.875rem; padding-bottom: 0.6rem; }
th, td { text-align: left; vertical-align: top; padding: 0.6rem 1rem 0.6rem 0; border-bottom: 1px solid var(--rule); font-weight: inherit; }
th:last-child, td:last-child { padding-right: 0; }
thead th { font-size: 0.8125rem; color: var(--muted); vertical-align: bottom; }
.number { text-align: right; }

figure { margin: 0; }
figcaption { color: var(--muted); font-size: 0.875rem; max-width: 46rem; }

details { border-top: 1px solid var(--rule); }
details:last-of-type { border-bottom: 1px solid var(--rule); }
summary { cursor: pointer; padding: 0.75rem 0; font-weight: 600; }
details > :not(summary):last-child { margin-bottom: 1.25rem; }

@media print {
  @page { margin: 16mm; }
  html { font-size: 10pt; }
  body::before { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 6mm 0 0; }
  section { margin-top: 2rem; }
  h2, h3, h4, caption { break-after: avoid; }
  figure, article, tr { break-inside: avoid; }
}
`;

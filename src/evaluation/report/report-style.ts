/** What the trade-off report adds to the shared page style. */
export const REPORT_STYLE = `
header .kicker { color: var(--accent); font-weight: 600; font-size: 0.875rem; margin-bottom: 0.35rem; }
header .subject { display: flex; flex-wrap: wrap; gap: 0.15rem 1.25rem; margin: 1rem 0 0; font-size: 0.875rem; color: var(--muted); }
header .subject div { display: flex; gap: 0.4rem; min-width: 0; }
header .subject dd { margin: 0; color: var(--ink); overflow-wrap: anywhere; }
.lede { margin-top: 1.5rem; padding-left: 1rem; border-left: 4px solid var(--accent); font-size: clamp(1.1rem, 1rem + 0.6vw, 1.3rem); line-height: 1.45; overflow-wrap: anywhere; }
.lede::first-letter { text-transform: uppercase; }
.lede .next { display: block; margin-top: 0.4rem; font-size: 1rem; color: var(--muted); }

.changes td:nth-child(2), .changes td:nth-child(3) { white-space: nowrap; }
.changes .value { font-size: 1.35rem; line-height: 1.2; font-weight: 650; }
.changes tr.target th strong { color: var(--accent); }
.changes .change { width: 17rem; }
.changes .verdict { width: 11rem; white-space: nowrap; font-weight: 600; font-size: 0.9375rem; }
.changes .verdict.unknown { white-space: normal; }
.gain { color: var(--gain); } .loss { color: var(--loss); } .none, .unknown { color: var(--none); }
.cell-name { display: none; }
.interval { margin-top: 0.3rem; max-width: 17rem; }
.interval svg { display: block; overflow: visible; }
.interval .axis { stroke: var(--rule); stroke-width: 2; }
.interval .zero { stroke: var(--ink); stroke-width: 1.5; }
.interval .band { fill: currentColor; opacity: 0.45; }
.interval .dot { fill: currentColor; stroke: var(--paper); stroke-width: 2; }
.interval .ends { display: grid; grid-template-columns: 1fr auto 1fr; color: var(--muted); font-size: 0.75rem; line-height: 1.3; }
.interval .ends span:last-child { text-align: right; }
.changes + details { border-top: 0; }

.sample { margin-top: 1rem; background: var(--surface); border: 1px solid var(--rule); border-radius: 8px; padding: 1rem 1.1rem 1.1rem; }
.sample h3 { font-size: 0.8125rem; margin-bottom: 0.25rem; font-weight: 600; color: var(--muted); }
.sample h4 { font-size: 0.8125rem; color: var(--muted); font-weight: 600; display: flex; flex-wrap: wrap; gap: 0.2rem 0.6rem; align-items: baseline; min-height: 1.6rem; }
.sample pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
.sample pre.long { max-height: 16rem; overflow-y: auto; border: 1px solid var(--rule); border-radius: 4px; padding: 0.4rem 0.6rem; }
.sample .prompt pre { font-family: inherit; font-size: 1rem; }
.sample .answers { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 0.9rem 1.5rem; margin-top: 0.9rem; padding-top: 0.9rem; border-top: 1px solid var(--rule); }
.tag { border: 1px solid currentColor; border-radius: 1em; padding: 0 0.55em; font-size: 0.75rem; line-height: 1.6; white-space: nowrap; }

.curves { margin-top: 0.75rem; }
.curves .key { display: flex; flex-wrap: wrap; gap: 0.2rem 1.5rem; font-size: 0.875rem; color: var(--muted); }
.curves .key svg { vertical-align: -1px; }
.curves .key line { stroke: var(--accent); stroke-width: 2.5; }
.curves .key line.raw { stroke-width: 1; opacity: 0.5; }
.curves .key .validation { stroke: var(--second); fill: var(--second); stroke-width: 2; }
.curves .key line.validation { stroke-dasharray: 7 4; }
#curve-chart { margin-top: 0.75rem; overflow: hidden; }
#curve-readout { min-height: 1.6em; font-variant-numeric: tabular-nums; }
.uplot .u-cursor-x { border-color: var(--muted); }
.note { margin-top: 0.9rem; padding: 0.7rem 1rem; border-left: 4px solid var(--second); background: var(--surface); }
.note + details, .curves + details { margin-top: 1.25rem; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem 2rem; margin: 0.75rem 0 0; }
.figures dt { color: var(--muted); font-size: 0.875rem; }
.figures dd { margin: 0; } .figures dd strong { display: block; font-size: 1.35rem; line-height: 1.3; }
.options td { overflow-wrap: anywhere; white-space: pre-wrap; }
.options th { white-space: nowrap; width: 1%; padding-right: 2rem; }
.words { margin: 0; max-width: 46rem; }
.words dt { font-weight: 600; } .words dd { margin: 0 0 0.8rem; color: var(--muted); }

@media screen and (max-width: 44rem) {
  .changes, .changes tbody { display: block; }
  .changes caption { display: block; }
  .changes thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .changes tr { display: grid; grid-template-columns: 1fr 1fr; gap: 0.5rem 1rem; padding: 1rem 0; border-bottom: 1px solid var(--rule); }
  .changes tr:first-child { border-top: 1px solid var(--rule); }
  .changes th, .changes td { display: block; border: 0; padding: 0; }
  .changes th, .changes .change, .changes .verdict { grid-column: 1 / -1; width: auto; }
  .changes .verdict { grid-row: 2; white-space: normal; }
  .cell-name { display: block; font-size: 0.8125rem; color: var(--muted); }
  .interval { max-width: none; }
  .sample .answers { grid-template-columns: minmax(0, 1fr); }
  .options th { white-space: normal; padding-right: 1rem; }
}

@media print {
  .changes .change { width: 13rem; }
  .changes .verdict { width: 8rem; white-space: normal; }
  .sample pre.long { max-height: none; overflow: visible; border: 0; padding: 0; }
  #curve-readout { display: none; }
}
`;

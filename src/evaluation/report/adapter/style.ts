/** What the page of an adapter adds to the style that reports share. */
export const ADAPTER_STYLE = `
.heat { max-width: 100%; height: auto; display: block; margin-top: 0.75rem; }
.heat rect, .colour-key rect { fill: var(--accent); }
.heat text, .bars text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.heat .tick, .bars .tick { fill: var(--muted); font-size: 11px; }
.colour-key { display: flex; align-items: center; gap: 0.5rem; margin-top: 0.4rem; }
.multiples { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.25rem 1.5rem; margin-top: 1rem; }
.multiples h3 { font-size: 0.875rem; }
.multiples p { font-size: 0.8125rem; color: var(--muted); }
.multiples .heat { margin-top: 0.35rem; }
.bars { width: 100%; height: 92px; display: block; margin-top: 0.35rem; }
.bars rect { fill: var(--accent); }
.bars line { stroke: var(--rule); }
.wide { overflow-x: auto; }
.wide .heat { max-width: none; }
.reading { margin-top: 0.9rem; }
.reading + .reading { margin-top: 0.6rem; }
.layers td, .layers th { padding: 0.3rem 1rem 0.3rem 0; font-size: 0.875rem; white-space: nowrap; }
`;

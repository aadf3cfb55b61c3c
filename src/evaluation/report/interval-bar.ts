import type { Change } from "../trade-off.js";
import { type Html, html } from "./html.js";
import { changeText, intervalText, signedHundredths } from "./numbers.js";

/** Ends of the axis, as shares: the first that holds the interval is taken, so that axes are round numbers. */
const EXTENTS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];
/** The thinnest bar drawn, in percent of the axis: a change known exactly is still seen. */
const LEAST_WIDTH = 1;

/**
 * A change and its 95 % interval as a bar on an axis with zero in its middle. Better is always to the right: the axis of a
 * perplexity, of which less is better, runs from + to −. Nothing is drawn where there
 * is no interval or a number is not finite.
 */
export function intervalBar({ difference, interval, unit, verdict }: Change): Html | undefined {
  if (interval === null) return undefined;
  const [low, high] = interval;
  if (![difference, low, high].every(Number.isFinite)) return undefined;
  const reach = Math.max(Math.abs(difference), Math.abs(low), Math.abs(high));
  const extent = EXTENTS.find((end) => end >= reach) ?? reach;
  const better = unit === "share" ? 1 : -1;
  const place = (value: number) => 50 + (50 * better * value) / extent;
  const [from, to] = [Math.min(place(low), place(high)), Math.max(place(low), place(high))];
  const width = Math.max(to - from, LEAST_WIDTH);
  const label = `Change ${changeText(difference, unit)}, 95 % interval ${intervalText(interval)}.`;
  const percent = (value: number) => `${Number(value.toFixed(2))}%`;
  return html`<div class="interval ${verdict}">
<svg role="img" aria-label="${label}" width="100%" height="22">
<line class="axis" x1="0%" x2="100%" y1="11" y2="11"/>
<rect class="band" x="${percent(from)}" y="5" width="${percent(width)}" height="12" rx="2"/>
<line class="zero" x1="50%" x2="50%" y1="0" y2="22"/>
<circle class="dot" cx="${percent(place(difference))}" cy="11" r="5"/>
</svg>
<div class="ends" aria-hidden="true"><span>worse ${signedHundredths(-better * extent)}</span><span>0</span><span>${signedHundredths(better * extent)} better</span></div>
</div>`;
}

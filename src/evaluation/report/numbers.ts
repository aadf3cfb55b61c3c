import type { Change } from "../trade-off.js";

// Numbers as people read them. Whatever is not a finite number, also the null that JSON makes of one, is a dash.

const MISSING = "–";

/** 0.825 → "82.5 %"; at most one digit after the point. */
export function percentText(share: number): string {
  return Number.isFinite(share) ? `${Number((100 * share).toFixed(1))} %` : MISSING;
}

/** A perplexity with as many digits as mean something: "3.12", "145.6", "1,234". */
export function perplexityText(value: number): string {
  if (!Number.isFinite(value)) return MISSING;
  if (value >= 1e6) return value.toExponential(1);
  return value >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(value < 100 ? 2 : 1);
}

/** A loss in nats. */
export function lossText(value: number): string {
  return Number.isFinite(value) ? value.toFixed(3) : MISSING;
}

/** A share is measured in right answers and changes by points; a perplexity changes by percent of itself. */
export function valueText(value: number, unit: Change["unit"]): string {
  return unit === "share" ? percentText(value) : perplexityText(value);
}

/** +0.793 → "+79.3 points" for a share, "+79.3 %" for a perplexity. */
export function changeText(difference: number, unit: Change["unit"]): string {
  return Number.isFinite(difference) ? `${signedHundredths(difference)} ${unit === "share" ? "points" : "%"}` : MISSING;
}

/** The ends of an interval, "−3.1 to +2.4". */
export function intervalText(interval: Change["interval"]): string {
  if (interval === null) return "no interval";
  const [low, high] = interval;
  return Number.isFinite(low) && Number.isFinite(high) ? `${signedHundredths(low)} to ${signedHundredths(high)}` : MISSING;
}

/** A share times 100 with its sign and at most one digit after the point; zero has no sign. */
export function signedHundredths(share: number): string {
  const rounded = Number((100 * share).toFixed(1));
  if (rounded === 0) return "0";
  return `${rounded > 0 ? "+" : "−"}${Math.abs(rounded).toLocaleString("en")}`;
}

/** Seconds → "42 s", "3 min 20 s", "1 h 02 min". */
export function durationText(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return MISSING;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** 1 930 000 000 → "1.9 GB" (powers of 1000). */
export function bytesText(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 0) return MISSING;
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`;
}

/** Tokens in a second. */
export function speedText(tokensPerSecond: number): string {
  return Number.isFinite(tokensPerSecond)
    ? tokensPerSecond.toLocaleString("en", { maximumFractionDigits: tokensPerSecond < 10 ? 1 : 0 })
    : MISSING;
}

/** 1 example, 2 examples. */
export function counted(n: number, noun: string): string {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

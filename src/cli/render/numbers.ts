import * as reportNumbers from "../../evaluation/report/numbers.js";

/** A share of 1 as "82 %", as the report writes it. */
export const { percentText } = reportNumbers;

/** 1234567890 → "1.2 GB" (powers of 1000). */
export function bytesText(bytes: number): string {
  return scaled(bytes, ["B", "kB", "MB", "GB", "TB"], " ");
}

/** 4884480 → "4.9 M"; whole below a thousand. */
export function countText(count: number): string {
  return scaled(count, ["", "k", "M", "G", "T"], " ").trimEnd();
}

function scaled(value: number, units: readonly string[], space: string): string {
  let rest = value;
  let unit = 0;
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  const digits = unit === 0 || rest >= 99.95 ? 0 : 1;
  return `${rest.toFixed(digits)}${space}${units[unit] ?? ""}`;
}

/** Seconds → "42 s", "3 min 20 s", "1 h 02 min". */
export function durationText(seconds: number): string {
  return Number.isFinite(seconds) && seconds >= 0 ? reportNumbers.durationText(seconds) : "unknown time";
}

/** A learning rate: 0.0002 → "2.0e-4". */
export function rateText(rate: number): string {
  return rate === 0 ? "0" : rate.toExponential(1);
}

/** Four significant digits, never an exponent for ordinary sizes. */
export function plainNumber(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** A number with its sign, "+0.12". */
export function signed(text: string): string {
  return text.startsWith("-") ? text.replace("-", "−") : `+${text}`;
}

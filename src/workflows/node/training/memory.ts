/** Highest resident memory of the process so far, bytes. */
export function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

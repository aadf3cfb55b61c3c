import { adalora } from "./adalora.js";
import { dora } from "./dora.js";
import { eva } from "./eva.js";
import { loftq } from "./loftq.js";
import { lora } from "./lora.js";
import { loraBias } from "./lora-bias.js";
import { loraFa } from "./lora-fa.js";
import { olora } from "./olora.js";
import { pissa } from "./pissa.js";
import type { Variant } from "./variant.js";
import { vera } from "./vera.js";

/** Every variant by the name that `--method` gives it: to add one is to add a file and a line here. */
export const variants = {
  lora,
  dora,
  pissa,
  olora,
  eva,
  loftq,
  "lora-fa": loraFa,
  "lora-bias": loraBias,
  vera,
  adalora,
} satisfies Readonly<Record<string, Variant>>;

export type Method = keyof typeof variants;

export const methods = Object.keys(variants) as [Method, ...Method[]];

export function variantOf(method: Method): Variant {
  return variants[method];
}

/** The methods that an option belongs to; none where it belongs to no method in particular. */
export function methodsTaking(option: string): Method[] {
  return methods.filter((method) => variantOf(method).options?.includes(option));
}

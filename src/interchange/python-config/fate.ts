/** What becomes of a field of a Python configuration. */
export type Fate =
  /** It is carried over, as these options of `train`. */
  | { readonly kind: "options"; readonly options: Readonly<Record<string, unknown>> }
  /** It changes the run and has no equal here. */
  | { readonly kind: "lost"; readonly why: string }
  /** It changes nothing that a run learns. */
  | { readonly kind: "idle" };

/** All fields of a configuration, those that it leaves out with their defaults. */
export type Fields = Readonly<Record<string, unknown>>;

/** What becomes of one field: handed its value, and the other fields where they decide together. */
export type FieldRule = (value: unknown, all: Fields) => Fate;

/** What a configuration became. */
export interface Carried {
  readonly options: Readonly<Record<string, unknown>>;
  /** Fields that change the run and could not be carried over. */
  readonly lost: readonly LostField[];
}

export interface LostField {
  readonly field: string;
  readonly value: unknown;
  readonly why: string;
}

export const idle: Fate = { kind: "idle" };
export const lost = (why: string): Fate => ({ kind: "lost", why });

/** A field that is an option under another name. */
export const renamed =
  (option: string): FieldRule =>
  (value) =>
    value === null || value === undefined ? idle : { kind: "options", options: { [option]: value } };

/** A field that changes nothing at one value alone. */
export const onlyAt =
  (harmless: readonly unknown[], why: string): FieldRule =>
  (value) =>
    isUnset(value) || harmless.includes(value) ? idle : lost(why);

/** Whether Python would say that a field asks for nothing. */
export function isUnset(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/**
 * Carries the fields of a configuration over.
 *
 * @param defaults what Python takes for fields that are left out, where Lorikeet takes something else
 */
export function carry(given: Fields, rules: Readonly<Record<string, FieldRule>>, defaults: Fields): Carried {
  const all = { ...defaults, ...given };
  const lostFields: LostField[] = [];
  let options: Readonly<Record<string, unknown>> = {};
  for (const [field, value] of Object.entries(all)) {
    const rule = Object.hasOwn(rules, field) ? rules[field] : undefined;
    const fate = rule === undefined ? unknownField(value) : rule(value, all);
    if (fate.kind === "options") options = { ...options, ...fate.options };
    else if (fate.kind === "lost") lostFields.push({ field, value, why: fate.why });
  }
  return { options, lost: lostFields };
}

const unknownField = (value: unknown): Fate => (isUnset(value) ? idle : lost("Lorikeet does not know this field"));

/** Rules for the JSON that goes to Docker: default deny, a field at a time. Pure. */

export type Rule = (value: unknown) => boolean;
export type Rules = Record<string, Rule>;

export const text: Rule = (value) => typeof value === "string";
export const positive: Rule = (value) => Number.isSafeInteger(value) && (value as number) > 0;
export const oneOf =
  (...allowed: unknown[]): Rule =>
  (value) =>
    allowed.includes(value);
export const matches =
  (pattern: RegExp): Rule =>
  (value) =>
    typeof value === "string" && pattern.test(value);
export const listOf =
  (rule: Rule): Rule =>
  (value) =>
    Array.isArray(value) && value.every(rule);
export const listOfOne =
  (rule: Rule): Rule =>
  (value) =>
    listOf(rule)(value) && (value as unknown[]).length === 1;
export const only =
  (rules: Rules): Rule =>
  (value) =>
    refusedField(value, rules) === undefined;
/** As `only`, and nothing may be missing. */
export const exactly =
  (rules: Rules): Rule =>
  (value) =>
    unlikeField(value, rules) === undefined;
export const mapOf =
  (key: Rule, entry: Rule): Rule =>
  (value) =>
    isRecord(value) && Object.entries(value).every(([name, one]) => key(name) && entry(one));

/** The first field without a rule or against its rule. */
export function refusedField(value: unknown, rules: Rules, prefix = ""): string | undefined {
  if (!isRecord(value)) return prefix === "" ? "body" : prefix.slice(0, -1);
  const name = Object.keys(value).find((key) => !Object.hasOwn(rules, key) || rules[key]?.(value[key]) !== true);
  return name === undefined ? undefined : `${prefix}${name}`;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The first field without a rule, against its rule, or missing. */
export function unlikeField(value: unknown, rules: Rules): string | undefined {
  return refusedField(value, rules) ?? Object.keys(rules).find((name) => !Object.hasOwn(value as object, name));
}

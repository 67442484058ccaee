/** What the engine says about a number besides its value; not every engine does. */
type Context = { source?: string };

/**
 * Reads JSON. A number that a double cannot hold as it is written stays the text it was written as, so that no digit
 * of an amount or of an identifier is lost.
 */
export function parseLossless(text: string): unknown {
  const keep = (_key: string, value: unknown, context?: Context) =>
    typeof value === "number" && context?.source && digits(context.source).length > 15 ? context.source : value;
  return JSON.parse(text, keep as (key: string, value: unknown) => unknown);
}

/** The digits of a decimal that count. */
function digits(number: string): string {
  return number.replace(/e.*$/i, "").replace(/[-.]/g, "").replace(/^0+/, "");
}

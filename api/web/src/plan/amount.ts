/** An amount in the form of the locale, with two decimals. One that a double can't hold comes as text, and stays it. */
export function amountText(value: string | number, locale?: string): string {
  const format = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  // `format` reads decimals exactly, though the type says number.
  return format.format(value as number);
}

/** A difference with its sign. */
export function differenceText(value: number, locale?: string): string {
  return `${value < 0 ? "−" : "+"}${amountText(Math.abs(value), locale)}`;
}

/** Reads an amount as the locale writes it; null: empty; undefined: it can't be read, or has too many digits. */
export function readAmount(text: string, locale?: string): number | null | undefined {
  const parts = new Intl.NumberFormat(locale).formatToParts(12345.6);
  const decimal = parts.find((part) => part.type === "decimal")?.value ?? ".";
  const group = parts.find((part) => part.type === "group")?.value ?? ",";
  const bare = text.trim();
  if (bare === "") return null;
  const [whole = "", ...fraction] = bare.replace(/[\s\u00a0\u202f']/g, "").split(decimal);
  // Groups are of three digits, in some countries of two: 2,5 is not read as 25.
  const [first, ...groups] = whole.split(group);
  if (!groups.every(({ length }, place) => length === 3 || (length === 2 && place < groups.length - 1)))
    return undefined;
  const plain = [[first, ...groups].join(""), ...fraction].join(".");
  if (!/^-?\d{1,13}(\.\d{1,2})?$/.test(plain)) return undefined;
  return Number(plain);
}

/** Takes cents as whole numbers, so that a sum of amounts has no rounding error. */
export function sumOf(amounts: number[]): number {
  return amounts.reduce((sum, amount) => sum + Math.round(amount * 100), 0) / 100;
}

/** A number that is not an amount, in the form of the locale. */
export function countText(count: number, locale?: string): string {
  return new Intl.NumberFormat(locale).format(count);
}

/** A number with the word for one or for many: `1 draft`, `1,200 drafts`. */
export function counted(count: number, one: string, many: string, locale?: string): string {
  return `${countText(count, locale)} ${count === 1 ? one : many}`;
}

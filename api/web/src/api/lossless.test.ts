import { expect, it } from "vitest";
import { amountText } from "../plan/amount";
import { parseLossless } from "./lossless";

it.each([
  ["12500.5", 12500.5],
  ["1234567890123.45", 1234567890123.45],
  ["-0.01", -0.01],
  ["1e3", 1000],
])("a number that a double holds is a number: %s", (text, expected) => {
  expect(parseLossless(`{"amount": ${text}}`)).toEqual({ amount: expected });
});

it.runIf(supportsSource())("a number with more digits stays the text that it is written as", () => {
  expect(parseLossless('{"amount": 12345678901234567.89, "id": 9007199254740993}')).toEqual({
    amount: "12345678901234567.89",
    id: "9007199254740993",
  });
});

it("an amount that came as text is shown with all of its digits", () => {
  expect(amountText("12345678901234567.89", "en-US")).toBe("12,345,678,901,234,567.89");
});

/** Whether this engine tells how a number is written; browsers do, Node 20 does not. */
function supportsSource(): boolean {
  let found = false;
  JSON.parse("1", ((_key: string, value: unknown, context?: { source?: string }) => {
    found = context?.source === "1";
    return value;
  }) as (key: string, value: unknown) => unknown);
  return found;
}

import { describe, expect, it } from "vitest";
import { differenceText, readAmount, sumOf } from "./amount";
import { costOf } from "./cost";
import { counted } from "./count";
import { dayOf, daysBetween, dayText, momentOf } from "./day";
import { fieldOf, reasonLocked } from "./fields";
import { difference, isSame, valueText } from "./value";

describe("A day of the plan", () => {
  it("is the calendar day of midnight UTC, whatever the zone", () => {
    expect(dayOf("2026-12-31T00:00:00.000Z")).toBe("2026-12-31");
    expect(dayText("2026-12-31", "en-GB")).toBe("31 Dec 2026");
    expect(momentOf("2026-12-31")).toBe("2026-12-31T00:00:00.000Z");
  });

  it.each([null, "", "soon", 7])("is not read out of %s", (value) => expect(dayOf(value)).toBeNull());

  it("is so many days from another one, over a change of clocks too", () => {
    expect(daysBetween("2026-03-28", "2026-03-30")).toBe(2);
    expect(daysBetween("2026-01-01", "2026-12-31")).toBe(364);
  });
});

describe("An amount", () => {
  it.each([
    ["12,500.50", "en-US", 12500.5],
    ["12.500,50", "de-DE", 12500.5],
    ["12 500,50", "fr-FR", 12500.5],
    ["12,34,567", "en-IN", 1234567],
    ["-1,000", "en-US", -1000],
    ["2,5", "en-US", undefined],
    ["2.5", "de-DE", undefined],
    ["0", "en-US", 0],
    ["", "en-US", null],
    ["1.234", "en-US", undefined],
    ["12345678901234", "en-US", undefined],
    ["twelve", "en-US", undefined],
  ])("is read as the locale writes it: %s (%s)", (text, locale, expected) => {
    expect(readAmount(text, locale)).toBe(expected);
  });

  it("is summed without rounding errors, and its difference has a sign", () => {
    expect(sumOf([0.1, 0.2, 0.3])).toBe(0.6);
    expect(differenceText(-12.5, "en-US")).toBe("−12.50");
  });
});

it("a number stands with the word for one or for many", () => {
  expect([0, 1, 1200].map((count) => counted(count, "draft", "drafts", "en-US"))).toEqual([
    "0 drafts",
    "1 draft",
    "1,200 drafts",
  ]);
  expect(counted(1200, "draft", "drafts", "de-DE")).toBe("1.200 drafts");
});

describe("The cost of a record", () => {
  const rental = {
    source: "Rental",
    monthlyRate: 12500,
    forecastStart: "2026-01-01T00:00:00.000Z",
    forecastEnd: "2026-12-31T00:00:00.000Z",
  };
  it.each([
    [rental, 149474.38],
    [{ ...rental, forecastEnd: rental.forecastStart }, 0],
    [{ ...rental, monthlyRate: 0.01, forecastEnd: "2026-01-16T05:16:48.000Z" }, 0.01],
    [{ source: "Purchase", purchasePrice: 90507.13 }, 90507.13],
    [{ ...rental, monthlyRate: null }, null],
    [{ ...rental, forecastEnd: null }, null],
    [{ ...rental, source: "LEASE" }, null],
  ])("is counted as the database counts it", (record, expected) => expect(costOf(record)).toBe(expected));
});

describe("A value", () => {
  it("is shown by the type of its field, and as text where it is of another type", () => {
    expect(valueText(fieldOf("isActualized"), true)).toBe("Yes");
    expect(valueText(fieldOf("monthlyRate"), 12500, "en-US")).toBe("12,500.00");
    expect(valueText(fieldOf("monthlyRate"), "on request")).toBe("on request");
    expect(valueText(fieldOf("forecastEnd"), "2026-12-31T00:00:00.000Z", "en-US")).toBe("Dec 31, 2026");
    expect(valueText(fieldOf("model"), null)).toBe("—");
    expect(valueText(fieldOf("ownField"), "x")).toBe("x");
  });

  it("differs by days or by an amount", () => {
    expect(difference(fieldOf("forecastEnd"), "2026-12-31T00:00:00.000Z", "2027-01-30T00:00:00.000Z")).toBe("+30 days");
    expect(difference(fieldOf("monthlyRate"), 12500, 12188, "en-US")).toBe("−312.00 a month");
    expect(difference(fieldOf("model"), "a", "b")).toBeNull();
  });

  it("is the same when only its form differs", () => {
    expect(isSame(fieldOf("forecastEnd"), "2026-12-31T00:00:00.000Z", "2026-12-31T00:00:00Z")).toBe(true);
    expect(isSame(fieldOf("model"), "", null)).toBe(true);
    expect(isSame(fieldOf("monthlyRate"), 0, null)).toBe(false);
  });
});

it("a field that can't be edited says why", () => {
  const organization = {
    organizationId: "o",
    permissions: ["perm_SaveDraft", "perm_EditForecast"],
    maySend: true,
    paused: false,
    held: false,
  };
  expect(reasonLocked(fieldOf("model"), organization)).toBeUndefined();
  expect(reasonLocked(fieldOf("actualStart"), organization)).toMatch(/edit actuals/);
  expect(reasonLocked(fieldOf("originalStart"), organization)).toMatch(/never edited/);
});

import { describe, expect, it } from "vitest";
import type { RecordRow, TimelineEvent } from "../api/types";
import { columnsOf, writeColumns } from "./columns";
import { costChange } from "./drafts";
import { folded } from "./Timeline";
import { searchOf, tokensOf, tokenText } from "./tokens";

const search = (text: string) => searchOf(tokensOf(text), "usr_me");

describe("A search", () => {
  it("has words, and filters with one value or several", () => {
    expect(search('category:Crane class:"20-30 Ton","Boom, long" long boom')).toEqual({
      filter: { category: "Crane", class: ["20-30 Ton", "Boom, long"] },
      search: "long boom",
      faults: [],
    });
  });

  it.each([
    ["monthlyRate:5000..20000", { monthlyRate: { from: 5000, to: 20000 } }],
    ["monthlyRate:>5,000.50", { monthlyRate: { from: 5000.5 } }],
    ["purchasePrice:<100", { purchasePrice: { to: 100 } }],
    ["forecastEnd:2027-02", { forecastEnd: { from: "2027-02-01T00:00:00.000Z", to: "2027-02-28T00:00:00.000Z" } }],
    [
      "forecastStart:2026..2027-03-15",
      { forecastStart: { from: "2026-01-01T00:00:00.000Z", to: "2027-03-15T00:00:00.000Z" } },
    ],
    ["isActualized:yes", { isActualized: true }],
    ["state:Draft,conflict", { state: ["draft", "conflict"] }],
    ["author:me", { author: ["usr_me"] }],
    ["pfa:7,8", { pfa_ids: ["7", "8"] }],
    ["class:none", { class: null }],
    ["CATEGORY:Crane", { category: "Crane" }],
  ])("reads %s", (text, filter) => expect(search(text)).toMatchObject({ filter, faults: [] }));

  it.each(["monthlyRate:many", "forecastEnd:soon", "state:lost", "isActualized:perhaps", "category:"])(
    "says what is wrong with %s",
    (text) => {
      expect(search(text).faults).toHaveLength(1);
    },
  );

  it("takes a colon in a word as a word", () => expect(search("12:30").search).toBe("12:30"));

  it("is written again as it was read", () => {
    const [token] = tokensOf(tokenText("class", ["20-30 Ton", "Roller"]));
    expect(token?.values).toEqual(["20-30 Ton", "Roller"]);
  });
});

it("the cost of drafts is that of the records before and after them", () => {
  const row: RecordRow = {
    pfaId: "1",
    version: 1,
    data: { source: "Purchase", purchasePrice: 120.5 },
    base: { purchasePrice: 100 },
    states: ["draft"],
    changedFields: [],
    authors: [],
  };
  expect(costChange([row, { ...row, data: { source: "Rental" }, base: {} }])).toEqual({
    before: 100,
    after: 120.5,
    counted: 1,
  });
});

it("the columns of a view stand in the address unless they are the usual ones", () => {
  expect(writeColumns(columnsOf(undefined).map(({ field }) => field.name))).toBeUndefined();
  expect(writeColumns(["model", "category"])).toBe("category,model");
  expect(columnsOf("model,nonsense").map(({ field }) => field.name)).toEqual(["model"]);
});

it("tries of a change that failed one after the other are one entry of the timeline", () => {
  const event = (eventId: string, eventType: string, queueId = "1") =>
    ({ eventId, eventType, queueId, at: "2026-01-01T00:00:00Z" }) as TimelineEvent;
  const groups = folded([
    event("1", "COMMITTED"),
    event("2", "WRITE_ATTEMPT"),
    event("3", "WRITE_FAILED"),
    event("4", "WRITE_ATTEMPT"),
    event("5", "WRITE_FAILED"),
    event("6", "SYNCED"),
  ]);
  expect(groups.map(({ first, retries }) => [first.eventType, retries.length])).toEqual([
    ["COMMITTED", 0],
    ["WRITE_ATTEMPT", 0],
    ["WRITE_FAILED", 2],
    ["SYNCED", 0],
  ]);
});

import { act, render, renderHook, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useRef } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { MyOrganization, RecordRow } from "../api/types";
import { ME, row, serviceOf, show } from "../harness";
import { Toasts } from "../widgets/toasts";
import { BulkEditDialog } from "./BulkEditDialog";
import { CommitDialog } from "./CommitDialog";
import { DraftBar } from "./DraftBar";
import { RunningEdits } from "./RunningEdits";
import { SelectionBar } from "./SelectionBar";
import type { Selection } from "./selection";
import { useFocusKept } from "./useFocusKept";
import { useRecordSelection } from "./useRecordSelection";

afterEach(() => vi.unstubAllGlobals());

const ORGANIZATION = ME.organizations[0] as MyOrganization;
const draft = (pfaId: string) =>
  row(pfaId, { states: ["draft"], modificationId: `m${pfaId}`, base: { model: "Before" } });

const EDITS = "POST /api/pfa-data/edits";
const PREVIEW = `${EDITS}/preview`;
const SEARCH = "POST /api/pfa-data/search";
const preview = {
  records: 1240,
  changing: 1200,
  invalid: 3,
  costBefore: 1000,
  costAfter: 1100.5,
  digest: "d1",
  sample: [
    {
      pfaId: "7",
      before: { forecastEnd: "2026-12-31T00:00:00.000Z" },
      after: { forecastEnd: "2027-01-14T00:00:00.000Z" },
      errors: [{ field: "forecastEnd", code: "ORDER", message: "is before the start" }],
    },
  ],
};

describe("An edit of many records", () => {
  const selection: Selection = { filter: { category: "Crane" }, search: "boom" };
  const open = async (answers: Parameters<typeof serviceOf>[0], kind: "shift" | "rate" | "set" = "shift") => {
    const service = serviceOf({ [PREVIEW]: () => preview, ...answers });
    const close = vi.fn();
    await show(
      <>
        <BulkEditDialog kind={kind} organization={ORGANIZATION} selection={selection} count={1240} onClose={close} />
        <Toasts />
      </>,
      { api: service.api },
    );
    return { ...service, close };
  };

  it("is previewed by the service for the whole search, once what is written has settled", async () => {
    const { asked } = await open({});
    const far = await screen.findByRole("textbox", { name: "How far" });
    await screen.findByText(/1,200 change, 40 stay as they are/);
    await userEvent.clear(far);
    await userEvent.type(far, "114");
    await waitFor(() => expect(asked(PREVIEW)).toHaveLength(2));
    expect(asked(PREVIEW)[1]).toEqual({
      organizationId: "org_RIO",
      filter: { category: "Crane" },
      search: "boom",
      edit: { kind: "shift", fields: ["forecastStart", "forecastEnd"], amount: 114, unit: "days" },
    });
  });

  it("shows numbers, cost, and what is wrong with each record", async () => {
    await open({});
    const status = await screen.findByRole("status", { name: "" });
    await within(status).findByText(/3 would not be valid/);
    expect(status.textContent).toContain("Forecast cost 1,000.00 → 1,100.50 (+100.50).");
    expect(screen.getByText("Forecast end: is before the start")).toBeTruthy();
  });

  it("is started with the digest of what was shown, and says how to follow and to stop it", async () => {
    const { asked, close } = await open({
      [EDITS]: () => ({ jobId: "12", done: 200, skipped: 0, failed: 0, waiting: 1000 }),
      "POST /api/pems/jobs/12/stop": () => ({ state: "stopped" }),
    });
    await userEvent.type(screen.getByRole("textbox", { name: "Reason" }), "The season moves");
    await userEvent.click(await screen.findByRole("button", { name: "Save 1,200 drafts" }));
    await waitFor(() => expect(close).toHaveBeenCalledWith(true));
    expect(asked(EDITS)[0]).toMatchObject({ digest: "d1", reason: "The season moves", filter: { category: "Crane" } });
    expect(screen.getByRole("link", { name: "Follow job 12", hidden: true }).getAttribute("href")).toBe("/history/12");
    await userEvent.click(screen.getByRole("button", { name: "Stop", hidden: true }));
    await screen.findByText("Job 12 is stopped");
  });

  it("is not started with a number that can't be read", async () => {
    const { asked } = await open({}, "rate");
    await screen.findByRole("button", { name: "Save 1,200 drafts" });
    await userEvent.type(screen.getByRole("textbox", { name: "Percent" }), "x");
    const button = screen.getByRole("button", { name: "Save 1,200 drafts" });
    await userEvent.click(button);
    expect(button.getAttribute("aria-disabled")).toBe("true");
    expect(asked(EDITS)).toEqual([]);
  });

  it("whose records have changed since is previewed anew, and nothing is saved", async () => {
    const { asked, close } = await open({ [EDITS]: () => Response.json({ code: "moved_on" }, { status: 409 }) });
    await userEvent.click(await screen.findByRole("button", { name: "Save 1,200 drafts" }));
    await screen.findByText("Nothing was saved");
    await waitFor(() => expect(asked(PREVIEW)).toHaveLength(2));
    expect(close).not.toHaveBeenCalled();
  });
});

describe("A selection", () => {
  const search = { filter: { category: "Crane" }, search: "boom", faults: [] };
  const windows = (...numbers: number[]) =>
    new Map(numbers.map((number) => [number, [row(`${number}a`), row(`${number}b`)]]));
  const select = (loaded: Map<number, RecordRow[]>, at = search) => {
    const keys = [...loaded.values()].flat().map(({ pfaId }) => pfaId);
    return renderHook((search: typeof at) => useRecordSelection(search, loaded, keys), { initialProps: at });
  };

  it("of all that match is the search itself, and shows every row as selected", () => {
    const { result } = select(windows(0, 1));
    act(() => result.current.selectSearch());
    expect(result.current).toMatchObject({
      isSearch: true,
      selection: { filter: { category: "Crane" }, search: "boom" },
    });
    expect([...result.current.selected]).toEqual(["0a", "0b", "1a", "1b"]);
  });

  it("of all that match falls back to the rows that were read when one is taken out", () => {
    const { result } = select(windows(0, 1));
    act(() => result.current.selectSearch());
    act(() => result.current.select(201, false));
    expect(result.current).toMatchObject({ isSearch: false, selection: { filter: { pfa_ids: ["0a", "0b", "1a"] } } });
  });

  it("of all that match ends with another search", () => {
    const { result, rerender } = select(windows(0));
    act(() => result.current.selectSearch());
    rerender({ ...search, search: "other" });
    expect(result.current).toMatchObject({ isSearch: false, selection: { filter: { pfa_ids: [] } } });
  });

  it("grows by a range only where every row between was read", () => {
    const { result } = select(windows(0, 1, 150));
    act(() => result.current.select(1, false));
    act(() => result.current.select(200, true));
    expect([...result.current.selected]).toEqual(["0b", "1a"]);
    act(() => result.current.select(30_000, true));
    expect([...result.current.selected]).toEqual(["0b", "1a", "150a"]);
  });
});

describe("The bar of a selection", () => {
  const FACETS = "POST /api/pfa-data/facets";
  const states = (counts: Record<string, number>) => ({
    total: 0,
    facets: [{ field: "state", values: Object.entries(counts).map(([value, count]) => ({ value, count })) }],
  });
  const bar = async (props: Partial<Parameters<typeof SelectionBar>[0]>, answers: Parameters<typeof serviceOf>[0]) => {
    const service = serviceOf({ [FACETS]: () => states({ queued: 2, draft: 3 }), ...answers });
    const changed = vi.fn();
    await show(
      <>
        <SelectionBar
          organization={ORGANIZATION}
          selection={{ filter: { pfa_ids: ["1", "2"] } }}
          isSearch={false}
          count={2}
          total={60_000}
          onSelectSearch={() => undefined}
          onClear={() => undefined}
          onChanged={changed}
          {...props}
        />
        <Toasts />
      </>,
      { api: service.api },
    );
    return { ...service, changed };
  };

  it("withdraws what waits of the selected records by one request, and reads none of them", async () => {
    const { asked, changed } = await bar(
      {},
      {
        "POST /api/pfa-data/withdraw": () => ({
          verdicts: [
            { modificationId: "a", verdict: "withdrawn" },
            { modificationId: "b", verdict: "in_flight" },
          ],
        }),
      },
    );
    await userEvent.click(await screen.findByRole("button", { name: "Withdraw 2" }));
    await screen.findByText("1 change is a draft again");
    expect(screen.getByText("1 was sent already, or is not yours")).toBeTruthy();
    expect(screen.queryByRole("link", { name: /Follow job/, hidden: true })).toBeNull();
    expect(asked("POST /api/pfa-data/withdraw")).toEqual([
      { organizationId: "org_RIO", filter: { pfa_ids: ["1", "2"] } },
    ]);
    expect(changed).toHaveBeenCalledOnce();
  });

  it("asks before it withdraws all that match, and withdraws by the search", async () => {
    const { asked } = await bar(
      { isSearch: true, count: 60_000, selection: { filter: { category: "Crane" } } },
      { "POST /api/pfa-data/withdraw": () => ({ verdicts: [] }) },
    );
    expect(screen.getByText("All 60,000 that match")).toBeTruthy();
    await userEvent.click(await screen.findByRole("button", { name: "Withdraw 2…" }));
    const dialog = await screen.findByRole("alertdialog", { name: "Withdraw queued changes" });
    expect(asked("POST /api/pfa-data/withdraw")).toEqual([]);
    await userEvent.click(within(dialog).getByRole("button", { name: "Withdraw 2" }));
    await waitFor(() =>
      expect(asked("POST /api/pfa-data/withdraw")).toEqual([
        { organizationId: "org_RIO", filter: { category: "Crane" } },
      ]),
    );
  });

  it("leads to the job that withdraws what can't be withdrawn at once", async () => {
    const verdicts = [
      { modificationId: "a", verdict: "withdrawn", jobId: "14" },
      { modificationId: "b", verdict: "waiting", jobId: "14" },
    ];
    await bar({}, { "POST /api/pfa-data/withdraw": () => ({ verdicts }) });
    await userEvent.click(await screen.findByRole("button", { name: "Withdraw 2" }));
    await screen.findByText("1 follows in the background; you may close this page");
    const link = screen.getByRole("link", { name: "Follow job 14", hidden: true });
    expect(link.getAttribute("href")).toBe("/history/14");
  });

  it("does not change more records than are selected by their ids", async () => {
    await bar({ count: 501 }, {});
    const button = screen.getByRole("button", { name: "Shift dates…" });
    expect(button.getAttribute("aria-disabled")).toBe("true");
    await userEvent.click(button);
    expect(screen.queryByRole("dialog")).toBeNull();
  });
});

describe("A commit", () => {
  const COMMIT = "POST /api/pfa-data/commit-drafts";
  const SUMMARY = "POST /api/pfa-data/drafts/summary";
  const summary = { drafts: 1240, invalid: 40, conflicting: 1, costBefore: 1000, costAfter: 1100.5 };
  it("of more drafts than are listed is one of the search, leaves none out, and is counted by the service", async () => {
    const { api, asked } = serviceOf({
      [SEARCH]: () => ({ records: Array.from({ length: 200 }, (_, n) => draft(String(n))), next: "more" }),
      [SUMMARY]: () => summary,
      [COMMIT]: () => ({ verdicts: [{ modificationId: "m", verdict: "queued", jobId: "9" }] }),
    });
    const close = vi.fn();
    await show(
      <CommitDialog
        organization={ORGANIZATION}
        selection={{ filter: { category: "Crane" }, search: "boom" }}
        onClose={close}
      />,
      { api },
    );
    const commit = await screen.findByRole("button", { name: "Commit 1,200" });
    expect(asked(SEARCH)).toHaveLength(1);
    expect(asked(SUMMARY)).toEqual([{ organizationId: "org_RIO", filter: { category: "Crane" }, search: "boom" }]);
    expect(screen.getByRole("dialog", { name: "Commit 1,240 drafts" })).toBeTruthy();
    expect(within(screen.getByRole("dialog")).getByRole("status").textContent).toBe(
      "Forecast cost 1,000.00 → 1,100.50 (+100.50). 40 are not valid and stay drafts. 1 would be a conflict. " +
        "Drafts of other users are not touched.",
    );
    screen.getByText("The first 200 of 1,240 are listed.");
    await userEvent.click(commit);
    await waitFor(() => expect(close).toHaveBeenCalledWith(true));
    expect(screen.queryByRole("checkbox")).toBeNull();
    expect(asked(COMMIT)).toEqual([
      { organizationId: "org_RIO", filter: { category: "Crane" }, search: "boom", skipInvalid: true },
    ]);
  });

  it("of drafts that can't be counted is not made before they are", async () => {
    const answers = [Response.json({ code: "internal", detail: "It is broken." }, { status: 500 }), summary];
    const { api, asked } = serviceOf({
      [SEARCH]: () => ({ records: Array.from({ length: 200 }, (_, n) => draft(String(n))), next: "more" }),
      [SUMMARY]: () => answers.shift(),
    });
    await show(<CommitDialog organization={ORGANIZATION} onClose={() => undefined} />, { api });
    const alert = await screen.findByRole("alert");
    await userEvent.click(screen.getByRole("button", { name: "Commit" }));
    expect(asked(COMMIT)).toEqual([]);
    await userEvent.click(within(alert).getByRole("button", { name: "Try again" }));
    expect(await screen.findByRole("button", { name: "Commit 1,200" })).toBeTruthy();
  });

  it("of drafts that are all listed is one of those that are not left out", async () => {
    const { api, asked } = serviceOf({
      [SEARCH]: () => ({ records: [draft("1"), draft("2"), row("3")] }),
      [COMMIT]: () => ({ verdicts: [{ modificationId: "m2", verdict: "invalid" }] }),
    });
    await show(
      <>
        <CommitDialog organization={ORGANIZATION} onClose={() => undefined} />
        <Toasts />
      </>,
      { api },
    );
    await userEvent.click(await screen.findByRole("checkbox", { name: "Commit the draft of record 1" }));
    await userEvent.click(screen.getByRole("button", { name: "Commit 1" }));
    await waitFor(() =>
      expect(asked(COMMIT)).toEqual([{ organizationId: "org_RIO", pfaIds: ["2"], skipInvalid: true }]),
    );
    await screen.findByText("No draft was committed");
    expect(screen.getByText("1 not valid: still a draft")).toBeTruthy();
  });
});

describe("The bar of drafts", () => {
  const SUMMARY = "POST /api/pfa-data/drafts/summary";
  const bar = async (summary: object) => {
    const service = serviceOf({ [SUMMARY]: () => summary });
    await show(<DraftBar organization={ORGANIZATION} onChanged={() => undefined} />, { api: service.api });
    return service;
  };

  it("shows how many there are, what they cost and what stands against them, without reading them", async () => {
    const { asked } = await bar({ drafts: 1240, invalid: 1, conflicting: 2, costBefore: 5, costAfter: 7.5 });
    const shown = await screen.findByRole("toolbar", { name: "Drafts" });
    expect(within(shown).getByText("1,240 drafts")).toBeTruthy();
    expect(shown.textContent).toContain("Cost 5.00 → 7.50 (+2.50)1 not valid2 would be conflicts");
    expect(asked(SUMMARY)).toEqual([{ organizationId: "org_RIO", filter: {} }]);
    expect(asked(SEARCH)).toEqual([]);
  });

  it("shows no cost to users who may not see prices", async () => {
    await bar({ drafts: 1, invalid: 0, conflicting: 0 });
    const shown = await screen.findByRole("toolbar", { name: "Drafts" });
    expect(shown.textContent).toBe("1 draftReview and commit…");
  });

  it("says that the drafts could not be counted", async () => {
    await bar(Response.json({ code: "internal", detail: "It is broken." }, { status: 500 }));
    expect((await screen.findByRole("alert")).textContent).toContain("Your drafts could not be counted");
  });
});

it("the grid gets the focus when the button that has it goes", async () => {
  function Page({ isShown }: { isShown: boolean }) {
    const [bars, grid] = [useRef<HTMLDivElement>(null), useRef<HTMLDivElement>(null)];
    useFocusKept(bars, grid);
    return (
      <>
        <div ref={bars}>{isShown && <button type="button">Stop</button>}</div>
        <div ref={grid} role="grid" tabIndex={0} />
      </>
    );
  }
  const { rerender } = render(<Page isShown />);
  rerender(<Page isShown={false} />);
  rerender(<Page isShown />);
  expect(document.activeElement).toBe(document.body);
  screen.getByRole("button").focus();
  rerender(<Page isShown={false} />);
  await waitFor(() => expect(document.activeElement).toBe(screen.getByRole("grid")));
});

it("an edit that runs shows its progress, and the rows are read anew when it has ended", async () => {
  let running = true;
  const { api } = serviceOf({
    "GET /api/pems/jobs": () => ({ jobs: running ? [{ jobId: "12" }] : [] }),
    "GET /api/pems/jobs/12": () => ({
      jobId: "12",
      organizationId: "org_RIO",
      ...{ pending: 0, processing: 0, completed: 0, conflict: 0, failed: 0, withdrawn: 0 },
      items: { waiting: 800, done: 400, skipped: 0, failed: 0 },
    }),
    "POST /api/pems/jobs/12/stop": () => {
      running = false;
      return { state: "stopped" };
    },
  });
  const ended = vi.fn();
  await show(<RunningEdits organizationId="org_RIO" onEnded={ended} />, { api });
  await screen.findByText("400 of 1,200 drafts are saved");
  expect(screen.getByRole("progressbar").getAttribute("aria-valuetext")).toBe("400 of 1,200");
  expect(ended).not.toHaveBeenCalled();
  await userEvent.click(screen.getByRole("button", { name: "Stop edit 12" }));
  await waitFor(() => expect(ended).toHaveBeenCalledOnce());
});

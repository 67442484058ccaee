import { render, renderHook, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Conflict, Values } from "../api/types";
import { type Answers, Surroundings, serviceOf } from "../harness";
import { differing } from "./Changed";
import { movedFields, type Picks, type Plan, planOf, stillValid } from "./merge";
import { Resolver } from "./Resolver";
import { type Check, useCheck } from "./useCheck";

afterEach(() => vi.unstubAllGlobals());

const field = (name: string, base: unknown, ours: unknown, theirs: unknown, conflict = true) =>
  ({ field: name, base, ours, theirs, conflict }) as Conflict["fields"][number];
const conflict = (fields: Conflict["fields"]): Conflict => ({
  conflictId: "7",
  organizationId: "o",
  pfaId: "4711",
  modificationId: "m",
  author: "u",
  authorName: "Ada",
  detected: "pems",
  detectedVersion: 2,
  version: 2,
  code: "CHANGED_IN_PEMS",
  status: "unresolved",
  createdAt: "2026-01-01T00:00:00Z",
  fields,
});
const rate = field("monthlyRate", 12500, 13000, 11000);
const model = field("model", "LTM 1100", "LTM 1300", "LTM 1200");
const contract = field("contract", "C-1", "C-2", "C-1", false);
const hidden = { ...field("monthlyRate", null, null, null), hidden: true };

describe("A resolution", () => {
  it("sends the edit as it is when yours is picked everywhere", () => {
    expect(planOf(conflict([rate, contract]), { monthlyRate: { side: "ours" } })).toEqual({
      resolution: "use_local",
      open: [],
    });
  });

  it("gives the edit up when PEMS is picked everywhere and nothing else is in it", () => {
    expect(planOf(conflict([rate]), { monthlyRate: { side: "theirs" } }).resolution).toBe("use_pems");
  });

  it("is a merge when PEMS is picked and another field of the edit does not conflict", () => {
    const plan = planOf(conflict([rate, contract]), { monthlyRate: { side: "theirs" } });
    expect(plan).toMatchObject({ resolution: "merge", mergedData: { monthlyRate: 11000 } });
  });

  it("is of one side where the user may not see a price in conflict, which can't be merged", () => {
    const of = (rate: "base" | "ours" | "theirs", other: "ours" | "theirs") =>
      planOf(conflict([hidden, model, contract]), { monthlyRate: { side: rate }, model: { side: other } });
    expect(of("ours", "ours")).toEqual({ resolution: "use_local", open: [] });
    expect(of("theirs", "theirs")).toEqual({ resolution: "use_pems", open: [] });
    expect(of("ours", "theirs").open).toEqual(["monthlyRate", "model"]);
    expect(of("base", "ours").open).toEqual(["monthlyRate", "model"]);
  });

  it("is a merge where the price that the user may not see does not conflict", () => {
    const picks: Picks = { model: { side: "base" } };
    expect(planOf(conflict([{ ...hidden, conflict: false }, model]), picks)).toMatchObject({
      resolution: "merge",
      mergedData: { model: "LTM 1100" },
    });
  });

  it("is a merge with base or a value of one's own, and null clears a field", () => {
    const plan = planOf(conflict([rate, model]), { monthlyRate: { side: "base" }, model: { value: null } });
    expect(plan).toMatchObject({ resolution: "merge", mergedData: { monthlyRate: 12500, model: null } });
  });

  it("names the fields that are not chosen yet", () =>
    expect(planOf(conflict([rate, model]), {}).open).toEqual(["monthlyRate", "model"]));

  it("keeps the picks of fields that did not move", () => {
    const after = conflict([rate, { ...model, theirs: "LTM 1250" as never }]);
    const before = conflict([rate, model]);
    expect(movedFields(before, after)).toEqual(["model"]);
    expect(stillValid({ monthlyRate: { side: "ours" }, model: { side: "ours" } }, before, after)).toEqual({
      monthlyRate: { side: "ours" },
    });
  });
});

it("the part of a text that differs is found, in whole letters", () => {
  expect(differing("LTM 1300-6.1 short", "LTM 1300-6.2 short")).toEqual(["LTM 1300-6.", "2", " short"]);
  expect(differing("Grúa 👷 1", "Grúa 👷‍♀️ 1").join("")).toBe("Grúa 👷‍♀️ 1");
  expect(differing("same", "same")[1]).toBe("");
});

function Shown({
  onResolve,
  locked,
  fields = [rate, model],
  check = { isCurrent: false },
}: {
  onResolve: (plan: Plan) => void;
  locked?: string;
  fields?: Conflict["fields"];
  check?: Check;
}) {
  const [picks, setPicks] = useState<Picks>({});
  const plan = planOf(conflict(fields), picks);
  return (
    <Resolver
      conflict={conflict(fields)}
      picks={picks}
      plan={plan}
      check={check}
      onPicks={setPicks}
      moved={[]}
      locked={locked}
      pending={false}
      onResolve={() => onResolve(plan)}
    />
  );
}

describe("The resolver", () => {
  const refused = {
    sends: { monthlyRate: 13000 },
    sendsHidden: false,
    errors: [{ field: "monthlyRate", code: "TOO_HIGH", message: "is above 12,900.00" }],
    missingPermissions: ["perm_EditForecast"],
    operation: "UPDATE" as const,
    cost: 100,
    costAfter: 112.5,
  };

  it("is driven by arrows, and Enter resolves once every field is chosen", async () => {
    const user = userEvent.setup();
    const resolve = vi.fn();
    render(<Shown onResolve={resolve} />);
    const [first, second] = screen.getAllByRole("radiogroup").map((group) => within(group));
    await user.keyboard("{Enter}");
    expect(resolve).not.toHaveBeenCalled();
    await user.keyboard("{ArrowRight}");
    expect(first?.getByRole("radio", { name: /^PEMS/ }).getAttribute("aria-checked")).toBe("true");
    await user.keyboard("{ArrowDown}{ArrowLeft}{ArrowLeft}");
    expect(second?.getByRole("radio", { name: /^Base/ }).getAttribute("aria-checked")).toBe("true");
    await user.keyboard("{Enter}");
    expect(resolve).toHaveBeenCalledWith(
      expect.objectContaining({ mergedData: { monthlyRate: 11000, model: "LTM 1100" } }),
    );
  });

  it("announces each choice", async () => {
    render(<Shown onResolve={() => undefined} />);
    await userEvent.keyboard("{ArrowRight}");
    expect(screen.getByText(/Monthly rate: PEMS, 11,000.00/).getAttribute("aria-live")).toBe("polite");
  });

  it("shows its keys on the buttons, and why it can't be resolved", async () => {
    const resolve = vi.fn();
    render(<Shown onResolve={resolve} locked="You need the permission to sync" />);
    const button = screen.getByRole("button", { name: /Resolve/ });
    expect(button.textContent).toContain("Enter");
    expect(button.getAttribute("aria-disabled")).toBe("true");
    await userEvent.click(button);
    expect(resolve).not.toHaveBeenCalled();
  });

  it("takes another value, and refuses one that can't be read", async () => {
    const user = userEvent.setup();
    const resolve = vi.fn();
    render(<Shown onResolve={resolve} fields={[rate]} />);
    await user.keyboard("e");
    const entry = screen.getByRole("textbox", { name: "Other value of Monthly rate" });
    await user.clear(entry);
    await user.type(entry, "much");
    expect(screen.getByRole("alert").textContent).toMatch(/at most two decimals/);
    await user.clear(entry);
    await user.type(entry, "12,750{Enter}");
    await user.keyboard("{Enter}");
    expect(resolve).toHaveBeenCalledWith(expect.objectContaining({ mergedData: { monthlyRate: 12750 } }));
  });

  it("hides prices from those who may not see them", () => {
    render(<Shown onResolve={() => undefined} fields={[hidden]} />);
    expect(screen.getAllByRole("radio").map((radio) => radio.textContent)).toEqual([
      "Basehidden",
      "Yourshidden",
      "PEMShidden",
    ]);
  });

  it("offers one side for all fields where a price can't be seen, and says why", async () => {
    const user = userEvent.setup();
    const resolve = vi.fn();
    const check = { answer: { ...refused, errors: [], missingPermissions: [], sendsHidden: true }, isCurrent: true };
    render(<Shown onResolve={resolve} fields={[hidden, model, contract]} check={check} />);
    expect(screen.getByText(/no field can be chosen by itself/)).toBeTruthy();
    const radio = screen.getByRole("radio", { name: "PEMS: LTM 1200" });
    expect(radio.getAttribute("aria-disabled")).toBe("true");
    await user.click(radio);
    await user.keyboard("{ArrowRight}e{Enter}");
    expect(radio.getAttribute("aria-checked")).toBe("false");
    expect(screen.queryByRole("textbox")).toBeNull();
    expect(resolve).not.toHaveBeenCalled();
    expect(screen.getByText(/^Take yours or PEMS in every field/).getAttribute("aria-live")).toBe("polite");
    await user.keyboard("y");
    expect(screen.getByText(/^Sent to PEMS: Monthly rate 13,000.00.*; prices that you may not see\.$/)).toBeTruthy();
    await user.keyboard("p");
    expect(screen.getByText("Nothing is sent: PEMS keeps its values, and the whole edit is given up.")).toBeTruthy();
    await user.keyboard("{Enter}");
    expect(resolve).toHaveBeenCalledWith({ resolution: "use_pems", open: [] });
  });

  it("says that PEMS would be asked to delete the record", async () => {
    const answer = { ...refused, errors: [], missingPermissions: [], operation: "DELETE" as const };
    render(<Shown onResolve={vi.fn()} fields={[rate]} check={{ answer, isCurrent: true }} />);
    await userEvent.keyboard("y");
    expect(screen.getByText("PEMS is asked to delete the record.")).toBeTruthy();
  });

  it("says at the field why the service would refuse it, announces it, and does not resolve it", async () => {
    const resolve = vi.fn();
    render(<Shown onResolve={resolve} fields={[rate]} check={{ answer: refused, isCurrent: true }} />);
    await userEvent.keyboard("y");
    expect(screen.getByRole("radiogroup", { description: "is above 12,900.00" })).toBeTruthy();
    const announced = /^Monthly rate: is above 12,900.00. You need the permission to edit forecasts/;
    expect(screen.getByText(announced).getAttribute("aria-live")).toBe("polite");
    expect(screen.getByText("Sent to PEMS: Monthly rate 13,000.00 (PEMS has 11,000.00).")).toBeTruthy();
    await userEvent.keyboard("{Enter}");
    expect(resolve).not.toHaveBeenCalled();
  });

  it("resolves what was just chosen without waiting for the answer to it", async () => {
    const resolve = vi.fn();
    render(<Shown onResolve={resolve} fields={[rate]} check={{ answer: refused, isCurrent: false }} />);
    await userEvent.keyboard("y{Enter}");
    expect(resolve).toHaveBeenCalledOnce();
  });
});

describe("The check of a resolution", () => {
  const PATH = "POST /api/pems/conflicts/7/check";
  const start = (answers: Answers) => {
    const service = serviceOf(answers);
    const seven = conflict([rate]);
    const { result, rerender } = renderHook((picks: Picks) => useCheck(seven, planOf(seven, picks)), {
      initialProps: {} as Picks,
      wrapper: ({ children }) => <Surroundings api={service.api}>{children}</Surroundings>,
    });
    return { result, rerender, asked: () => service.asked(PATH) };
  };

  it("is for the last of several choices, and not made before every field is chosen", async () => {
    const { result, rerender, asked } = start({
      [PATH]: ({ mergedData }: { mergedData: Values }) => ({ sends: mergedData, errors: [], missingPermissions: [] }),
    });
    for (const value of [1, 12, 125]) rerender({ monthlyRate: { value } });
    expect(result.current.isCurrent).toBe(false);
    await waitFor(() => expect(result.current.isCurrent).toBe(true));
    expect(asked()).toEqual([{ resolution: "merge", mergedData: { monthlyRate: 125 } }]);
    expect(result.current.answer?.sends).toEqual({ monthlyRate: 125 });
  });

  it("keeps the last answer until the next one is there", async () => {
    const answers = [13000, 14000];
    const { result, rerender } = start({
      [PATH]: () => ({ sends: { monthlyRate: answers.shift() }, errors: [], missingPermissions: [] }),
    });
    rerender({ monthlyRate: { side: "ours" } });
    await waitFor(() => expect(result.current.isCurrent).toBe(true));
    rerender({ monthlyRate: { value: 14000 } });
    expect(result.current).toMatchObject({ isCurrent: false, answer: { sends: { monthlyRate: 13000 } } });
    await waitFor(() => expect(result.current.isCurrent).toBe(true));
    expect(result.current.answer?.sends).toEqual({ monthlyRate: 14000 });
  });
});

import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { describe, expect, it, vi } from "vitest";
import type { Conflict } from "../api/types";
import { differing } from "./Changed";
import { movedFields, type Picks, planOf, stillValid } from "./merge";
import { Resolver } from "./Resolver";

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

describe("A resolution", () => {
  it("sends the edit as it is when yours is picked everywhere", () => {
    const plan = planOf(conflict([rate, contract]), { monthlyRate: { side: "ours" } });
    expect(plan).toMatchObject({ resolution: "use_local", open: [] });
    expect(plan.sends.map(({ field, to }) => [field, to])).toEqual([
      ["monthlyRate", 13000],
      ["contract", "C-2"],
    ]);
  });

  it("gives the edit up when PEMS is picked everywhere and nothing else is in it", () => {
    expect(planOf(conflict([rate]), { monthlyRate: { side: "theirs" } })).toMatchObject({
      resolution: "use_pems",
      sends: [],
    });
  });

  it("is a merge when PEMS is picked and another field of the edit does not conflict", () => {
    const plan = planOf(conflict([rate, contract]), { monthlyRate: { side: "theirs" } });
    expect(plan).toMatchObject({ resolution: "merge", mergedData: { monthlyRate: 11000 } });
    expect(plan.sends).toEqual([{ field: "contract", from: "C-1", to: "C-2" }]);
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
}: {
  onResolve: () => void;
  locked?: string;
  fields?: Conflict["fields"];
}) {
  const [picks, setPicks] = useState<Picks>({});
  return (
    <Resolver
      conflict={conflict(fields)}
      picks={picks}
      onPicks={setPicks}
      moved={[]}
      locked={locked}
      pending={false}
      onResolve={onResolve}
    />
  );
}

describe("The resolver", () => {
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
    render(
      <Shown
        onResolve={() => undefined}
        fields={[{ ...rate, base: null as never, ours: null as never, theirs: null as never, hidden: true }]}
      />,
    );
    expect(screen.getAllByRole("radio").map((radio) => radio.textContent)).toEqual([
      "Basehidden",
      "Yourshidden",
      "PEMShidden",
    ]);
  });
});

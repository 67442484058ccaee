import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { serviceOf, show } from "../harness";
import { SavedViews } from "./SavedViews";
import { SelectRow, SelectTable } from "./SelectTable";
import { useSelection } from "./useSelection";

afterEach(() => vi.unstubAllGlobals());

function Rows({ keys }: { keys: string[] }) {
  const { selected, toggle, set } = useSelection();
  return (
    <SelectTable label="Rows" columns={["Name"]} keys={keys} selected={selected} onSelect={set}>
      {keys.map((key) => (
        <SelectRow
          key={key}
          label={`Select ${key}`}
          isSelected={selected.has(key)}
          onToggle={(range) => toggle(key, range ? { keys } : undefined)}
        >
          <td>{key}</td>
        </SelectRow>
      ))}
    </SelectTable>
  );
}

it("the box above a table selects all of its rows or none, and shows when only some are selected", async () => {
  const user = userEvent.setup();
  render(<Rows keys={["a", "b", "c", "d"]} />);
  const all = screen.getByRole<HTMLInputElement>("checkbox", { name: "Select all shown" });
  const chosen = () => screen.getAllByRole("row", { selected: true }).map((row) => row.textContent);
  await user.click(screen.getByRole("checkbox", { name: "Select b" }));
  await user.keyboard("{Shift>}");
  await user.click(screen.getByRole("checkbox", { name: "Select d" }));
  await user.keyboard("{/Shift}");
  expect(chosen()).toEqual(["b", "c", "d"]);
  expect([all.checked, all.indeterminate]).toEqual([false, true]);
  await user.click(all);
  expect(chosen()).toHaveLength(4);
  expect([all.checked, all.indeterminate]).toEqual([true, false]);
  await user.click(all);
  expect(screen.queryAllByRole("row", { selected: true })).toEqual([]);
});

describe("Saved views", () => {
  const view = (name: string, setup: object, own = true, userName = "Ada") => ({
    userId: userName,
    userName,
    page: "audit",
    name,
    setup,
    shared: !own,
    own,
    updatedAt: "2026-01-01T00:00:00Z",
  });

  it("set up the page that they are of, and nothing else in its address", async () => {
    const { api, asked } = serviceOf({
      "GET /api/pems/views": () => ({
        views: [view("Mine", { type: "SYNCED" }), view("Mine", { by: "usr_ben" }, false, "Ben")],
      }),
    });
    const router = await show(<SavedViews page="audit" />, { api, at: "/?org=RIO&type=COMMITTED&since=2026-01-01" });
    await userEvent.selectOptions(await screen.findByRole("combobox", { name: "Saved view" }), "Mine (Ben)");
    await waitFor(() => expect(router.state.location.search).toEqual({ org: "RIO", by: "usr_ben" }));
    expect(asked("GET /api/pems/views")).toEqual([{ page: "audit" }]);
    expect(screen.queryByRole("button", { name: "Delete view" })).toBeNull();
  });

  it("are saved for their page, with what of the address belongs to it", async () => {
    const { api, asked } = serviceOf({
      "GET /api/pems/views": () => ({ views: [] }),
      "PUT /api/pems/views/conflicts/Rates": () => ({}),
    });
    await show(<SavedViews page="conflicts" />, { api, at: "/?org=RIO&field=monthlyRate&open=7" });
    await userEvent.click(screen.getByRole("button", { name: "Save view" }));
    await userEvent.type(screen.getByRole("textbox", { name: "Name" }), "Rates");
    await userEvent.click(screen.getByRole("button", { name: "Save" }));
    await waitFor(() =>
      expect(asked("PUT /api/pems/views/conflicts/Rates")).toEqual([
        { setup: { field: "monthlyRate" }, shared: false },
      ]),
    );
  });
});

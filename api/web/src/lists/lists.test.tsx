import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it } from "vitest";
import { SelectRow, SelectTable } from "./SelectTable";
import { useSelection } from "./useSelection";

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

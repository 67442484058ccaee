import { Dialog, DialogTrigger, Popover, Button as Trigger } from "react-aria-components";
import { fieldOf } from "../plan/fields";
import { COLUMN_NAMES } from "./columns";

/** Which fields are shown as columns. */
export function ColumnMenu({ shown, onChange }: { shown: string[]; onChange: (names: string[]) => void }) {
  return (
    <DialogTrigger>
      <Trigger className="inline-flex min-h-8 cursor-pointer items-center rounded-md border border-control px-2.5 hover:bg-hover">
        Columns
      </Trigger>
      <Popover
        data-pfa-sync=""
        placement="bottom end"
        className="max-h-96 overflow-y-auto rounded-md border border-line bg-surface p-3 shadow-lg"
      >
        <Dialog aria-label="Columns" className="outline-none">
          <ul className="grid grid-cols-2 gap-x-6 gap-y-1">
            {COLUMN_NAMES.map((name) => (
              <li key={name}>
                <label className="flex items-center gap-2">
                  <input
                    type="checkbox"
                    checked={shown.includes(name)}
                    onChange={(event) =>
                      onChange(event.target.checked ? [...shown, name] : shown.filter((other) => other !== name))
                    }
                  />
                  {fieldOf(name).label}
                </label>
              </li>
            ))}
          </ul>
        </Dialog>
      </Popover>
    </DialogTrigger>
  );
}

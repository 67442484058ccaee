import { Dialog, DialogTrigger, Popover, Button as Trigger } from "react-aria-components";
import type { Me } from "../api/types";
import { Icon } from "../widgets/icons";

const COLOURS: Record<string, string> = {
  grey: "bg-slate-600",
  blue: "bg-blue-700",
  green: "bg-green-700",
  teal: "bg-teal-700",
  purple: "bg-purple-700",
  orange: "bg-orange-800",
  red: "bg-red-700",
};

/** Which installation this is, and links to others. */
export function InstanceName({ instance }: { instance: Me["instance"] }) {
  const { name, colour, production, links } = instance;
  const others = links.filter(({ address }) => /^https?:\/\//i.test(address));
  const text = [name, production && "production"].filter(Boolean).join(" · ");
  const shape = `rounded px-2 py-0.5 text-xs font-medium text-white ${COLOURS[colour] ?? COLOURS.grey}`;
  if (others.length === 0) return text ? <span className={shape}>{text}</span> : null;
  return (
    <DialogTrigger>
      <Trigger
        aria-label={`${text || "This installation"}: other installations`}
        className={`${shape} inline-flex cursor-pointer items-center gap-1`}
      >
        {text || "Installations"}
        <Icon name="down" size={12} />
      </Trigger>
      <Popover
        data-pfa-sync=""
        placement="bottom start"
        className="rounded-md border border-line bg-surface p-3 shadow-lg"
      >
        <Dialog aria-label="Other installations" className="outline-none">
          <ul className="flex flex-col gap-1">
            {others.map(({ name, address }) => (
              <li key={address}>
                <a href={address} target="_blank" rel="noopener" className="link">
                  {name}
                </a>
              </li>
            ))}
          </ul>
        </Dialog>
      </Popover>
    </DialogTrigger>
  );
}

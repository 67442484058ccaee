import { useNavigate } from "@tanstack/react-router";
import { useId, useState } from "react";
import { Dialog } from "../widgets/Dialog";
import { Icon, type IconName } from "../widgets/icons";
import { KEYS, keyText } from "./keys";
import { useMe } from "./me";
import { useOneOrganization } from "./organization";
import { PAGES } from "./pages";
import { switchTheme } from "./theme";
import { useView, type View } from "./view";

type Command = { id: string; label: string; icon: IconName; keys?: string; run: () => void };

/** Commands by name: pages, organizations, and the record or job of a number that is typed. */
export function Palette({ onClose, onHelp }: { onClose: () => void; onHelp: () => void }) {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const list = useId();
  const commands = useCommands(text, onHelp);
  const current = Math.min(chosen, commands.length - 1);
  const run = (command: Command | undefined) => {
    onClose();
    command?.run();
  };
  return (
    <Dialog title="Search and commands" onClose={onClose}>
      <input
        className="field"
        role="combobox"
        aria-label="Command, or number of a record"
        aria-expanded="true"
        aria-controls={list}
        aria-activedescendant={commands[current] && `${list}-${current}`}
        autoFocus
        value={text}
        placeholder="Type a page, an organization or the number of a record"
        onChange={(event) => {
          setText(event.target.value);
          setChosen(0);
        }}
        onKeyDown={(event) => {
          const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
          if (step) {
            event.preventDefault();
            setChosen((current + step + commands.length) % Math.max(commands.length, 1));
          } else if (event.key === "Enter") {
            event.preventDefault();
            run(commands[current]);
          }
        }}
      />
      <div role="listbox" id={list} aria-label="Commands" className="flex max-h-80 flex-col overflow-y-auto">
        {commands.map((command, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the text field
          <div
            key={command.id}
            id={`${list}-${index}`}
            role="option"
            aria-selected={index === current}
            className={`flex cursor-pointer items-center gap-2 rounded px-2 py-1.5 ${index === current ? "bg-chosen" : "hover:bg-hover"}`}
            onClick={() => run(command)}
          >
            <Icon name={command.icon} className="text-secondary" />
            <span className="grow">{command.label}</span>
            {command.keys && <kbd className="text-xs text-secondary">{keyText(command.keys)}</kbd>}
          </div>
        ))}
      </div>
    </Dialog>
  );
}

function useCommands(text: string, onHelp: () => void): Command[] {
  const me = useMe();
  const navigate = useNavigate();
  const organization = useOneOrganization();
  const [{ org }, change] = useView();
  const go = (to: string, search: View = {}) => void navigate({ to, search: { org, ...search } as never });
  const words = text.trim().toLowerCase();
  const commands: Command[] = [
    ...PAGES.map(({ path, label, icon, key }) => ({
      id: path,
      label: `Go to ${label.toLowerCase()}`,
      icon,
      keys: KEYS[key].keys,
      run: () => go(path),
    })),
    ...me.organizations.map(({ code, organizationId }) => ({
      id: organizationId,
      label: `Show organization ${code ?? organizationId}`,
      icon: "records" as const,
      run: () => change({ org: code ?? organizationId }, true),
    })),
    { id: "all", label: "Show all organizations", icon: "records", run: () => change({ org: undefined }, true) },
    { id: "theme", label: "Switch between light and dark", icon: "moon", keys: KEYS.theme.keys, run: switchTheme },
    { id: "help", label: "Show the keys", icon: "help", keys: KEYS.help.keys, run: onHelp },
    { id: "docs", label: "Open the description of the API", icon: "info", run: () => location.assign("/docs/") },
  ];
  const matching = commands.filter(({ label }) =>
    words.split(/\s+/).every((word) => label.toLowerCase().includes(word)),
  );
  if (!words) return matching;
  const code = organization?.code ?? organization?.organizationId;
  const open: Command[] = /^\S+$/.test(words)
    ? [
        {
          id: "record",
          label: `Open record ${text.trim()} of ${code}`,
          icon: "records",
          run: () => go(`/records/${encodeURIComponent(text.trim())}`, { org: code ?? undefined }),
        },
        ...(/^\d+$/.test(words)
          ? [{ id: "job", label: `Open job ${words}`, icon: "history" as const, run: () => go(`/history/${words}`) }]
          : []),
      ]
    : [];
  const search: Command = {
    id: "search",
    label: `Search records for “${text.trim()}”`,
    icon: "search",
    run: () => go("/records", { q: text.trim() }),
  };
  return [...matching, ...open, search];
}

import type { ReactNode } from "react";
import { Button } from "../widgets/Button";
import { useView } from "./view";

export type TabTable = Record<string, [label: string, component: () => ReactNode]>;

/** The tab that the URL names, else the first one of the table. */
export function useTab(tabs: TabTable): { name: string; Shown: () => ReactNode } {
  const [view] = useView();
  const name = view.tab && view.tab in tabs ? view.tab : (Object.keys(tabs)[0] ?? "");
  return { name, Shown: tabs[name]?.[1] ?? (() => null) };
}

/** Buttons that choose a tab of a page; the URL keeps the choice. */
export function TabButtons({ tabs, chosen }: { tabs: TabTable; chosen: string }) {
  const [, change] = useView();
  return (
    <div className="flex flex-wrap gap-1">
      {Object.entries(tabs).map(([name, [label]]) => (
        <Button
          key={name}
          kind={name === chosen ? "plain" : "quiet"}
          aria-pressed={name === chosen}
          onClick={() => change({ tab: name }, true)}
        >
          {label}
        </Button>
      ))}
    </div>
  );
}

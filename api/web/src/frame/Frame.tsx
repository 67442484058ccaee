import { Outlet, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { NotificationToasts } from "../notifications/NotificationToasts";
import { Toasts } from "../widgets/toasts";
import { Help } from "./Help";
import { type KeyName, useKeys } from "./keys";
import { Palette } from "./Palette";
import { PAGES } from "./pages";
import { Rail } from "./Rail";
import { TopBar } from "./TopBar";
import { switchTheme } from "./theme";
import { useView } from "./view";

/** What surrounds every page. */
export function Frame({ onSignOut }: { onSignOut: () => void }) {
  const [window, setWindow] = useState<"palette" | "help" | null>(null);
  const navigate = useNavigate();
  const [{ org }] = useView();
  const pages = Object.fromEntries(
    PAGES.map(({ path, key }) => [key, () => void navigate({ to: path, search: { org } as never })]),
  ) as Partial<Record<KeyName, () => void>>;
  useKeys({
    ...pages,
    palette: () => setWindow("palette"),
    help: () => setWindow("help"),
    theme: switchTheme,
    search: () => document.querySelector<HTMLInputElement>("[data-search]")?.focus(),
  });
  return (
    <div className="flex h-dvh flex-col">
      <a href="#main" className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:bg-surface focus:p-2">
        Skip to the page
      </a>
      <TopBar onPalette={() => setWindow("palette")} onHelp={() => setWindow("help")} onSignOut={onSignOut} />
      <div className="flex min-h-0 grow">
        <Rail />
        <main id="main" tabIndex={-1} className="min-h-0 min-w-0 grow overflow-y-auto pb-16 outline-none md:pb-0">
          <Outlet />
        </main>
      </div>
      {window === "palette" && <Palette onClose={() => setWindow(null)} onHelp={() => setWindow("help")} />}
      {window === "help" && <Help onClose={() => setWindow(null)} />}
      <NotificationToasts />
      <Toasts />
    </div>
  );
}

import { Link } from "@tanstack/react-router";
import { countText } from "../plan/count";
import { Icon } from "../widgets/icons";
import { useCounts } from "./counts";
import { PAGES } from "./pages";
import { useView } from "./view";

/** The pages, with a count where something waits for a person. On a narrow screen it is a bar at the bottom. */
export function Rail() {
  const counts = useCounts();
  const [{ org }] = useView();
  return (
    <nav
      aria-label="Pages"
      className="fixed inset-x-0 bottom-0 z-20 flex overflow-x-auto border-t border-line bg-panel md:static md:w-44 md:shrink-0 md:flex-col md:overflow-visible md:border-t-0 md:border-r md:px-2 md:py-2"
    >
      {PAGES.map(({ path, label, short, icon }) => {
        const count = counts[path] ?? 0;
        return (
          <Link
            key={path}
            to={path}
            search={{ org } as never}
            activeOptions={{ exact: path === "/", includeSearch: false }}
            className="relative flex min-w-16 flex-1 flex-col items-center gap-0.5 px-1 py-1.5 text-[11px] text-secondary no-underline hover:bg-hover md:min-w-0 md:flex-none md:flex-row md:gap-2.5 md:rounded-md md:px-2.5 md:py-1.5 md:text-[13px]"
            activeProps={{ className: "!text-content font-medium md:bg-chosen" }}
          >
            <Icon name={icon} size={17} className="shrink-0" />
            <span className="whitespace-nowrap md:grow">
              {short ? (
                <>
                  <span className="md:hidden">{short}</span>
                  <span className="hidden md:inline">{label}</span>
                </>
              ) : (
                label
              )}
            </span>
            {count > 0 && (
              <span className="absolute top-0 right-1 rounded-full bg-attention-back px-1.5 text-[11px] font-medium text-attention ring-1 ring-attention-line md:static">
                <span className="sr-only">, </span>
                {countText(count)}
                <span className="sr-only"> waiting</span>
              </span>
            )}
          </Link>
        );
      })}
    </nav>
  );
}

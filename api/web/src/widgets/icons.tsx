import type { ReactNode, SVGProps } from "react";

const PATHS = {
  overview: "M3 13h4l3-8 4 14 3-6h4",
  records: "M4 6h16M4 12h16M4 18h16",
  conflict: "M6 4v6a6 6 0 0 0 6 6 6 6 0 0 0 6-6V4M12 16v5",
  history: "M12 7v5l3 2M4 12a8 8 0 1 0 2.3-5.6L4 8.5M4 4v4.5h4.5",
  failed: "M6 6l12 12M18 6L6 18",
  alerts: "M6 16V11a6 6 0 1 1 12 0v5l1.5 2h-15zM10 21h4",
  settings: "M5 7h9M18 7h1M5 17h1M10 17h9M14 5v4M8 15v4",
  draft: "M4 20l1-5L16 4l4 4L9 19z",
  queued: "M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  syncing: "M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5",
  synced: "M5 13l4.5 4.5L19 7",
  paused: "M8 5v14M16 5v14",
  held: "M7 11V8a5 5 0 0 1 10 0v3M5 11h14v9H5z",
  withdrawn: "M9 7L4 12l5 5M4 12h11a5 5 0 0 1 0 10",
  discarded: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L20 20",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10z",
  help: "M9 9a3 3 0 1 1 4.5 2.6c-.9.5-1.5 1.2-1.5 2.4M12 18v.5",
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 9l6 6 6-6",
  right: "M9 6l6 6-6 6",
  left: "M15 6l-6 6 6 6",
  up: "M6 15l6-6 6 6",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  download: "M12 4v11M7 10l5 5 5-5M5 20h14",
  warning: "M12 4l9 16H3zM12 10v4M12 17v.5",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5M12 8v.5",
  user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM5 20a7 7 0 0 1 14 0",
  audit: "M7 3h10v18H7zM10 8h4M10 12h4M10 16h2",
} as const;

export type IconName = keyof typeof PATHS;

/** A line drawing of 24 units. It says nothing by itself: a word stands beside it, or a label on what holds it. */
export function Icon({
  name,
  size = 16,
  ...rest
}: { name: IconName; size?: number } & SVGProps<SVGSVGElement>): ReactNode {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={2}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
      {...rest}
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

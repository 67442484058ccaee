import type { ReactNode } from "react";

/** A page: its heading, what belongs beside it, and its body, which scrolls by itself if it is `fixed`. */
export function Page({
  title,
  aside,
  children,
  fixed,
}: {
  title: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
  fixed?: boolean;
}) {
  return (
    <div className={fixed ? "flex h-full min-h-0 flex-col" : "flex flex-col"}>
      <header className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 px-4 pt-3 pb-2">
        <h1 className="text-lg font-semibold">{title}</h1>
        <div className="flex flex-wrap items-center gap-2">{aside}</div>
      </header>
      {children}
    </div>
  );
}

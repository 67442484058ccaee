import type { ReactElement, ReactNode } from "react";
import { Focusable, Tooltip, TooltipTrigger } from "react-aria-components";

/** Shows a text beside something that can be focused, on hover and on focus. */
export function Tip({ text, children, delay = 400 }: { text: ReactNode; children: ReactElement; delay?: number }) {
  if (!text) return children;
  return (
    <TooltipTrigger delay={delay} closeDelay={100}>
      {/* biome-ignore lint/suspicious/noExplicitAny: Focusable takes any element that can be focused */}
      <Focusable>{children as any}</Focusable>
      <Tooltip
        offset={6}
        className="z-50 max-w-80 rounded-md border border-line bg-content px-2.5 py-1.5 text-xs text-surface shadow-lg"
      >
        {text}
      </Tooltip>
    </TooltipTrigger>
  );
}

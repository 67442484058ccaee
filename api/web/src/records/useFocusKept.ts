import { type RefObject, useEffect } from "react";

/**
 * Gives the focus to another element when the one inside the bars that has it is removed, such as a button that commits
 * the last draft. Otherwise the keyboard would start again at the top of the page.
 */
export function useFocusKept(bars: RefObject<HTMLElement | null>, next: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const place = bars.current;
    if (!place) return;
    let last: EventTarget | null = null;
    const keep = (event: FocusEvent) => {
      last = event.target;
    };
    const removal = new MutationObserver(() => {
      if (last instanceof Node && !last.isConnected && document.activeElement === document.body) {
        last = null;
        next.current?.focus({ preventScroll: true });
      }
    });
    place.addEventListener("focusin", keep);
    removal.observe(place, { childList: true, subtree: true });
    return () => {
      place.removeEventListener("focusin", keep);
      removal.disconnect();
    };
  }, [bars, next]);
}

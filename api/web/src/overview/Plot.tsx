import { useEffect, useRef, useState } from "react";
import type { default as UPlot } from "uplot";
import type { ChartProps } from "./Chart";
import { alignedTo, timesOf } from "./figures";

const HEIGHT = 150;

/** Lines over time as a drawing; the code that draws is loaded when it is needed. */
export function Plot({ lines, format, title }: Omit<ChartProps, "note">) {
  const place = useRef<HTMLDivElement>(null);
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);
  useEffect(() => {
    const watch = new MutationObserver(() => setTheme(document.documentElement.dataset.theme));
    watch.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => watch.disconnect();
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a change of the theme draws the chart in other colours
  useEffect(() => {
    let plot: UPlot | undefined;
    let ended = false;
    let resize: ResizeObserver | undefined;
    void Promise.all([import("uplot"), import("uplot/dist/uPlot.min.css")]).then(([{ default: Plot }]) => {
      const element = place.current;
      if (ended || !element) return;
      const style = getComputedStyle(element);
      const colour = (name: string) => style.getPropertyValue(`--pfa-${name}`).trim();
      const axis = {
        stroke: colour("secondary"),
        grid: { stroke: colour("line"), width: 1 },
        ticks: { show: false },
        font: "11px sans-serif",
      };
      const times = timesOf(lines.map(({ series }) => series));
      plot = new Plot(
        {
          width: element.clientWidth,
          height: HEIGHT,
          legend: { show: false },
          cursor: { y: false, points: { size: 6 } },
          axes: [axis, { ...axis, size: 56, values: (_, values) => values.map((value) => format(value)) }],
          scales: { y: { range: (_plot, _min, max) => [0, Math.max(max ?? 0, 0.001) * 1.1] } },
          series: [
            {},
            ...lines.map(({ label, colour: name, dashed }) => ({
              label,
              stroke: colour(name),
              width: 1.5,
              dash: dashed ? [5, 4] : undefined,
              points: { show: !dashed, size: 4 },
              spanGaps: false,
            })),
          ],
        },
        [times.map((at) => at / 1000), ...lines.map(({ series }) => alignedTo(times, series))] as UPlot.AlignedData,
        element,
      );
      resize = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: HEIGHT }));
      resize.observe(element);
    });
    return () => {
      ended = true;
      resize?.disconnect();
      plot?.destroy();
    };
  }, [lines, format, theme]);
  return (
    <>
      <div
        ref={place}
        role="img"
        aria-label={`${title}; the numbers are in the table`}
        className="min-w-0 overflow-hidden"
        style={{ height: HEIGHT }}
      />
      {lines.length > 1 && (
        <p className="flex flex-wrap gap-x-4 text-xs">
          {lines.map(({ label, colour, dashed }) => (
            <span
              key={label}
              className={`flex items-center gap-1.5 ${colour === "link" ? "text-link" : "text-attention"}`}
            >
              <span aria-hidden="true" className={`w-4 border-t-2 border-current ${dashed ? "border-dashed" : ""}`} />
              {label}
            </span>
          ))}
        </p>
      )}
    </>
  );
}

import { useEffect, useId, useRef, useState } from "react";
import type { default as UPlot } from "uplot";
import { Button } from "../widgets/Button";
import { momentText } from "../widgets/clock";
import type { Series } from "./figures";

type Line = { label: string; series: Series; colour: "link" | "attention" };
type Props = { title: string; lines: Line[]; format: (value: number) => string };

const HEIGHT = 150;

/** Lines over time, drawn once the chart's code is there, with the same numbers as a table. */
export function Chart({ title, lines, format }: Props) {
  const [asTable, setAsTable] = useState(false);
  const heading = useId();
  const isEmpty = lines.every(({ series }) => series.every(({ value }) => value === null));
  return (
    <section aria-labelledby={heading} className="panel flex min-w-0 flex-col p-3">
      <header className="flex items-center justify-between gap-2">
        <h2 id={heading} className="font-medium">
          {title}
        </h2>
        <Button kind="text" className="text-xs" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
          {asTable ? "As chart" : "As table"}
        </Button>
      </header>
      {asTable ? <NumberTable lines={lines} format={format} /> : <Plot lines={lines} format={format} title={title} />}
      {isEmpty && !asTable && <p className="text-xs text-secondary">Nothing was measured in this time.</p>}
    </section>
  );
}

function Plot({ lines, format, title }: Props) {
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
      const times = lines[0]?.series.map(({ at }) => at / 1000) ?? [];
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
            ...lines.map(({ label, colour: name }) => ({
              label,
              stroke: colour(name),
              width: 1.5,
              points: { show: true, size: 4 },
              spanGaps: false,
            })),
          ],
        },
        [times, ...lines.map(({ series }) => series.map(({ value }) => value))] as UPlot.AlignedData,
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
        <p className="flex gap-4 text-xs">
          {lines.map(({ label, colour }) => (
            <span
              key={label}
              className={`flex items-center gap-1.5 ${colour === "link" ? "text-link" : "text-attention"}`}
            >
              <span aria-hidden="true" className="h-0.5 w-3 bg-current" />
              {label}
            </span>
          ))}
        </p>
      )}
    </>
  );
}

function NumberTable({ lines, format }: Omit<Props, "title">) {
  const times = lines[0]?.series.map(({ at }) => at) ?? [];
  return (
    <div className="max-h-44 overflow-y-auto" tabIndex={0} role="region" aria-label="Numbers of the chart">
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col">From</th>
            {lines.map(({ label }) => (
              <th key={label} scope="col" className="number">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {times.map((at, row) => (
            <tr key={at}>
              <td>{momentText(at)}</td>
              {lines.map(({ label, series }) => {
                const value = series[row]?.value;
                return (
                  <td key={label} className="number">
                    {value === null || value === undefined ? "—" : format(value)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

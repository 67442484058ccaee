import { useId, useState } from "react";
import { Button } from "../widgets/Button";
import { momentText } from "../widgets/clock";
import { alignedTo, type Series, timesOf } from "./figures";
import { Plot } from "./Plot";

/** dashed: what is expected, not measured. */
export type Line = { label: string; series: Series; colour: "link" | "attention"; dashed?: boolean };
export type ChartProps = {
  title: string;
  lines: Line[];
  format: (value: number) => string;
  /** What is said below the chart. */
  note?: string;
};

/** Lines over time, with the same numbers as a table. */
export function Chart({ title, lines, format, note }: ChartProps) {
  const [asTable, setAsTable] = useState(false);
  const heading = useId();
  const isEmpty = lines.every(({ series }) => series.every(({ value }) => value === null));
  return (
    <section aria-labelledby={heading} className="panel flex min-w-0 flex-col p-3">
      <header className="flex items-center justify-between gap-2">
        <h2 id={heading} className="font-medium">
          {title}
        </h2>
        <Button kind="text" className="text-xs" onClick={() => setAsTable(!asTable)}>
          {asTable ? "As chart" : "As table"}
        </Button>
      </header>
      {asTable ? <NumberTable lines={lines} format={format} /> : <Plot lines={lines} format={format} title={title} />}
      {isEmpty && !asTable && <p className="text-xs text-secondary">Nothing was measured in this time.</p>}
      {note && <p className="text-xs text-secondary">{note}</p>}
    </section>
  );
}

function NumberTable({ lines, format }: Pick<ChartProps, "lines" | "format">) {
  const times = timesOf(lines.map(({ series }) => series));
  const columns = lines.map(({ label, series }) => ({ label, values: alignedTo(times, series) }));
  return (
    <div className="max-h-44 overflow-y-auto" tabIndex={0} role="region" aria-label="Numbers of the chart">
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col">From</th>
            {columns.map(({ label }) => (
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
              {columns.map(({ label, values }) => {
                const value = values[row] ?? null;
                return (
                  <td key={label} className="number">
                    {value === null ? "—" : format(value)}
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

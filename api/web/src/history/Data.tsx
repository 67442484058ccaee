/** The data behind an event, on demand. It is text, whatever it holds. */
export function Data({ label, value }: { label: string; value: unknown }) {
  if (value === null || value === undefined) return null;
  return (
    <details className="min-w-0">
      <summary className="cursor-pointer text-xs text-secondary">{label}</summary>
      <pre
        tabIndex={0}
        className="mt-1 max-h-60 max-w-xl overflow-auto rounded bg-hover p-2 font-mono text-xs break-words whitespace-pre-wrap"
      >
        {typeof value === "string" ? value : JSON.stringify(value, null, 2)}
      </pre>
    </details>
  );
}

import { amountText, differenceText } from "./amount";

type Amount = number | string;

/** How a cost changes, as amounts and as their difference. An amount that a double can't hold is a text. */
export function CostChange({ before, after }: { before: Amount; after: Amount }) {
  const by = Number(after) - Number(before);
  if (by === 0) return <>{amountText(after)}, unchanged</>;
  return (
    <>
      {amountText(before)} → <strong className="font-medium">{amountText(after)}</strong>{" "}
      <span className={by > 0 ? "text-attention" : "text-good"}>({differenceText(by)})</span>
    </>
  );
}

/** A text with the part marked in which it differs from another one. */
export function Changed({ text, from }: { text: string; from: string }) {
  const [start, middle, end] = differing(from, text);
  if (!middle || text.length < 8) return <>{text}</>;
  return (
    <>
      {start}
      <mark>{middle}</mark>
      {end}
    </>
  );
}

/** A text in three parts: what it begins with as the other does, what differs, and what it ends with as the other does. */
export function differing(from: string, to: string): [start: string, middle: string, end: string] {
  const [old, now] = [Array.from(from), Array.from(to)];
  const shorter = Math.min(old.length, now.length);
  let start = 0;
  while (start < shorter && old[start] === now[start]) start++;
  let end = 0;
  while (end < shorter - start && old[old.length - 1 - end] === now[now.length - 1 - end]) end++;
  return [
    now.slice(0, start).join(""),
    now.slice(start, now.length - end).join(""),
    now.slice(now.length - end).join(""),
  ];
}

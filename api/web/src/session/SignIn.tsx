import { useState } from "react";
import { Button } from "../widgets/Button";

/** The page of a user without a token: sends to the sign-in page of the installation, else asks for a token. */
export function SignIn({ reason, onToken }: { reason?: string; onToken: (text: string) => void }) {
  const [text, setText] = useState("");
  return (
    <main className="mx-auto flex min-h-dvh max-w-md flex-col justify-center gap-4 px-4">
      <h1 className="text-xl font-semibold">Sign in to pfa-sync</h1>
      {reason && (
        <p role="status" className="rounded border border-attention-line bg-attention-back px-3 py-2 text-attention">
          {reason}
        </p>
      )}
      <form
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (text.trim()) onToken(text);
        }}
      >
        <label className="flex flex-col gap-1">
          <span className="font-medium">Token of PFA Vanguard</span>
          <textarea
            className="field h-28 font-mono text-xs break-all"
            value={text}
            onChange={(event) => setText(event.target.value)}
            autoComplete="off"
            spellCheck={false}
            required
          />
        </label>
        <p className="text-secondary">
          The token stays in this tab. A link that ends in <code>/#token=…</code> signs in, too.
        </p>
        <Button kind="primary" type="submit" reason={text.trim() ? undefined : "Paste a token first"}>
          Sign in
        </Button>
      </form>
      <p className="text-secondary">
        The description of the API is at{" "}
        <a className="link" href="/docs/">
          /docs
        </a>
        .
      </p>
    </main>
  );
}

/** The address of the page that signs users in, with the one to come back to; null: the installation has none. */
export function signInAddress(page: Document): string | null {
  const content = page.querySelector<HTMLMetaElement>('meta[name="sign-in-url"]')?.content;
  if (!content) return null;
  const address = new URL(content);
  address.searchParams.set("return_to", page.location.href);
  return address.href;
}

const KEY = "pfa-sync.token";

/**
 * Takes a token from the address (`#token=…`) and removes it there, so that it stands neither in the history nor in a
 * copied link. It is kept for this tab alone.
 */
export function takeToken(location: Location, history: History, storage: Storage): string | null {
  const fragment = new URLSearchParams(location.hash.replace(/^#/, ""));
  const token = fragment.get("token");
  if (token) {
    storage.setItem(KEY, token);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return storage.getItem(KEY);
}

/** Keeps a token that a user pasted. Text around it, such as `Bearer`, is left out. */
export function keepToken(text: string, storage: Storage): string {
  const token = text.trim().replace(/^Bearer\s+/i, "");
  storage.setItem(KEY, token);
  return token;
}

/** Forgets the token: the user has signed out, or the service refused it. */
export function forgetToken(storage: Storage): void {
  storage.removeItem(KEY);
}

/** When a token ends, in milliseconds since 1970; null: it does not say. */
export function endOf(token: string): number | null {
  const end = claims(token)?.exp;
  return typeof end === "number" ? end * 1000 : null;
}

/** Whose token it is; the service decides, this only separates users of one browser. */
export function userOf(token: string): string | null {
  const user = claims(token)?.userId;
  return typeof user === "string" ? user : null;
}

function claims(token: string): { exp?: unknown; userId?: unknown } | null {
  try {
    const payload = token.split(".")[1]?.replace(/-/g, "+").replace(/_/g, "/") ?? "";
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0))));
  } catch {
    return null;
  }
}

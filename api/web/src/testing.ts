import { cleanup, configure } from "@testing-library/react";
import { afterEach } from "vitest";

// As long as a busy machine may take: a test that reaches it has failed.
configure({ asyncUtilTimeout: 30_000 });

// Testing Library does this by itself only where test functions are global.
afterEach(() => cleanup());

// Dialogs call it, and jsdom does not have it.
globalThis.CSS ??= { escape: (text: string) => text.replace(/[^\w-]/g, "\\$&") } as typeof CSS;

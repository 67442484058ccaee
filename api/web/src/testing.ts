import { cleanup, configure } from "@testing-library/react";
import { afterEach } from "vitest";

// The longest wait for an element. A busy machine takes many times the default of one second.
configure({ asyncUtilTimeout: 30_000 });

// Testing Library does this by itself only where test functions are global.
afterEach(() => cleanup());

// Dialogs call it, and jsdom does not have it.
globalThis.CSS ??= { escape: (text: string) => text.replace(/[^\w-]/g, "\\$&") } as typeof CSS;

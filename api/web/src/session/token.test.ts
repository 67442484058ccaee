import { beforeEach, expect, it } from "vitest";
import { endOf, forgetToken, keepToken, takeToken, userOf } from "./token";

beforeEach(() => sessionStorage.clear());

const signed = (claims: object) =>
  `x.${btoa(JSON.stringify(claims)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}.y`;

it("a token in the address is kept for the tab and removed from the address at once", () => {
  history.replaceState(null, "", "/records?org=RIO#token=abc");
  expect(takeToken(location, history, sessionStorage)).toBe("abc");
  expect(location.href).not.toContain("abc");
  expect(location.pathname + location.search).toBe("/records?org=RIO");
  expect(takeToken(location, history, sessionStorage)).toBe("abc");
  expect(localStorage).toHaveLength(0);
});

it("a pasted token is taken without what stands around it", () => {
  expect(keepToken("  Bearer abc.def.ghi\n", sessionStorage)).toBe("abc.def.ghi");
});

it("a token that is forgotten is gone", () => {
  keepToken("abc", sessionStorage);
  forgetToken(sessionStorage);
  expect(takeToken(location, history, sessionStorage)).toBeNull();
});

it("the end and the user of a token are read from its claims", () => {
  const token = signed({ userId: "usr_ö", exp: 1_800_000_000 });
  expect(endOf(token)).toBe(1_800_000_000_000);
  expect(endOf("nonsense")).toBeNull();
  expect(userOf(signed({ userId: "u" }))).toBe("u");
});

import { expect, test } from "vitest";
import { createKnownCallers, credentialOf } from "./known-callers.ts";

test("a credential is known for ten minutes after it was right, and no other is", () => {
  let now = 0;
  const known = createKnownCallers({ monotonicMs: () => now });
  known.vouch("Bearer a");
  expect([known.isKnown("Bearer a"), known.isKnown("Bearer b"), known.isKnown(undefined)]).toEqual([
    true,
    false,
    false,
  ]);
  now = 9 * 60_000;
  known.vouch("Bearer a");
  now = 15 * 60_000;
  expect(known.isKnown("Bearer a")).toBe(true);
  now = 20 * 60_000;
  expect(known.isKnown("Bearer a")).toBe(false);
});

test("one that asks for too much is a stranger again", () => {
  const known = createKnownCallers({ monotonicMs: () => 0 });
  known.vouch("Bearer a");
  known.forget("Bearer a");
  expect(known.isKnown("Bearer a")).toBe(false);
});

test("memory is bounded, and given back", () => {
  let now = 0;
  const known = createKnownCallers({ monotonicMs: () => now });
  for (let n = 0; n < 6_000; n += 1) known.vouch(`Bearer ${n}`);
  expect(known.size()).toBe(5_000);
  expect([known.isKnown("Bearer 0"), known.isKnown("Bearer 5999")]).toEqual([false, true]);
  known.vouch("x".repeat(5_000));
  expect(known.size()).toBe(5_000);
  now = 10 * 60_000;
  known.vouch("Bearer later");
  expect(known.size()).toBe(1);
});

test("a session is known by its cookie, whatever other cookies are sent along", () => {
  const session = credentialOf(undefined, "dflow.session_token=abc");
  expect(session).toBe("dflow.session_token=abc");
  expect(credentialOf(null, "x=1; dflow.session_token=abc; dflow.device=d")).toBe(session);
  expect(credentialOf(undefined, "__Secure-dflow.session_token=abc; y=2")).toBe("__Secure-dflow.session_token=abc");
  expect(credentialOf("Bearer dfk_1", "dflow.session_token=abc")).toBe("Bearer dfk_1");
  expect(credentialOf(undefined, "x-dflow.session_token=abc")).toBe(undefined);
});

/** Sign in with email and password, then back to where one was. */
import { useQueryClient } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { isApiError, signIn } from "../../api.ts";
import { serverClock } from "../../clock.ts";
import { Entrance } from "../../components/entrance.tsx";
import { safeNext } from "../../paths.ts";
import { Button } from "../../ui/button.tsx";
import { Field, Input } from "../../ui/field.tsx";
import { useNow } from "../../use-now.ts";

interface Refusal {
  words: string;
  /** Not before this moment, when there were too many attempts. */
  retryAtMs: number | undefined;
}

/** A refused sign-in in words; which of the two was wrong is nobody's business. */
export function refusalOf(error: unknown, nowMs: number): Refusal {
  if (!isApiError(error)) return { words: "Something went wrong. Try again.", retryAtMs: undefined };
  if (error.code === "rate_limited") {
    const seconds = error.retryAfterSeconds;
    return { words: "Too many attempts.", retryAtMs: seconds === undefined ? undefined : nowMs + seconds * 1000 };
  }
  if (error.status === 401 || error.status === 400) {
    return { words: "Email or password is wrong.", retryAtMs: undefined };
  }
  return { words: [error.message, error.hint].filter(Boolean).join(" "), retryAtMs: undefined };
}

export function SignInPage() {
  const { next, email: given = "", welcome } = useSearch({ from: "/sign-in" });
  const router = useRouter();
  const queryClient = useQueryClient();
  const [email, setEmail] = useState(given);
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Refusal>();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setRefusal(undefined);
    try {
      await signIn(email.trim(), password);
    } catch (error) {
      setRefusal(refusalOf(error, serverClock.now()));
      setBusy(false);
      return;
    }
    // Nothing of an earlier session may show up in this one.
    queryClient.clear();
    router.history.replace(safeNext(next));
  };

  return (
    <Entrance
      title="Sign in"
      help={
        welcome === true
          ? "Your account is ready. Sign in with your new password."
          : "To your databases, on your servers."
      }
    >
      <form onSubmit={(event) => void submit(event)} className="grid gap-4">
        <Field label="Email">
          {(ids) => (
            <Input
              {...ids}
              type="email"
              name="email"
              autoComplete="username"
              required
              value={email}
              onChange={(event) => setEmail(event.target.value)}
            />
          )}
        </Field>
        <Field label="Password">
          {(ids) => (
            <Input
              {...ids}
              type="password"
              name="password"
              autoComplete="current-password"
              required
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
        {refusal !== undefined && <RefusalNote refusal={refusal} />}
        <Button type="submit" variant="primary" busy={busy} className="h-9 w-full">
          Sign in
        </Button>
      </form>
    </Entrance>
  );
}

function RefusalNote({ refusal: { words, retryAtMs } }: { refusal: Refusal }) {
  const now = useNow();
  const waitSeconds = retryAtMs === undefined ? undefined : Math.max(0, Math.ceil((retryAtMs - now) / 1000));
  return (
    <p role="alert" className="rounded-md bg-bad-soft px-3 py-2 text-sm text-bad">
      {words}{" "}
      {waitSeconds !== undefined && (waitSeconds > 0 ? `Try again in ${waitSeconds} s.` : "You can try again now.")}
    </p>
  );
}

/** Accepts an invitation: the token stands behind the `#` of the link, a name and a password come from the person. */
import { PASSWORD_LENGTH } from "@dflow/protocol";
import { useMutation } from "@tanstack/react-query";
import { Link, useRouter } from "@tanstack/react-router";
import { useState } from "react";
import { call, client, isApiError } from "../../api.ts";
import { Entrance } from "../../components/entrance.tsx";
import { paths } from "../../paths.ts";
import { Button, buttonClass } from "../../ui/button.tsx";
import { fieldError } from "../../ui/describe-error.ts";
import { Field, Input } from "../../ui/field.tsx";
import { Problem } from "../../ui/problem.tsx";

export function InvitePage() {
  const router = useRouter();
  const [token] = useState(() => location.hash.slice(1));
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [tried, setTried] = useState(false);
  const accept = useMutation({
    mutationFn: () => call(client.POST("/api/v1/invitations/accept", { body: { token, name: name.trim(), password } })),
    onSuccess: ({ email }) => router.navigate({ to: paths.signIn, search: { welcome: true, email }, replace: true }),
    gcTime: 0,
  });
  const invalid = token === "" || (isApiError(accept.error) && accept.error.code === "invitation_invalid");
  if (invalid) {
    return (
      <Entrance
        title="This invitation does not work"
        help="It was used already, has expired, or the link is not whole."
      >
        <p className="mb-4 text-sm text-soft">Ask the person who invited you for a new one.</p>
        <Link to={paths.signIn} className={buttonClass("secondary")}>
          Go to sign in
        </Link>
      </Entrance>
    );
  }
  const short = password.length < PASSWORD_LENGTH.min ? `${PASSWORD_LENGTH.min} characters at least.` : undefined;
  const wrongName = fieldError(accept.error, "name");
  const wrongPassword = fieldError(accept.error, "password") ?? (tried ? short : undefined);
  return (
    <Entrance title="Join the workspace" help="Choose how you are called here, and a password.">
      <form
        noValidate
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          setTried(true);
          if (short === undefined && name.trim() !== "") accept.mutate();
        }}
      >
        <Field label="Your name" error={wrongName ?? (tried && name.trim() === "" ? "Give a name." : undefined)}>
          {(ids) => (
            <Input
              {...ids}
              value={name}
              maxLength={60}
              autoComplete="name"
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <Field label="Password" help={`${PASSWORD_LENGTH.min} characters at least.`} error={wrongPassword}>
          {(ids) => (
            <Input
              {...ids}
              type="password"
              autoComplete="new-password"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
        {accept.error !== null && wrongName === undefined && wrongPassword === undefined && (
          <Problem error={accept.error} />
        )}
        <Button type="submit" variant="primary" className="h-9 w-full" busy={accept.isPending}>
          Join
        </Button>
      </form>
    </Entrance>
  );
}

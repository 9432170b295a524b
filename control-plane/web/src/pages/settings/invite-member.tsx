/** Invites someone: an address and a role, and then the link to hand over, shown once. */
import { canGrant, type Role } from "@dflow/protocol";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { call, client } from "../../api.ts";
import { useWorkspace } from "../../components/workspace.tsx";
import { keys } from "../../keys.ts";
import { invitationLink } from "../../paths.ts";
import { Button } from "../../ui/button.tsx";
import { CodeBlock } from "../../ui/code.tsx";
import { fieldError } from "../../ui/describe-error.ts";
import { Dialog, DialogActions } from "../../ui/dialog.tsx";
import { Field, Input, Select } from "../../ui/field.tsx";
import { Problem } from "../../ui/problem.tsx";
import { ROLES } from "./role-words.ts";

export function InviteDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const workspace = useWorkspace();
  const queryClient = useQueryClient();
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("developer");
  const invite = useMutation({
    mutationFn: () =>
      call(
        client.POST("/api/v1/workspaces/{id}/invitations", {
          params: { path: { id: workspace.id } },
          body: { email: email.trim(), role },
        }),
      ),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.allInvitations }),
    // The link holds a secret that is shown once: no cache keeps it.
    gcTime: 0,
  });
  const { reset } = invite;
  useEffect(() => {
    if (open) return;
    reset();
    setEmail("");
  }, [open, reset]);
  const wrong = fieldError(invite.error, "email");
  if (invite.data !== undefined) {
    const { data } = invite;
    return (
      <Dialog open={open} onClose={onClose} title={`${data.email} is invited`} wide>
        <div className="grid gap-3">
          <p className="text-sm text-soft">
            Give them this link. It is shown once, works once, and makes them {data.role} of {workspace.name}.
          </p>
          <CodeBlock label="invitation link" text={invitationLink(location.origin, data.token)} />
        </div>
        <DialogActions>
          <Button variant="primary" onClick={onClose}>
            Done
          </Button>
        </DialogActions>
      </Dialog>
    );
  }
  return (
    <Dialog open={open} onClose={onClose} title="Invite member" description="They choose their own password.">
      <form
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (email.trim() !== "") invite.mutate();
        }}
      >
        <Field label="Email" error={wrong}>
          {(ids) => (
            <Input
              {...ids}
              type="email"
              required
              value={email}
              autoComplete="off"
              placeholder="name@example.com"
              onChange={(event) => {
                setEmail(event.target.value);
                if (invite.isError) reset();
              }}
            />
          )}
        </Field>
        <Field label="Role" help={ROLES.find((entry) => entry.role === role)?.can}>
          {(ids) => (
            <Select {...ids} value={role} onChange={(event) => setRole(event.target.value as Role)}>
              {ROLES.filter((entry) => canGrant(workspace.role, entry.role)).map((entry) => (
                <option key={entry.role} value={entry.role}>
                  {entry.label}
                </option>
              ))}
            </Select>
          )}
        </Field>
        {invite.error !== null && wrong === undefined && <Problem error={invite.error} />}
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" variant="primary" busy={invite.isPending} disabled={email.trim() === ""}>
            Create invitation
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

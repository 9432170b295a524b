/** Who is in the workspace, who is invited, and inviting someone. */
import { canGrant, type Role } from "@dflow/protocol";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { UserPlus } from "lucide-react";
import { useEffect, useState } from "react";
import { call, client } from "../../api.ts";
import { Ago } from "../../components/ago.tsx";
import { Page, PageTitle } from "../../components/page.tsx";
import { useMe, useRight, useWorkspace } from "../../components/workspace.tsx";
import { until } from "../../format.ts";
import { keys } from "../../keys.ts";
import { invitationLink } from "../../paths.ts";
import { invitationsQuery, membersQuery } from "../../queries.ts";
import { Tag } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { CodeBlock } from "../../ui/code.tsx";
import { fieldError } from "../../ui/describe-error.ts";
import { Dialog, DialogActions } from "../../ui/dialog.tsx";
import { Field, Input, Select } from "../../ui/field.tsx";
import { Problem } from "../../ui/problem.tsx";
import { SkeletonRows } from "../../ui/skeleton.tsx";
import { Table, Td, Th, Tr } from "../../ui/table.tsx";
import { useNow } from "../../use-now.ts";

const ROLES: readonly { role: Role; label: string; can: string }[] = [
  { role: "viewer", label: "Viewer", can: "Sees everything but credentials, reads logs" },
  { role: "developer", label: "Developer", can: "Also creates, deploys, deletes, and sees credentials" },
  { role: "admin", label: "Admin", can: "Also adds servers and invites people" },
  { role: "owner", label: "Owner", can: "Also makes other owners" },
];

export function MembersPage() {
  const workspace = useWorkspace();
  const me = useMe();
  const mayInvite = useRight("members.write");
  const { data: members, error, refetch } = useQuery(membersQuery(workspace.id));
  const [inviting, setInviting] = useState(false);
  return (
    <Page title="Members" crumbs={["Settings", "Members"]}>
      <PageTitle
        title="Members"
        help={`People in ${workspace.name}`}
        actions={
          mayInvite && (
            <Button variant="primary" onClick={() => setInviting(true)}>
              <UserPlus size={15} aria-hidden="true" />
              Invite member
            </Button>
          )
        }
      />
      {error !== null && members === undefined && <Problem error={error} onRetry={() => void refetch()} />}
      {error === null && members === undefined && <SkeletonRows rows={2} />}
      {members !== undefined && (
        <Table label="Members">
          <thead>
            <tr>
              <Th>Name</Th>
              <Th>Email</Th>
              <Th>Role</Th>
              <Th className="text-right">Joined</Th>
            </tr>
          </thead>
          <tbody>
            {members.map((member) => (
              <Tr key={member.userId}>
                <Td className="font-medium">
                  {member.name} {member.userId === me.user?.id && <Tag>you</Tag>}
                </Td>
                <Td className="text-soft">{member.email}</Td>
                <Td className="capitalize">{member.role}</Td>
                <Td className="text-right text-soft">
                  <Ago at={member.createdAt} />
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      {mayInvite && <Invitations />}
      <InviteDialog open={inviting} onClose={() => setInviting(false)} />
    </Page>
  );
}

function Invitations() {
  const workspace = useWorkspace();
  const now = useNow(30_000);
  const { data: invitations } = useQuery(invitationsQuery(workspace.id));
  const open = (invitations ?? []).filter(({ acceptedAt }) => acceptedAt === null);
  if (open.length === 0) return null;
  return (
    <section aria-labelledby="invitations" className="mt-8">
      <h2 id="invitations" className="mb-2 text-sm font-semibold">
        Invitations
      </h2>
      <Table label="Invitations">
        <thead>
          <tr>
            <Th>Email</Th>
            <Th>Role</Th>
            <Th className="text-right">Expires</Th>
          </tr>
        </thead>
        <tbody>
          {open.map((invitation) => (
            <Tr key={invitation.id}>
              <Td>{invitation.email}</Td>
              <Td className="capitalize">{invitation.role}</Td>
              <Td className="text-right text-soft">
                {Date.parse(invitation.expiresAt) <= now ? "Expired" : until(invitation.expiresAt, now)}
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </section>
  );
}

function InviteDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
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

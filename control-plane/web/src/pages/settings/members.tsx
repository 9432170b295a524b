/** Who is in the workspace, with which role, and who is invited. */
import { canGrant, type Member, type Role } from "@dflow/protocol";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { UserPlus } from "lucide-react";
import { useState } from "react";
import { call, client } from "../../api.ts";
import { Ago } from "../../components/ago.tsx";
import { Page, PageTitle } from "../../components/page.tsx";
import { GoesAndStays, TypedNameDialog } from "../../components/typed-name.tsx";
import { useMe, useRight, useWorkspace } from "../../components/workspace.tsx";
import { keys } from "../../keys.ts";
import { membersQuery } from "../../queries.ts";
import { Tag } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { Select } from "../../ui/field.tsx";
import { Problem } from "../../ui/problem.tsx";
import { SkeletonRows } from "../../ui/skeleton.tsx";
import { Table, Td, Th, Tr } from "../../ui/table.tsx";
import { notify } from "../../ui/toast.tsx";
import { Invitations } from "./invitations.tsx";
import { InviteDialog } from "./invite-member.tsx";
import { ROLES } from "./role-words.ts";

export function MembersPage() {
  const workspace = useWorkspace();
  const mayWrite = useRight("members.write");
  const { data: members, error, refetch } = useQuery(membersQuery(workspace.id));
  const [inviting, setInviting] = useState(false);
  const [removing, setRemoving] = useState<Member>();
  return (
    <Page title="Members" crumbs={["Settings", "Members"]}>
      <PageTitle
        title="Members"
        help={`People in ${workspace.name}`}
        actions={
          mayWrite && (
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
              {mayWrite && (
                <Th>
                  <span className="sr-only">Remove</span>
                </Th>
              )}
            </tr>
          </thead>
          <tbody>
            {members.map((member) => (
              <MemberRow key={member.userId} member={member} onRemove={() => setRemoving(member)} />
            ))}
          </tbody>
        </Table>
      )}
      {mayWrite && <Invitations />}
      <InviteDialog open={inviting} onClose={() => setInviting(false)} />
      <RemoveDialog member={removing} onClose={() => setRemoving(undefined)} />
    </Page>
  );
}

function MemberRow({ member, onRemove }: { member: Member; onRemove: () => void }) {
  const me = useMe();
  const workspace = useWorkspace();
  const mayWrite = useRight("members.write");
  const isMe = member.userId === me.user?.id;
  const mayChange = mayWrite && !isMe && canGrant(workspace.role, member.role);
  return (
    <Tr>
      <Td className="font-medium whitespace-nowrap">
        {member.name} {isMe && <Tag>you</Tag>}
      </Td>
      <Td className="text-soft">{member.email}</Td>
      <Td className="capitalize">{mayChange ? <RoleSelect member={member} /> : member.role}</Td>
      <Td className="text-right text-soft">
        <Ago at={member.createdAt} />
      </Td>
      {mayWrite && (
        <Td className="w-0 text-right">
          {mayChange && (
            <Button size="sm" variant="ghost" aria-label={`Remove ${member.name}`} onClick={onRemove}>
              Remove
            </Button>
          )}
        </Td>
      )}
    </Tr>
  );
}

function RoleSelect({ member }: { member: Member }) {
  const workspace = useWorkspace();
  const queryClient = useQueryClient();
  const change = useMutation({
    mutationFn: (role: Role) =>
      call(
        client.PATCH("/api/v1/workspaces/{id}/members/{userId}", {
          params: { path: { id: workspace.id, userId: member.userId } },
          body: { role },
        }),
      ),
    onSuccess: ({ role }) => notify.done(`${member.name} is ${role} now`),
    onError: (error) => notify.problem(`The role of ${member.name} was not changed`, error),
    onSettled: () => queryClient.invalidateQueries({ queryKey: keys.allMembers }),
  });
  return (
    <Select
      compact
      aria-label={`Role of ${member.name}`}
      value={change.isPending ? change.variables : member.role}
      disabled={change.isPending}
      onChange={(event) => change.mutate(event.target.value as Role)}
    >
      {ROLES.filter(({ role }) => canGrant(workspace.role, role)).map(({ role, label }) => (
        <option key={role} value={role}>
          {label}
        </option>
      ))}
    </Select>
  );
}

function RemoveDialog({ member, onClose }: { member: Member | undefined; onClose: () => void }) {
  const workspace = useWorkspace();
  const queryClient = useQueryClient();
  const remove = useMutation({
    mutationFn: (userId: string) =>
      call(
        client.DELETE("/api/v1/workspaces/{id}/members/{userId}", { params: { path: { id: workspace.id, userId } } }),
      ),
    onSuccess: () => {
      notify.done(`${member?.name} was removed`);
      onClose();
      return queryClient.invalidateQueries({ queryKey: keys.allMembers });
    },
  });
  return (
    <TypedNameDialog
      open={member !== undefined}
      onClose={() => {
        remove.reset();
        onClose();
      }}
      title={`Remove ${member?.name ?? ""}`}
      name={member?.email ?? ""}
      confirmLabel="Remove member"
      onConfirm={() => member !== undefined && remove.mutate(member.userId)}
      busy={remove.isPending}
      error={remove.error}
    >
      <GoesAndStays
        goes={[`Their way into ${workspace.name}, at once`]}
        stays={["What they made here", "Their account"]}
      />
    </TypedNameDialog>
  );
}

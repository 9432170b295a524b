/** Invitations that nobody has accepted yet. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { call, client } from "../../api.ts";
import { useWorkspace } from "../../components/workspace.tsx";
import { until } from "../../format.ts";
import { keys } from "../../keys.ts";
import { invitationsQuery } from "../../queries.ts";
import { Button } from "../../ui/button.tsx";
import { Table, Td, Th, Tr } from "../../ui/table.tsx";
import { notify } from "../../ui/toast.tsx";
import { useNow } from "../../use-now.ts";

export function Invitations() {
  const workspace = useWorkspace();
  const now = useNow(30_000);
  const { data: invitations } = useQuery(invitationsQuery(workspace.id));
  const queryClient = useQueryClient();
  const revoke = useMutation({
    mutationFn: (id: string) => call(client.DELETE("/api/v1/invitations/{id}", { params: { path: { id } } })),
    onSuccess: () => notify.done("Invitation revoked"),
    onError: (error) => notify.problem("Not revoked", error),
    onSettled: () => queryClient.invalidateQueries({ queryKey: keys.allInvitations }),
  });
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
            <Th>
              <span className="sr-only">Revoke</span>
            </Th>
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
              <Td className="w-0 text-right">
                <Button
                  size="sm"
                  variant="ghost"
                  aria-label={`Revoke the invitation of ${invitation.email}`}
                  busy={revoke.isPending && revoke.variables === invitation.id}
                  onClick={() => revoke.mutate(invitation.id)}
                >
                  Revoke
                </Button>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </section>
  );
}

/** A server whose identity two machines use: what happened, what it means, and the way out. */
import type { Server } from "@dflow/protocol";
import { useMutation, useQuery } from "@tanstack/react-query";
import { CircleCheck, ShieldAlert } from "lucide-react";
import { useState } from "react";
import { call, client } from "../../api.ts";
import { Ago } from "../../components/ago.tsx";
import { enrolmentTokenQuery, serverQuery } from "../../queries.ts";
import { ToneMark } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { Card } from "../../ui/card.tsx";
import { Dialog, DialogActions } from "../../ui/dialog.tsx";
import { Problem } from "../../ui/problem.tsx";
import { type Token, TokenExpired, TokenInstructions } from "./token-instructions.tsx";

export function Quarantine({ server, mayWrite }: { server: Server; mayWrite: boolean }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      {server.quarantinedAt !== null && (
        <QuarantineCard since={server.quarantinedAt} mayWrite={mayWrite} onRekey={() => setOpen(true)} />
      )}
      {/* It stays when the quarantine is over, to say so. */}
      {open && <RekeyDialog server={server} onClose={() => setOpen(false)} />}
    </>
  );
}

function QuarantineCard({ since, mayWrite, onRekey }: { since: string; mayWrite: boolean; onRekey: () => void }) {
  return (
    <Card danger className="mb-4">
      <div role="alert" className="flex flex-wrap items-start justify-between gap-3 px-4 py-3">
        <div className="flex max-w-2xl min-w-0 gap-2.5 text-sm">
          <ShieldAlert size={18} aria-hidden="true" className="mt-0.5 shrink-0 text-bad" />
          <div className="grid gap-1">
            <h2 className="font-semibold text-bad">
              Quarantined <Ago at={since} />
            </h2>
            <p>
              Two machines use this server's identity: a cloned disk, or a restored snapshot. No command was run twice,
              and databases keep running on both. Until one of them is re-keyed, neither is listened to and nothing is
              sent.
            </p>
            {!mayWrite && <p className="text-soft">Ask an admin of this workspace to re-key the machine to keep.</p>}
          </div>
        </div>
        {mayWrite && (
          <Button variant="primary" onClick={onRekey}>
            Re-key this server
          </Button>
        )}
      </div>
    </Card>
  );
}

function RekeyDialog({ server, onClose }: { server: Server; onClose: () => void }) {
  const [token, setToken] = useState<Token>();
  const create = useMutation({
    mutationFn: () => call(client.POST("/api/v1/servers/{id}/rekey-token", { params: { path: { id: server.id } } })),
    onSuccess: setToken,
    // The token is a secret that is shown once: no cache keeps it.
    gcTime: 0,
  });
  return (
    <Dialog
      open
      wide={token !== undefined}
      onClose={onClose}
      title={`Re-key ${server.name}`}
      description="The machine that you choose gets a new key and is this server from then on. The old key, and every copy of it, is refused."
    >
      {token === undefined ? (
        <>
          <p className="text-sm text-soft">
            Choose the machine whose databases you want to keep. The other one is not touched: what runs there goes on
            until you end it there.
          </p>
          {create.error !== null && <Problem error={create.error} />}
          <DialogActions>
            <Button onClick={onClose}>Cancel</Button>
            <Button variant="primary" busy={create.isPending} onClick={() => create.mutate()}>
              Create token
            </Button>
          </DialogActions>
        </>
      ) : (
        <Steps token={token} serverId={server.id} onClose={onClose} onAgain={() => setToken(undefined)} />
      )}
    </Dialog>
  );
}

interface StepsProps {
  token: Token;
  serverId: string;
  onClose: () => void;
  onAgain: () => void;
}

function Steps({ token, serverId, onClose, onAgain }: StepsProps) {
  const { data: state = token } = useQuery(enrolmentTokenQuery(token.id));
  const { data: server } = useQuery(serverQuery(serverId));
  if (state.state === "expired") {
    return (
      <TokenExpired onClose={onClose} onAgain={onAgain}>
        The token has expired before a machine used it. Nothing was changed.
      </TokenExpired>
    );
  }
  const isRekeyed = state.state === "used";
  const connected = isRekeyed && server?.link === "online";
  return (
    <div className="grid gap-4">
      {!isRekeyed && <TokenInstructions token={token} rekey />}
      <div className="flex items-center justify-between gap-3 border-t border-line pt-4">
        <p role="status" className="flex items-center gap-2 text-sm text-soft">
          {connected ? <CircleCheck size={17} aria-hidden="true" className="text-good" /> : <ToneMark tone="moving" />}
          {connected
            ? "It has its new key and is connected."
            : isRekeyed
              ? "It has its new key. Waiting for the agent to connect…"
              : "Waiting for the machine to keep…"}
        </p>
        <Button onClick={onClose}>Close</Button>
      </div>
    </div>
  );
}

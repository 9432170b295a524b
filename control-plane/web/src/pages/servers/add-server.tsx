/** Adds a server: a one-time token, the commands to run there, and the moment its agent connects. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleCheck } from "lucide-react";
import { useState } from "react";
import { call, client } from "../../api.ts";
import { useWorkspace } from "../../components/workspace.tsx";
import { bytes } from "../../format.ts";
import { keys } from "../../keys.ts";
import { paths } from "../../paths.ts";
import { enrolmentTokenQuery, serverQuery } from "../../queries.ts";
import { ToneMark } from "../../ui/badge.tsx";
import { Button, buttonClass } from "../../ui/button.tsx";
import { Fact, Facts } from "../../ui/card.tsx";
import { CodeBlock } from "../../ui/code.tsx";
import { fieldError } from "../../ui/describe-error.ts";
import { Dialog, DialogActions } from "../../ui/dialog.tsx";
import { Field, Input } from "../../ui/field.tsx";
import { Problem } from "../../ui/problem.tsx";
import { RUN_COMMAND, type Token, TokenExpired, TokenInstructions } from "./token-instructions.tsx";

export function AddServerDialog({ onClose }: { onClose: () => void }) {
  const [token, setToken] = useState<Token>();
  return (
    <Dialog
      open
      wide={token !== undefined}
      onClose={onClose}
      title={token === undefined ? "Add server" : `Add ${token.serverName}`}
      description="An agent on the server connects here. The server needs Docker, and no open port."
    >
      {token === undefined ? (
        <NameForm onToken={setToken} onCancel={onClose} />
      ) : (
        <Instructions token={token} onClose={onClose} onAgain={() => setToken(undefined)} />
      )}
    </Dialog>
  );
}

function NameForm({ onToken, onCancel }: { onToken: (token: Token) => void; onCancel: () => void }) {
  const workspace = useWorkspace();
  const [name, setName] = useState("");
  const create = useMutation({
    mutationFn: () =>
      call(
        client.POST("/api/v1/workspaces/{id}/enrolment-tokens", {
          params: { path: { id: workspace.id } },
          body: { serverName: name.trim() },
        }),
      ),
    onSuccess: onToken,
    // The token is a secret that is shown once: no cache keeps it.
    gcTime: 0,
  });
  const wrong = fieldError(create.error, "serverName");
  return (
    <form
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim() !== "") create.mutate();
      }}
    >
      <Field label="Name" error={wrong} help="How the server is called here. You can change it later.">
        {(ids) => (
          <Input
            {...ids}
            value={name}
            maxLength={60}
            placeholder="fra-1"
            autoComplete="off"
            onChange={(event) => {
              setName(event.target.value);
              if (create.isError) create.reset();
            }}
          />
        )}
      </Field>
      {create.error !== null && wrong === undefined && <Problem error={create.error} />}
      <DialogActions>
        <Button onClick={onCancel}>Cancel</Button>
        <Button type="submit" variant="primary" busy={create.isPending} disabled={name.trim() === ""}>
          Create token
        </Button>
      </DialogActions>
    </form>
  );
}

interface InstructionsProps {
  token: Token;
  onClose: () => void;
  onAgain: () => void;
}

function Instructions({ token, onClose, onAgain }: InstructionsProps) {
  const { data: state = token } = useQuery(enrolmentTokenQuery(token.id));
  if (state.state === "used" && state.serverId !== null)
    return <Enrolled serverId={state.serverId} installed={token.installCommand !== null} onClose={onClose} />;
  if (state.state === "expired") {
    return (
      <TokenExpired onClose={onClose} onAgain={onAgain}>
        The token has expired before a server used it. Nothing was changed. A new one takes a click.
      </TokenExpired>
    );
  }
  return (
    <div className="grid gap-4">
      <TokenInstructions token={token} />
      <div className="flex items-center justify-between gap-3 border-t border-line pt-4">
        <p role="status" className="flex items-center gap-2 text-sm text-soft">
          <ToneMark tone="moving" />
          Waiting for the agent…
        </p>
        <Button onClick={onClose}>Close</Button>
      </div>
    </div>
  );
}

interface EnrolledProps {
  serverId: string;
  /** By install.sh, which also starts the agent. */
  installed: boolean;
  onClose: () => void;
}

function Enrolled({ serverId, installed, onClose }: EnrolledProps) {
  const queryClient = useQueryClient();
  const { data: server } = useQuery(serverQuery(serverId));
  const connected = server?.link === "online";
  const facts = server?.facts;
  return (
    <div className="grid gap-4">
      <p role="status" className="flex items-center gap-2 text-sm font-medium">
        {connected ? <CircleCheck size={17} aria-hidden="true" className="text-good" /> : <ToneMark tone="moving" />}
        {connected ? `${server.name} is connected` : "Enrolled. Waiting for the agent to connect…"}
      </p>
      {!connected && !installed && <CodeBlock label="run command" text={RUN_COMMAND} />}
      {facts && (
        <div className="rounded-lg border border-line">
          <Facts>
            <Fact name="System">
              {facts.os}, {facts.arch}
            </Fact>
            <Fact name="CPU and memory">
              {facts.cpus} CPU · {bytes(facts.memoryBytes)}
            </Fact>
            <Fact name="Docker">{facts.dockerVersion ?? "Not found"}</Fact>
            <Fact name="Public address">{server.publicHost ?? "Not known"}</Fact>
          </Facts>
        </div>
      )}
      <DialogActions>
        <Button
          onClick={() => {
            void queryClient.invalidateQueries({ queryKey: keys.allServers });
            onClose();
          }}
        >
          Close
        </Button>
        <Link to={paths.server} params={{ serverId }} className={buttonClass("primary")}>
          Show the server
        </Link>
      </DialogActions>
    </div>
  );
}

/** Adds a server: a one-time token, the commands to run there, and the moment its agent connects. */
import type { createdEnrolmentTokenSchema } from "@dflow/protocol";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleCheck, Info } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { z } from "zod";
import { call, client } from "../../api.ts";
import { useWorkspace } from "../../components/workspace.tsx";
import { bytes, until } from "../../format.ts";
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
import { useNow } from "../../use-now.ts";

type Token = z.infer<typeof createdEnrolmentTokenSchema>;
const TOKEN_FILE = "dflow-token";
const DATA_DIR = "/var/lib/dflow-agent";
const RUN_COMMAND = `./scripts/agent run --data-dir ${DATA_DIR}`;

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
      <>
        <p className="text-sm text-soft">
          The token has expired before a server used it. Nothing was changed. A new one takes a click.
        </p>
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button variant="primary" onClick={onAgain}>
            Create a new token
          </Button>
        </DialogActions>
      </>
    );
  }
  return (
    <div className="grid gap-4">
      {token.installCommand === null ? (
        <ByHand token={token} />
      ) : (
        <ByInstaller token={token} command={token.installCommand} />
      )}
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

function ByInstaller({ token, command }: { token: Token; command: string }) {
  return (
    <ol className="grid gap-4">
      <Step number={1} title="Run this line on the server">
        <CodeBlock label="install command" text={command} />
        <p className="mt-1 text-xs text-faint">
          It checks the server first, asks before it installs Docker, and can be run again at any time.
        </p>
      </Step>
      <Step number={2} title="Paste this token when it asks">
        <CodeBlock label="token" text={token.token} />
        <Expiry expiresAt={token.expiresAt} />
      </Step>
    </ol>
  );
}

/** Where no line can work: an agent on the control plane's own machine, from a clone. */
function ByHand({ token }: { token: Token }) {
  return (
    <>
      {token.reachableFromElsewhere ? (
        <Note>
          This control plane has no installer to offer. On its machine, in dFlow's folder, run scripts/archive; until
          then a server is added from a clone.
        </Note>
      ) : (
        <Note>
          This control plane listens on its own machine only, so only an agent on that machine can connect. For other
          servers, give the control plane a public https address first.
        </Note>
      )}
      <ol className="grid gap-4">
        <Step number={1} title={`Put this token into a file ${TOKEN_FILE} on the server`}>
          <CodeBlock label="token" text={token.token} />
          <Expiry expiresAt={token.expiresAt} />
        </Step>
        <Step number={2} title="In a clone of dFlow on that server, enrol the agent">
          <CodeBlock
            label="enrol command"
            text={`./scripts/agent enrol --url ${token.controlPlaneUrl} --data-dir ${DATA_DIR} --token-file ${TOKEN_FILE}`}
          />
        </Step>
        <Step number={3} title="Start it">
          <CodeBlock label="run command" text={RUN_COMMAND} />
        </Step>
      </ol>
    </>
  );
}

function Note({ children }: { children: ReactNode }) {
  return (
    <p role="note" className="flex gap-2.5 rounded-lg border border-line-strong bg-sunken px-3 py-2.5 text-sm">
      <Info size={16} aria-hidden="true" className="mt-0.5 shrink-0 text-accent-text" />
      <span>{children}</span>
    </p>
  );
}

function Step({ number, title, children }: { number: number; title: string; children: ReactNode }) {
  return (
    <li className="grid grid-cols-[24px_minmax(0,1fr)] gap-x-2.5 gap-y-1.5">
      <span
        aria-hidden="true"
        className="grid size-5 place-items-center rounded-full bg-hover text-xs font-medium text-soft"
      >
        {number}
      </span>
      <span className="text-sm font-medium">{title}</span>
      <div className="col-start-2 min-w-0">{children}</div>
    </li>
  );
}

function Expiry({ expiresAt }: { expiresAt: string }) {
  const now = useNow();
  return (
    <p className="mt-1 text-xs text-faint">
      Shown once. Works for one server and expires {until(expiresAt, now)}. It never belongs into a command line, which
      every process on a server can read.
    </p>
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

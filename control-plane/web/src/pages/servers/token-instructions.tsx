/** What to do with a token that was just made: the line to run on the server, for a new one and for a re-key. */
import type { createdEnrolmentTokenSchema } from "@dflow/protocol";
import { Info } from "lucide-react";
import type { ReactNode } from "react";
import type { z } from "zod";
import { until } from "../../format.ts";
import { Button } from "../../ui/button.tsx";
import { CodeBlock } from "../../ui/code.tsx";
import { DialogActions } from "../../ui/dialog.tsx";
import { useNow } from "../../use-now.ts";

export type Token = z.infer<typeof createdEnrolmentTokenSchema>;
const TOKEN_FILE = "dflow-token";
const DATA_DIR = "/var/lib/dflow-agent";
export const RUN_COMMAND = `./scripts/agent run --data-dir ${DATA_DIR}`;

export function TokenInstructions({ token, rekey = false }: { token: Token; rekey?: boolean }) {
  return token.installCommand === null ? (
    <ByHand token={token} rekey={rekey} />
  ) : (
    <ByInstaller token={token} command={token.installCommand} rekey={rekey} />
  );
}

function ByInstaller({ token, command, rekey }: { token: Token; command: string; rekey: boolean }) {
  return (
    <ol className="grid gap-4">
      <Step number={1} title={rekey ? "Run this line on the machine to keep" : "Run this line on the server"}>
        <CodeBlock label="install command" text={command} />
        <p className="mt-1 text-xs text-faint">
          {rekey
            ? "It makes a new key there and restarts the agent. Databases, their data and the agent's journal stay as they are."
            : "It checks the server first, asks before it installs Docker, and can be run again at any time."}
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
function ByHand({ token, rekey }: { token: Token; rekey: boolean }) {
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
        <Step
          number={1}
          title={`Put this token into a file ${TOKEN_FILE} on ${rekey ? "the machine to keep" : "the server"}`}
        >
          <CodeBlock label="token" text={token.token} />
          <Expiry expiresAt={token.expiresAt} />
        </Step>
        <Step
          number={2}
          title={
            rekey
              ? "In dFlow's clone there, give the agent its new key"
              : "In a clone of dFlow on that server, enrol the agent"
          }
        >
          <CodeBlock
            label="enrol command"
            text={`./scripts/agent enrol --url ${token.controlPlaneUrl} --data-dir ${DATA_DIR} --token-file ${TOKEN_FILE}`}
          />
        </Step>
        <Step number={3} title={rekey ? "Stop the agent that runs there, and start it again" : "Start it"}>
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

/** `children`: what that means where the dialog stands. */
export function TokenExpired({ onClose, onAgain, children }: ExpiredProps) {
  return (
    <>
      <p className="text-sm text-soft">{children}</p>
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button variant="primary" onClick={onAgain}>
          Create a new token
        </Button>
      </DialogActions>
    </>
  );
}

interface ExpiredProps {
  onClose: () => void;
  onAgain: () => void;
  children: ReactNode;
}

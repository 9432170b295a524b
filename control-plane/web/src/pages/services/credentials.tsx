/** Internal credentials: what is no secret stands there, what is one is fetched when someone asks for it. */
import {
  CREDENTIAL_FORMATS,
  type CredentialFormat,
  type Credentials,
  credentialsOf,
  ENGINES,
  formatCredentials,
  type Service,
} from "@dflow/protocol";
import { useMutation } from "@tanstack/react-query";
import { Eye, EyeOff } from "lucide-react";
import { useState } from "react";
import { call, client } from "../../api.ts";
import { buttonClass } from "../../ui/button.tsx";
import { Card } from "../../ui/card.tsx";
import { cx } from "../../ui/classes.ts";
import { CopyButton } from "../../ui/code.tsx";
import { notify } from "../../ui/toast.tsx";

const MASK = "••••••••";
const FORMAT_HELP: Record<CredentialFormat, string> = {
  uri: "Connection URL",
  env: "Lines for an .env file",
  psql: "Command for a shell",
  jdbc: "JDBC URL",
};

export function CredentialsCard({ service }: { service: Service }) {
  const verdict = service.actions.credentials;
  if (verdict.verdict === "hidden") return null;
  return (
    <Card
      title="Internal credentials"
      help={`For other services in ${service.environment.name}. Traffic stays on its internal network.`}
    >
      {verdict.verdict === "refused" ? (
        <p className="px-4 py-4 text-sm text-soft">{verdict.sentence}</p>
      ) : (
        <CredentialFields service={service} />
      )}
    </Card>
  );
}

/** The fetched secret lives in this component only: not in a cache, not in storage, gone with the page. */
function CredentialFields({ service }: { service: Service }) {
  const [format, setFormat] = useState<CredentialFormat>("uri");
  const [shown, setShown] = useState({ url: false, password: false });
  const fetching = useMutation({
    mutationFn: () => call(client.GET("/api/v1/services/{id}/credentials", { params: { path: { id: service.id } } })),
    gcTime: 0,
  });
  const known: Credentials | undefined = fetching.data;
  // A word in place of the password that survives every format's encoding, to be masked on the screen.
  const masked = credentialsOf(ENGINES[service.engine], service.name, "MASK");
  const fields = known ?? masked;
  const fetched = async () => known ?? (await fetching.mutateAsync());

  const reveal = async (what: keyof typeof shown) => {
    if (shown[what]) return setShown({ ...shown, [what]: false });
    try {
      await fetched();
      setShown((now) => ({ ...now, [what]: true }));
    } catch (error) {
      notify.problem("The credentials cannot be shown", error);
    }
  };

  const url = formatCredentials(shown.url && known !== undefined ? known : masked, format);
  return (
    <>
      <div className="border-b border-line px-4 py-3">
        <div className="mb-2 flex flex-wrap items-center justify-between gap-2">
          <span className="text-xs text-faint">{FORMAT_HELP[format]}</span>
          <FormatPicker format={format} onPick={setFormat} />
        </div>
        <figure
          aria-label={FORMAT_HELP[format]}
          className="flex items-start gap-1 rounded-md border border-line bg-sunken"
        >
          <pre className="min-w-0 flex-1 px-3 py-2 font-mono text-code break-all whitespace-pre-wrap">
            {url.replaceAll("MASK", MASK)}
          </pre>
          <div className="flex shrink-0 p-0.5">
            <RevealButton what="URL" shown={shown.url} onPress={() => void reveal("url")} />
            <CopyButton
              text={async () => formatCredentials(await fetched(), format)}
              label={format === "uri" ? "URL" : FORMAT_HELP[format]}
            />
          </div>
        </figure>
      </div>
      <dl className="divide-y divide-line">
        <Row name="Host" value={fields.host} />
        <Row name="Port" value={String(fields.port)} />
        <Row name="Username" value={fields.username} />
        <Row
          name="Password"
          value={shown.password && known !== undefined ? known.password : MASK}
          copy={async () => (await fetched()).password}
          reveal={<RevealButton what="password" shown={shown.password} onPress={() => void reveal("password")} />}
        />
        <Row name="Database" value={fields.database} />
      </dl>
    </>
  );
}

interface RowProps {
  name: string;
  value: string;
  copy?: () => Promise<string>;
  reveal?: React.ReactNode;
}

function Row({ name, value, copy, reveal }: RowProps) {
  return (
    <div className="flex min-h-10 items-center gap-3 py-0.5 pr-2 pl-4">
      <dt className="w-24 shrink-0 text-sm text-faint">{name}</dt>
      <dd className="flex min-w-0 flex-1 items-center gap-1">
        <span className="min-w-0 flex-1 font-mono text-code [overflow-wrap:anywhere]">{value}</span>
        {reveal}
        <CopyButton text={copy ?? value} label={name.toLowerCase()} />
      </dd>
    </div>
  );
}

function RevealButton({ what, shown, onPress }: { what: string; shown: boolean; onPress: () => void }) {
  const label = `${shown ? "Hide" : "Reveal"} ${what}`;
  return (
    <button type="button" aria-label={label} title={label} onClick={onPress} className={buttonClass("ghost", "icon")}>
      {shown ? <EyeOff size={15} aria-hidden="true" /> : <Eye size={15} aria-hidden="true" />}
    </button>
  );
}

function FormatPicker({ format, onPick }: { format: CredentialFormat; onPick: (format: CredentialFormat) => void }) {
  return (
    <fieldset className="flex rounded-md border border-line p-0.5">
      <legend className="sr-only">Format</legend>
      {CREDENTIAL_FORMATS.map(({ id, label }) => (
        <button
          key={id}
          type="button"
          aria-pressed={format === id}
          onClick={() => onPick(id)}
          className={cx(
            "h-6 rounded-sm px-2 text-xs",
            format === id ? "bg-hover font-medium text-ink" : "text-soft hover:text-ink",
          )}
        >
          {label}
        </button>
      ))}
    </fieldset>
  );
}

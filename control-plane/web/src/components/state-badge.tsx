/** The state of a service or of a server's link: word, shape, and how old the look is that it comes from. */
import { type LinkState, SERVICE_STATE_LABELS, SERVICE_STATE_TONES, type Service, type Tone } from "@dflow/protocol";
import { ShieldAlert } from "lucide-react";
import { ago, moment } from "../format.ts";
import { Badge } from "../ui/badge.tsx";
import { Tooltip } from "../ui/tooltip.tsx";
import { useNow } from "../use-now.ts";

/** The sentence behind a badge. */
export function stateEvidence(service: Service): string {
  if (service.state === "not_deployed") return "Created, and nothing runs yet. Deploy starts it.";
  const { evidence } = service.observed;
  if (isMemory(service)) {
    const last = evidence === "" ? "" : ` The last thing seen: ${evidence}.`;
    const why = AWAY[service.server.link] ?? "cannot be reached";
    return `Server ${service.server.name} ${why}, so nobody knows how it is now.${last}`;
  }
  if (evidence === "") return `Nothing was seen by the agent on ${service.server.name} yet.`;
  return `${capital(evidence)}, seen by the agent on ${service.server.name}.`;
}

/** Its server is not online: whatever is known of it is what was seen last. */
const isMemory = ({ state }: Service) => state === "unreachable" || state === "reconnecting";

const AWAY: Partial<Record<LinkState, string>> = {
  quarantined: "is quarantined",
  reconnecting: "has not reconnected since the control plane started",
};

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, "");

export function ServiceStateBadge({ service, withAge = false }: { service: Service; withAge?: boolean }) {
  return (
    <span className="inline-flex flex-wrap items-center gap-x-2 gap-y-1">
      <Tooltip content={<Evidence service={service} />}>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the evidence in the tooltip has to be reachable by keyboard */}
        <span tabIndex={0} className="rounded-full">
          <Badge tone={SERVICE_STATE_TONES[service.state]}>{SERVICE_STATE_LABELS[service.state]}</Badge>
        </span>
      </Tooltip>
      {withAge && <SeenAge service={service} />}
    </span>
  );
}

function Evidence({ service }: { service: Service }) {
  return (
    <>
      {stateEvidence(service)}
      {service.observedAt !== null && <span className="block text-faint">Seen {moment(service.observedAt)}</span>}
    </>
  );
}

/** "seen 3 s ago", or "last seen 5 min ago" when that is all there is. */
export function SeenAge({ service }: { service: Service }) {
  const now = useNow();
  if (service.observedAt === null || service.state === "not_deployed") return null;
  const word = isMemory(service) || service.state === "unknown" ? "last seen" : "seen";
  return (
    <time
      dateTime={service.observedAt}
      title={moment(service.observedAt)}
      className="text-xs whitespace-nowrap text-faint tabular-nums"
    >
      {word} {ago(service.observedAt, now)}
    </time>
  );
}

const LINKS: Record<LinkState, { tone: Tone; label: string; sentence: string }> = {
  online: { tone: "good", label: "Online", sentence: "Its agent is connected and answers." },
  reconnecting: {
    tone: "moving",
    label: "Reconnecting",
    sentence: "The control plane has just started and waits for its agent. What runs there may run on.",
  },
  unreachable: {
    tone: "bad",
    label: "Unreachable",
    sentence: "Its agent is not connected. What runs there may run on; nobody can see it from here.",
  },
  quarantined: {
    tone: "bad",
    label: "Quarantined",
    sentence: "Two machines use its identity. Databases keep running; nothing is sent until one of them is re-keyed.",
  },
  never_connected: { tone: "quiet", label: "Never connected", sentence: "Its agent has not connected yet." },
};

interface LinkBadgeProps {
  link: LinkState;
  lastSeenAt: string | null;
  withAge?: boolean;
}

export function LinkBadge({ link, lastSeenAt, withAge = true }: LinkBadgeProps) {
  const now = useNow();
  const { tone, label, sentence } = LINKS[link];
  return (
    <span className="inline-flex flex-wrap items-center gap-x-2 gap-y-1">
      <Tooltip content={sentence}>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the sentence in the tooltip has to be reachable by keyboard */}
        <span tabIndex={0} className="relative z-10 rounded-full">
          <Badge tone={tone}>
            {link === "quarantined" && <ShieldAlert size={13} aria-hidden="true" />}
            {label}
          </Badge>
        </span>
      </Tooltip>
      {withAge && lastSeenAt !== null && (
        <time
          dateTime={lastSeenAt}
          title={moment(lastSeenAt)}
          className="text-xs whitespace-nowrap text-faint tabular-nums"
        >
          {link === "online" ? "seen" : "last seen"} {ago(lastSeenAt, now)}
        </time>
      )}
    </span>
  );
}

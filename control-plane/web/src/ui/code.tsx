/** Text to be copied: commands, tokens, addresses. */
import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { buttonClass } from "./button.tsx";
import { copyText } from "./copy.ts";

/** `text` may be a promise: what is copied is then fetched by the click itself. */
export function CopyButton({
  text,
  label,
  className,
}: {
  text: string | (() => Promise<string>);
  label: string;
  className?: string;
}) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <button
      type="button"
      aria-label={`Copy ${label}`}
      title={`Copy ${label}`}
      className={buttonClass("ghost", "icon", className)}
      onClick={async () => setCopied(await copyText(text))}
    >
      {copied ? <Check size={15} aria-hidden="true" className="text-good" /> : <Copy size={15} aria-hidden="true" />}
    </button>
  );
}

/** Wraps rather than scrolls: what is to be copied should be seen whole. */
export function CodeBlock({ text, label }: { text: string; label: string }) {
  return (
    <figure aria-label={label} className="flex items-start gap-1 rounded-md border border-line bg-sunken">
      <pre className="min-w-0 flex-1 px-3 py-2 font-mono text-code [overflow-wrap:anywhere] whitespace-pre-wrap">
        {text}
      </pre>
      <CopyButton text={text} label={label} className="m-0.5" />
    </figure>
  );
}

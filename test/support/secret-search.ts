/** Looks for secrets in bytes, in every form that a program may have written them in. Pure. */

export interface Secret {
  /** What it is, in the words of the test's table: "database password". */
  kind: string;
  text: string;
}

export interface Found {
  kind: string;
  form: string;
}

interface Needle extends Found {
  bytes: Buffer;
}

/** Shorter needles would be found by chance. */
const SHORTEST = 12;

/** Each way to write this text, by name. Forms that come out the same are one. */
export function formsOf(text: string): Map<string, Buffer> {
  const forms = new Map<string, Buffer>();
  const written = (name: string, bytes: Buffer) => {
    for (const [form, other] of writings(bytes)) if (!has(forms, other)) forms.set(`${name}${form}`, other);
  };
  written("", Buffer.from(text));
  for (const [name, encoded] of [
    ["percent-encoded", encodeURIComponent(text)],
    ["every byte percent-encoded", Buffer.from(text).toString("hex").replaceAll(/../g, "%$&")],
    ["JSON-escaped", JSON.stringify(text).slice(1, -1)],
  ] as const) {
    if (!has(forms, Buffer.from(encoded))) forms.set(name, Buffer.from(encoded));
  }
  // Keys and tokens are mostly base64url of random bytes, which can also be written as those bytes.
  const decoded = Buffer.from(text, "base64url");
  if (decoded.length >= 24 && decoded.toString("base64url") === text) written("its bytes ", decoded);
  return forms;
}

function writings(bytes: Buffer): [form: string, bytes: Buffer][] {
  const hex = bytes.toString("hex");
  return [
    ["raw", bytes],
    ["in hex", Buffer.from(hex)],
    ["in upper-case hex", Buffer.from(hex.toUpperCase())],
    ...([0, 1, 2] as const).flatMap((offset): [string, Buffer][] => {
      const inside = base64Inside(bytes, offset);
      const url = inside.replaceAll("+", "-").replaceAll("/", "_");
      return [
        [`in base64, ${offset} bytes in`, Buffer.from(inside)],
        [`in base64url, ${offset} bytes in`, Buffer.from(url)],
      ];
    }),
  ];
}

/** What stays the same of the base64 of a longer text in which the secret begins at such an offset. */
function base64Inside(secret: Buffer, offset: 0 | 1 | 2): string {
  const text = Buffer.concat([Buffer.alloc(offset), secret]).toString("base64");
  const whole = Math.floor(((offset + secret.length) * 8) / 6);
  return text.slice(Math.ceil((offset * 8) / 6), whole);
}

function has(forms: Map<string, Buffer>, bytes: Buffer): boolean {
  return [...forms.values()].some((other) => other.equals(bytes));
}

/** One pass over the bytes, however many secrets there are. */
export function createSearch(secrets: readonly Secret[]): (haystack: Buffer) => Found[] {
  const needles = secrets.flatMap(({ kind, text }): Needle[] =>
    [...formsOf(text)].map(([form, bytes]) => ({ kind, form, bytes })),
  );
  const short = needles.find(({ bytes }) => bytes.length < SHORTEST);
  if (short !== undefined) throw new RangeError(`a ${short.kind} of ${short.bytes.length} bytes is found by chance`);
  const begins = new Uint8Array(65_536);
  const byFour = new Map<number, Needle[]>();
  for (const needle of needles) {
    begins[needle.bytes.readUInt16BE(0)] = 1;
    const four = needle.bytes.readUInt32BE(0);
    byFour.set(four, [...(byFour.get(four) ?? []), needle]);
  }
  return (haystack) => {
    const found = new Map<string, Found>();
    for (let at = 0; at + SHORTEST <= haystack.length; at += 1) {
      const two = ((haystack[at] as number) << 8) | (haystack[at + 1] as number);
      if (begins[two] === 0) continue;
      for (const { kind, form, bytes } of byFour.get(haystack.readUInt32BE(at)) ?? []) {
        if (haystack.subarray(at, at + bytes.length).equals(bytes)) {
          found.set(`${kind} ${form}`, { kind, form });
        }
      }
    }
    return [...found.values()];
  };
}

/**
 * Nothing secret is left anywhere but where it belongs. The whole product runs for real, at its most talkative log
 * levels; then every place that a run leaves behind or shows is searched for every secret that came to be, raw and
 * encoded. Not looked for: nonces and signatures of the link and of an enrolment, which are good for one message and
 * used up by it. The link has no token of a session, only a number, and the dashboard no CSRF token: origins are checked.
 */
import { userInfo } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Place } from "../support/evidence.ts";
import { type Evidence, runWithSecrets } from "../support/secret-run.ts";
import { createSearch } from "../support/secret-search.ts";

interface Permitted {
  place: RegExp;
  kind: string;
  reason: string;
}

const FILE = "readable by its owner only";
const SECRET_OF_A_DATABASE =
  /^((home|quickstart)\/agent|installed agent)\/services\/[^/]+\/secrets\/postgres_password$/;

/** Where a secret may be found, and why. An entry under which nothing is found any more is stale and fails too. */
const PERMITTED: Permitted[] = [
  // On disk, on the control plane's host.
  { place: /^home\/(control-plane|backup)\/keys\/signing\.json$/, kind: "signing key", reason: `its file, ${FILE}` },
  { place: /^home\/(control-plane|backup)\/keys\/sealing\.json$/, kind: "sealing key", reason: `its file, ${FILE}` },
  { place: /^home\/(control-plane|backup)\/keys\/session\.json$/, kind: "session key", reason: `its file, ${FILE}` },
  { place: /^quickstart\/control-plane\/keys\/signing\.json$/, kind: "signing key", reason: `its file, ${FILE}` },
  { place: /^quickstart\/control-plane\/keys\/sealing\.json$/, kind: "sealing key", reason: `its file, ${FILE}` },
  { place: /^quickstart\/control-plane\/keys\/session\.json$/, kind: "session key", reason: `its file, ${FILE}` },
  {
    place: /^(home|quickstart)\/(control-plane|backup)\/control-plane\.sqlite(-wal)?$/,
    kind: "enrolment MAC key",
    reason:
      "who checks a MAC needs its key. It is the hash of the token's secret, and enrols one server, within 30 minutes, unless it was used",
  },
  { place: /^(home|quickstart)\/admin\.json$/, kind: "password", reason: `the first login, for its owner; ${FILE}` },
  { place: /^(home|quickstart)\/admin\.json$/, kind: "API key", reason: `the first login, for its owner; ${FILE}` },
  { place: /^home\/token$/, kind: "enrolment token", reason: "the file that this test gives by --token-file" },
  { place: /^home\/made\.key$/, kind: "API key", reason: `what dflow-admin --out was asked for; ${FILE}` },
  { place: /^home\/reset\.password$/, kind: "password", reason: `what dflow-admin --out was asked for; ${FILE}` },
  // On disk, on a server.
  { place: /^(home|quickstart)\/agent\/key\.json$/, kind: "agent's key", reason: `its file, ${FILE}` },
  { place: /^installed agent\/key\.json$/, kind: "agent's key", reason: `its file, ${FILE}` },
  {
    place: SECRET_OF_A_DATABASE,
    kind: "database password",
    reason: `the file that the image reads it from; ${FILE}`,
  },
  // Processes.
  {
    place: /^environment of a database's /,
    kind: "database password",
    reason:
      "the image's contract: its entrypoint reads the file and exports the value, which only root and the database's own user can read",
  },
  { place: /^docker top with environment$/, kind: "database password", reason: "the same, as root asks Docker for it" },
  { place: /^argv of sh$/, kind: "planted", reason: "put there by this test, to see that it would be found" },
  {
    place: /^environment of (sh|sleep)$/,
    kind: "planted",
    reason: "put there by this test, to see that it would be found",
  },
  // Answers that are there to give it: once, at its making, or to somebody with the right to it.
  { place: /^answer to GET .*\/credentials$/, kind: "database password", reason: "what was asked for; no-store" },
  { place: /^answer to POST .*\/sign-in\/email$/, kind: "session", reason: "the cookie itself: HttpOnly, SameSite" },
  { place: /^answer to POST .*\/sign-in\/email$/, kind: "device mark", reason: "the cookie itself; it gives no right" },
  { place: /^answer to POST .*\/api-keys$/, kind: "API key", reason: "shown once; no-store" },
  { place: /^answer to POST .*\/invitations$/, kind: "invitation", reason: "shown once; no-store" },
  { place: /^answer to POST .*\/enrolment-tokens$/, kind: "enrolment token", reason: "shown once; no-store" },
  // On the screen of who asked for it.
  { place: /^browser: page of a service, password revealed$/, kind: "database password", reason: "Reveal was pressed" },
  { place: /^browser: page of an invitation$/, kind: "password", reason: "the field into which it is being typed" },
  {
    place: /^browser: address of page of an invitation$/,
    kind: "invitation",
    reason: "behind the #: it is never sent, so it is not among the addresses asked for",
  },
  { place: /^terminal of quickstart$/, kind: "password", reason: "the login that it prints for the person at it" },
  { place: /^terminal of quickstart$/, kind: "API key", reason: "--json was asked for" },
];

/** Places that must have been there and held something: a search of nothing finds nothing. */
const LOOKED_AT: [place: RegExp, holds: RegExp][] = [
  [/^argv of node agent\.mjs$/, /agent\.mjs\0enrol\0/],
  [/^argv of node control-plane\.mjs$/, /admin\0backup/],
  [/^environment of node agent\.mjs$/, /PATH=/],
  [/^argv of docker$/, /postgres/],
  [/^argv of curl install\.sh$/, /install\.sh/],
  [/^argv of a database's psql$/, /psql/],
  [/^home\/agent\.log$/, /operation accepted/],
  [/^home\/control-plane\.log$/, /"msg":"request"/],
  [/^home\/control-plane\/control-plane\.sqlite-wal$/, /session\.sign_in/],
  [/^home\/backup\/control-plane\.sqlite$/, /SQLite format/],
  [/^home\/agent\/journal\.db-wal$/, /orders-db/],
  [/^quickstart\/agent\/journal\.db-wal$/, /demo-db/],
  [/^quickstart\/logs\/control-plane\.log$/, /control plane is up/],
  [/^installed server: \/etc\/systemd\/system\/dflow-agent\.service$/, /ExecStart/],
  [/^installed server: \/root\/\.bash_history$/, /install\.sh \| sh/],
  [/^installed server: \/var\/log\/agent\.journal$/, /operation accepted/],
  [/^unit as systemd knows it$/, /Environment|ExecStart/],
  [/^terminal of the install$/, /online since/],
  [/^docker container inspect$/, /POSTGRES_PASSWORD_FILE/],
  [/^argv of a database's (sh|perl|pg_dump)$/, /pg_dump/],
  [/^docker image inspect$/, /PGDATA/],
  [/^docker (volume|network) inspect$/, /sh\.dflow\.agent/],
  [/^docker logs$/, /database system is ready/],
  [/^docker events$/, /exec_create/],
  [/^docker's own files of a container\/local-logs\/container\.log$/, /database system is ready/],
  [/^volume\/.*\/pg_hba\.conf$/, /scram/],
  [/^answer to GET \/metrics$/, /dflow_servers/],
  [/^answer to GET .*\/operations\/\{id\}\/log$/, /Container .*: started/],
  [/^stream of .*\/events$/, /"type":"service"/],
  [/^stream of .*\/logs$/, /password authentication failed/],
  [/^browser: address asked for$/, /\/api\/v1\//],
  [/^browser: page of a service$/, /Reveal password/],
];

describe("after a run of the whole product, with every kind of secret made and used", () => {
  let evidence: Evidence;
  let findings: { place: Place; kind: string; form: string }[];

  beforeAll(async () => {
    evidence = await runWithSecrets();
    const search = createSearch(evidence.secrets);
    findings = evidence.places.flatMap((place) => search(place.bytes).map((found) => ({ place, ...found })));
  }, 600_000);
  afterAll(() => evidence?.remove(), 120_000);

  it("every secret stands in permitted places only", () => {
    const elsewhere = findings.filter(
      ({ place, kind }) => !PERMITTED.some((entry) => entry.kind === kind && entry.place.test(place.name)),
    );
    expect(elsewhere.map(({ place, kind, form }) => `${place.name}: ${kind}, ${form}`)).toEqual([]);
  });

  it("each permitted place still holds what it is permitted to hold", () => {
    const stale = PERMITTED.filter(
      (entry) => !findings.some(({ place, kind }) => kind === entry.kind && entry.place.test(place.name)),
    );
    expect(stale.map(({ place, kind }) => `${place}: ${kind}`)).toEqual([]);
  });

  it("the files among them are their owner's alone, and so are the folders that they lie in", () => {
    const { uid } = userInfo();
    const files = findings.filter(({ place }) => place.mode !== undefined).map(({ place }) => place);
    expect(files.length).toBeGreaterThan(15);
    const database = evidence.places.find(({ name }) => /^volume\/.*\/pg_hba\.conf$/.test(name))?.uid;
    expect(database).toBeGreaterThan(0);
    // The job of a check runs as the database's own user, to whom its secrets are given; the folder is closed all the same.
    const mayOwn = ({ name }: Place) => (SECRET_OF_A_DATABASE.test(name) ? [uid, database] : [uid]);
    const loose = files.filter((file) => (file.mode ?? 0) !== 0o600 || !mayOwn(file).includes(file.uid));
    expect(loose.map(({ name, mode, uid }) => `${name}: ${mode?.toString(8)}, of ${uid}`)).toEqual([]);
    expect(Object.keys(evidence.folders).length).toBeGreaterThan(10);
    expect(Object.entries(evidence.folders).filter(([, mode]) => mode !== "700")).toEqual([]);
    const databases = evidence.places.filter(({ name }) => /control-plane\.sqlite(-wal|-shm)?$/.test(name));
    const ours = databases.filter(({ name }) => /^(home|quickstart)\//.test(name));
    expect(ours.map(({ mode }) => mode)).toEqual(ours.map(() => 0o600));
  });

  it("every kind of place was there to be searched, and every kind of secret was looked for", () => {
    const absent = LOOKED_AT.filter(
      ([place, holds]) =>
        !evidence.places.some(({ name, bytes }) => place.test(name) && holds.test(bytes.toString("latin1"))),
    );
    expect(absent.map(([place, holds]) => `${place} with ${holds}`)).toEqual([]);
    const kinds = new Set(evidence.secrets.map(({ kind }) => kind));
    expect(PERMITTED.map(({ kind }) => kind).filter((kind) => !kinds.has(kind))).toEqual([]);
    const { looks, slowestMs, sightings } = evidence.watched;
    const bytes = evidence.places.reduce((sum, place) => sum + place.bytes.length, 0);
    console.log(
      `${evidence.secrets.length} secrets looked for in ${evidence.places.length} places, ${Math.round(bytes / 1e6)} MB; ` +
        `${sightings.length} processes seen in ${looks} looks, at most ${slowestMs} ms apart`,
    );
    expect(slowestMs).toBeLessThan(5_000);
  });
});

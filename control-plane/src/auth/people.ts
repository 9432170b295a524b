/** People: passwords and sessions, by better-auth. Sign-up is closed; only what is named here can be reached. */
import { AppError, PASSWORD_LENGTH } from "@dflow/protocol";
import { betterAuth } from "better-auth";
import { isAPIError } from "better-auth/api";
import type { Db, Trx } from "../db/database.ts";
import type { Deps } from "../deps.ts";
import { limitedAddress } from "../http/client-address.ts";
import { hashedSessions } from "./hashed-sessions.ts";
import { deviceCookie, deviceMark, deviceOf } from "./known-device.ts";
import { createPasswordGuesses } from "./password-guesses.ts";
import { createPasswordLanes } from "./password-lanes.ts";
import type { Principal } from "./principal.ts";

export type PeopleDeps = Pick<Deps, "config" | "db" | "random" | "clock" | "sessionSecret">;

export interface NewPerson {
  email: string;
  name: string;
  passwordHash: string;
}

export interface SignedIn {
  user: { id: string; email: string; name: string };
  /** Set-Cookie lines for the browser. */
  cookies: string[];
}

export interface People {
  /** Throws `unauthenticated` when address or password is wrong. */
  signIn(email: string, password: string, request: { headers: Headers; address: string }): Promise<SignedIn>;
  /** The cookies that clear the session. Safe without one. */
  signOut(headers: Headers): Promise<string[]>;
  /** Who the cookie names, and cookies to renew, or undefined without a valid session. */
  session(
    headers: Headers,
  ): Promise<{ principal: Extract<Principal, { kind: "user" }>; cookies: string[] } | undefined>;
  /** For who has shown already that they may set one. */
  hashPassword(password: string): Promise<string>;
  /**
   * For who has shown already that they may be asked (an invitation's token). Throws `unauthenticated` when it is not
   * this user's; guesses count as those at sign-in do.
   */
  checkPassword(user: { id: string; email: string }, password: string, address: string): Promise<void>;
  /** Adds the user and their password in the caller's transaction. Throws `name_taken` for a known address. */
  add(trx: Trx, person: NewPerson): Promise<string>;
}

const SESSION_SECONDS = 7 * 24 * 3600;
const RENEW_AFTER_SECONDS = 24 * 3600;
/** Carries the address that our own rules found to better-auth, which would otherwise read X-Forwarded-For itself. */
const ADDRESS_HEADER = "x-dflow-client-address";

export function createPeople(deps: PeopleDeps): People {
  const auth = createBetterAuth(deps);
  const guesses = createPasswordGuesses(deps.clock);
  const lanes = createPasswordLanes(deps.config.limits.passwordsAtOnce);
  const secure = deps.config.publicUrl.startsWith("https://");

  const devices = {
    idOf: (email: string, headers: Headers) => deviceOf(deps.sessionSecret, email, headers.get("cookie")),
    newCookie(email: string): string {
      const id = deps.random.bytes(16).toString("base64url");
      return deviceCookie(deviceMark(deps.sessionSecret, email, id), secure);
    },
  };

  return {
    async signIn(given, password, { headers, address }) {
      const email = given.toLowerCase();
      const device = devices.idOf(email, headers);
      const inner = new Headers({ [ADDRESS_HEADER]: address });
      const agent = headers.get("user-agent");
      if (agent !== null) inner.set("user-agent", agent.slice(0, 300));
      // Counted when its turn has come: what is refused for lack of room was no attempt, and counts are as bounded as turns.
      return lanes.run({ address: limitedAddress(address), known: device !== undefined }, async () => {
        const right = guesses.take(email, { address, device });
        try {
          const { response, headers: set } = await auth.api.signInEmail({
            body: { email, password },
            headers: inner,
            returnHeaders: true,
          });
          right();
          const { id, name } = response.user;
          const cookies = [...set.getSetCookie(), ...(device === undefined ? [devices.newCookie(email)] : [])];
          return { user: { id, email: response.user.email, name }, cookies };
        } catch (error) {
          if (!isAPIError(error) || error.statusCode >= 500) throw error;
          throw new AppError("unauthenticated", "Email or password is wrong.", { cause: error });
        }
      });
    },
    async signOut(headers) {
      const { headers: set } = await auth.api.signOut({ headers: cookieOnly(headers), returnHeaders: true });
      return set.getSetCookie();
    },
    async session(headers) {
      if (!headers.has("cookie")) return undefined;
      const asked = { headers: cookieOnly(headers), returnHeaders: true } as const;
      const { response, headers: set } = await auth.api.getSession(asked).catch((error: unknown) => {
        // Most likely it is to be renewed and the disk is full: that can wait, and it is still who it is.
        if (!isAPIError(error) || error.statusCode < 500) throw error;
        return auth.api.getSession({ ...asked, query: { disableRefresh: true } });
      });
      if (response === null) return undefined;
      const { user, session } = response;
      return {
        principal: {
          kind: "user",
          id: user.id,
          name: user.name,
          email: user.email,
          sessionId: session.id,
          sessionEndsAt: new Date(session.expiresAt).getTime(),
        },
        cookies: set.getSetCookie(),
      };
    },
    async hashPassword(password) {
      const context = await auth.$context;
      return lanes.run({ address: "", known: true }, () => context.password.hash(password));
    },
    async checkPassword({ id, email }, password, address) {
      const account = await deps.db
        .selectFrom("account")
        .select("password")
        .where("userId", "=", id)
        .where("providerId", "=", "credential")
        .executeTakeFirst();
      const context = await auth.$context;
      await lanes.run({ address: limitedAddress(address), known: true }, async () => {
        const right = guesses.take(email, { address, device: undefined });
        const fits = account?.password != null && (await context.password.verify({ hash: account.password, password }));
        if (!fits) {
          throw new AppError("unauthenticated", "There is an account with this address; its password is another one.");
        }
        right();
      });
    },
    async add(trx, person) {
      const email = person.email.toLowerCase();
      const known = await trx.selectFrom("user").select("id").where("email", "=", email).executeTakeFirst();
      if (known !== undefined) throw new AppError("name_taken", `${email} has an account already.`);
      const id = deps.random.id();
      const now = new Date(deps.clock.now()).toISOString();
      const stamps = { createdAt: now, updatedAt: now };
      await trx
        .insertInto("user")
        .values({ id, email, name: person.name, emailVerified: 0, image: null, ...stamps })
        .execute();
      await trx
        .insertInto("account")
        .values({
          id: deps.random.id(),
          userId: id,
          accountId: id,
          providerId: "credential",
          password: person.passwordHash,
          ...stamps,
        })
        .execute();
      return id;
    },
  };
}

function createBetterAuth({ config, db, random, sessionSecret }: PeopleDeps) {
  return betterAuth({
    appName: "dFlow",
    baseURL: config.publicUrl,
    basePath: "/api/auth",
    secret: sessionSecret,
    database: { db: db as Db, type: "sqlite" },
    emailAndPassword: {
      enabled: true,
      disableSignUp: true,
      minPasswordLength: PASSWORD_LENGTH.min,
      maxPasswordLength: PASSWORD_LENGTH.max,
    },
    session: { expiresIn: SESSION_SECONDS, updateAge: RENEW_AFTER_SECONDS, cookieCache: { enabled: false } },
    // No route of ours makes a verification token yet; one that is made some day is hashed from the first.
    verification: { storeIdentifier: "hashed" },
    plugins: [hashedSessions()],
    advanced: {
      database: { generateId: () => random.id() },
      cookiePrefix: "dflow",
      useSecureCookies: config.publicUrl.startsWith("https://"),
      defaultCookieAttributes: { httpOnly: true, sameSite: "strict" },
      ipAddress: { ipAddressHeaders: [ADDRESS_HEADER] },
      // Origins are checked for all of the API in one place of ours (http/origin.ts), its own routes are not mounted.
      disableCSRFCheck: true,
      disableOriginCheck: true,
    },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { disabled: true },
  });
}

function cookieOnly(headers: Headers): Headers {
  return new Headers({ cookie: headers.get("cookie") ?? "" });
}

/** Scenes in which people and programs use the product: a database's life, sessions, keys, invitations, the host, a browser. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { CHROMIUM } from "./chromium.ts";
import { type CommandResult, runProgram } from "./docker-engine.ts";
import { imageMap } from "./product.ts";
import {
  act,
  credentialsOf,
  knowCookies,
  knowToken,
  makeDatabase,
  makeEnvironment,
  ROOT,
  type Run,
} from "./secret-known.ts";

/** Deployed, asked, asked with a wrong password, restarted, checked; and a deploy that fails. */
export async function lifeOfADatabase(run: Run): Promise<string> {
  const { product, http } = run;
  const { apiKey } = product.login;
  const environmentId = await makeEnvironment(run, "Shop", product.serverId);
  const serviceId = await makeDatabase(run, environmentId, "orders-db");
  await act(run, serviceId, "deploy", "succeeded");
  const logs = http.follow(`/api/v1/services/${serviceId}/logs?follow=true&tail=500`, apiKey);
  const { uri, password } = await credentialsOf(run, serviceId);
  await psqlUnseen(environmentId, uri, "create table kept (id int); select 1");
  await psqlUnseen(environmentId, uri.replace(password, "x".repeat(32)), "select 1");
  await act(run, serviceId, "restart", "succeeded");
  await act(run, serviceId, "check", "succeeded");
  await credentialsOf(run, serviceId);
  await logs();
  const failingId = await makeDatabase(run, environmentId, "failing-db", "18-exits");
  await act(run, failingId, "deploy", "failed");
  return serviceId;
}

/** psql with the address by standard input: what this test does is judged like what the product does. */
async function psqlUnseen(environmentId: string, uri: string, sql: string): Promise<CommandResult> {
  const versions = imageMap().postgres ?? {};
  const image = versions["18"]?.image ?? Object.values(versions)[0]?.image ?? "";
  const script = `umask 077; IFS= read -r uri; rest="\${uri#*://}"; login="\${rest%%@*}"; place="\${rest#*@}"
    printf '*:*:*:*:%s\\n' "\${login#*:}" > /tmp/pgpass
    PGPASSFILE=/tmp/pgpass exec psql -X -A -t -w -c '${sql}' "\${uri%%://*}://\${login%%:*}@$place"`;
  const args = ["run", "--rm", "-i", "--network", `dflow-env-${environmentId}`, "--entrypoint", "sh", image];
  return runProgram("docker", [...args, "-c", script], { input: `${uri}\n` });
}

export async function signInAndOut(run: Run): Promise<void> {
  const { product, http, know } = run;
  const { email, password } = product.login;
  const mistyped = "a password that was mistyped";
  know("password", mistyped);
  const path = "/api/auth/sign-in/email";
  const refused = await http.send("POST", path, { body: { email, password: mistyped } });
  if (refused.status !== 401) throw new Error(`a wrong password was answered ${refused.status}`);
  for (const stays of [true, false]) {
    const { cookie } = await http.send("POST", path, { body: { email, password } });
    knowCookies(run, cookie);
    await http.send("GET", "/api/v1/me", { cookie });
    await http.send("GET", "/api/auth/get-session", { cookie });
    if (!stays) await http.send("POST", "/api/auth/sign-out", { cookie });
  }
}

export async function keysAndInvitations(run: Run): Promise<void> {
  const { product, http, know } = run;
  const { apiKey: key, workspaceId } = product.login;
  const workspace = `/api/v1/workspaces/${workspaceId}`;
  const made = await http.send("POST", `${workspace}/api-keys`, { key, body: { name: "ci", role: "viewer" } });
  know("API key", String(made.json.key));
  await http.send("GET", "/api/v1/me", { key: String(made.json.key) });
  await http.send("GET", "/api/v1/me", { key: `${String(made.json.key).slice(0, -4)}AAAA` });

  const body = { email: "second@example.test", role: "developer" };
  const { json } = await http.send("POST", `${workspace}/invitations`, { key, body });
  const password = "the second person's password";
  know("invitation", String(json.token));
  know("password", password);
  const accepted = { body: { token: json.token, name: "Second", password } };
  await http.send("POST", "/api/v1/invitations/accept", accepted);
  await http.send("POST", "/api/v1/invitations/accept", accepted);
  const signIn = await http.send("POST", "/api/auth/sign-in/email", { body: { email: body.email, password } });
  knowCookies(run, signIn.cookie);

  const unused = await http.send("POST", `${workspace}/enrolment-tokens`, { key, body: { serverName: "never-used" } });
  knowToken(run, String(unused.json.token));
}

/** dflow-admin, as the person at the host calls it. */
export async function atTheHost({ product, places, know }: Run): Promise<void> {
  const { home, login } = product;
  const admin = async (name: string, ...args: string[]) => {
    const command = ["scripts/dflow-admin", name, ...args, "--data-dir", join(home, "control-plane")];
    const { code, stdout, stderr } = await runProgram("bash", command, { cwd: ROOT });
    if (code !== 0) throw new Error(`dflow-admin ${name}: ${code}: ${stderr}`);
    places.push({ name: `terminal of dflow-admin ${name}`, bytes: Buffer.from(stdout + stderr) });
  };
  const key = join(home, "made.key");
  const password = join(home, "reset.password");
  await admin("create-key", "--workspace", login.workspaceId, "--name", "Host", "--role", "viewer", "--out", key);
  await admin("reset-password", "--email", "second@example.test", "--out", password);
  await admin("backup", "--out", join(home, "backup"));
  await admin("doctor", "--config", join(home, "control-plane.json"));
  know("API key", readFileSync(key, "utf8").trim());
  know("password", readFileSync(password, "utf8").trim());
}

/** A person signs in, reveals a password, and another accepts an invitation; each address and page is kept. */
export async function inTheBrowser(run: Run, serviceId: string): Promise<void> {
  const { product, http, places, know } = run;
  const { apiKey: key, workspaceId, email, password } = product.login;
  const browser = await chromium.launch(CHROMIUM);
  try {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const kept = (name: string, text: string) => places.push({ name: `browser: ${name}`, bytes: Buffer.from(text) });
    page.on("request", (request) => kept("address asked for", `${request.url()}\n${request.headers().referer ?? ""}`));
    page.on("console", (message) => kept("console", message.text()));
    const keep = async (name: string) => {
      kept(`page ${name}`, await page.content());
      kept(`address of page ${name}`, page.url());
      kept(
        "storage",
        await page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])"),
      );
    };
    await page.goto(product.url);
    await page.getByLabel("Email").fill(email);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Applications", level: 1 }).waitFor();
    await keep("of applications");
    // Of all paths: the mark is sent to the sign-in only.
    const cookies = await context.cookies();
    knowCookies(run, cookies.map(({ name, value }) => `${name}=${value}`).join("; "));
    await page.goto(`${product.url}/services/${serviceId}`);
    await page.getByRole("button", { name: "Reveal password" }).waitFor();
    await keep("of a service");
    await page.getByRole("button", { name: "Reveal password" }).click();
    await page.getByRole("button", { name: "Hide password" }).waitFor();
    await keep("of a service, password revealed");
    await page.goto(`${product.url}/servers`);
    await page.getByRole("link", { name: "test-server" }).first().waitFor();
    await keep("of servers");
    await context.clearCookies();

    const invitation = await http.send("POST", `/api/v1/workspaces/${workspaceId}/invitations`, {
      key,
      body: { email: "third@example.test", role: "viewer" },
    });
    const chosen = "the third person's password";
    know("invitation", String(invitation.json.token));
    know("password", chosen);
    await page.goto(`${product.url}/invite#${invitation.json.token}`);
    await page.getByLabel("Your name").fill("Third");
    await page.getByLabel("Password").fill(chosen);
    await keep("of an invitation");
    await page.getByRole("button", { name: /Join|Accept/ }).click();
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await keep("after the invitation");
  } finally {
    await browser.close();
  }
}

/** Every GET of the API, and the figures, once at the end. */
export async function readEverything({ product, http }: Run, serviceId: string): Promise<void> {
  const { apiKey: key, workspaceId } = product.login;
  const get = async (path: string) => (await http.send("GET", path, { key })).json as { items?: { id: string }[] };
  const v1 = "/api/v1";
  const workspace = `${v1}/workspaces/${workspaceId}`;
  for (const path of ["/me", "/engines", "/openapi.json"]) await get(v1 + path);
  await get("/metrics");
  await get(workspace);
  for (const list of ["applications", "servers", "members", "invitations", "api-keys"]) {
    for (const { id } of (await get(`${workspace}/${list}`)).items ?? []) {
      if (["applications", "servers"].includes(list)) await get(`${v1}/${list}/${id}`);
    }
  }
  await get(`${v1}/services/${serviceId}`);
  for (const { id } of (await get(`${v1}/services/${serviceId}/operations`)).items ?? []) {
    await get(`${v1}/operations/${id}`);
    await get(`${v1}/operations/${id}/log`);
  }
}

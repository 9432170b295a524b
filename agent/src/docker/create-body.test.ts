import { expect, test } from "vitest";
import { postgres } from "../engines/postgres.ts";
import { blueprint } from "../services/container-spec.ts";
import { createBody } from "./create-body.ts";

const ID = (n: number) => `01890000-0000-7000-8000-00000000000${n}`;
const spec = {
  serviceId: ID(1),
  workspaceId: ID(2),
  environmentId: ID(3),
  volumeId: ID(4),
  name: "orders-db",
  type: "database",
  engine: "postgres",
  version: "17",
  image: "postgres:17-trixie",
  standIn: false,
  memoryBytes: 536_870_912,
  outgoing: false,
} as const;
const owner = {
  agentId: ID(5),
  workspaceId: spec.workspaceId,
  environmentId: spec.environmentId,
  serviceId: spec.serviceId,
  generation: 3,
  operationId: ID(6),
};
const folders = { secrets: "/var/lib/dflow/services/s/secrets", tls: "/var/lib/dflow/services/s/tls" };

function bodyOf(part: object = {}) {
  const plan = blueprint({ ...spec, ...part }, postgres, folders, owner);
  return createBody({ ...plan, imageId: "sha256:abc", network: { ...plan.network, address: "10.218.0.2" } });
}

test("asks Docker for a Postgres exactly like this", () => {
  expect(bodyOf()).toMatchInlineSnapshot(`
    {
      "Env": [
        "POSTGRES_DB=orders_db",
        "POSTGRES_PASSWORD_FILE=/run/dflow/secrets/postgres_password",
        "PGDATA=/var/lib/postgresql/17/docker",
      ],
      "Healthcheck": {
        "Interval": 10000000000,
        "Retries": 5,
        "StartPeriod": 600000000000,
        "Test": [
          "CMD",
          "pg_isready",
          "-q",
          "-h",
          "127.0.0.1",
          "-p",
          "5432",
          "-U",
          "postgres",
          "-d",
          "orders_db",
        ],
        "Timeout": 5000000000,
      },
      "HostConfig": {
        "CapAdd": [
          "CHOWN",
          "DAC_OVERRIDE",
          "FOWNER",
          "SETGID",
          "SETUID",
        ],
        "CapDrop": [
          "ALL",
        ],
        "Dns": [
          "127.0.0.1",
        ],
        "LogConfig": {
          "Config": {
            "max-file": "3",
            "max-size": "10m",
          },
          "Type": "local",
        },
        "Memory": 536870912,
        "MemorySwap": 536870912,
        "Mounts": [
          {
            "Source": "dflow-vol-01890000-0000-7000-8000-000000000004",
            "Target": "/var/lib/postgresql",
            "Type": "volume",
          },
          {
            "ReadOnly": true,
            "Source": "/var/lib/dflow/services/s/secrets",
            "Target": "/run/dflow/secrets",
            "Type": "bind",
          },
          {
            "ReadOnly": true,
            "Source": "/var/lib/dflow/services/s/tls",
            "Target": "/run/dflow/tls",
            "Type": "bind",
          },
        ],
        "NetworkMode": "dflow-env-01890000-0000-7000-8000-000000000003",
        "PidsLimit": 4096,
        "RestartPolicy": {
          "Name": "no",
        },
        "SecurityOpt": [
          "no-new-privileges",
        ],
        "ShmSize": 268435456,
        "Tmpfs": {
          "/var/lib/postgresql/data": "size=65536,mode=0700",
        },
        "Ulimits": [
          {
            "Hard": 0,
            "Name": "core",
            "Soft": 0,
          },
        ],
      },
      "Image": "sha256:abc",
      "Labels": {
        "sh.dflow.agent": "01890000-0000-7000-8000-000000000005",
        "sh.dflow.environment": "01890000-0000-7000-8000-000000000003",
        "sh.dflow.generation": "3",
        "sh.dflow.operation": "01890000-0000-7000-8000-000000000006",
        "sh.dflow.service": "01890000-0000-7000-8000-000000000001",
        "sh.dflow.spec": "34560223323945856db29a02ee83e84676fb2fd32289b8803da807bb78022e3f",
        "sh.dflow.workspace": "01890000-0000-7000-8000-000000000002",
      },
      "NetworkingConfig": {
        "EndpointsConfig": {
          "dflow-env-01890000-0000-7000-8000-000000000003": {
            "Aliases": [
              "orders-db",
            ],
            "IPAMConfig": {
              "IPv4Address": "10.218.0.2",
            },
          },
        },
      },
      "StopSignal": "SIGINT",
      "StopTimeout": 120,
      "name": "dflow-01890000-0000-7000-8000-000000000001-3",
    }
  `);
});

test("leaves the old data path of 18 alone, and sets no limit where none is given", () => {
  const { HostConfig, Env } = bodyOf({ version: "18", memoryBytes: undefined });
  expect(HostConfig?.Tmpfs).toEqual({});
  expect(HostConfig).not.toHaveProperty("Memory");
  expect(Env).toContain("PGDATA=/var/lib/postgresql/18/docker");
});

test("lets a service ask for names outside only when it may go there", () => {
  expect(bodyOf({ outgoing: true }).HostConfig).not.toHaveProperty("Dns");
});

test("hashes what makes a container different, and nothing that changes by itself", () => {
  const hashOf = (part: object = {}, change: object = {}) =>
    blueprint({ ...spec, ...part }, postgres, folders, { ...owner, ...change }).labels["sh.dflow.spec"];
  expect(hashOf({}, { generation: 9, operationId: ID(9) })).toBe(hashOf());
  for (const part of [
    { outgoing: true },
    { memoryBytes: 1e9 },
    { image: "postgres:17.1" },
    { name: "other" },
    { volumeId: ID(8) },
  ]) {
    expect(hashOf(part)).not.toBe(hashOf());
  }
});

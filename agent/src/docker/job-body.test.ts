import { expect, test } from "vitest";
import { postgres } from "../engines/postgres.ts";
import { jobSpec } from "../services/job-spec.ts";
import { jobBody } from "./job-body.ts";

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
  outgoing: true,
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
const ground = { imageId: "sha256:abc", user: { uid: 999, gid: 998 } };
const bodyOf = (part: object = {}) => jobBody(jobSpec("check", { ...spec, ...part }, postgres, folders, owner, ground));

test("asks Docker for the job of a check exactly like this", () => {
  expect(bodyOf()).toMatchInlineSnapshot(`
    {
      "Cmd": [
        "-c",
        "set -e
    umask 077
    { printf '*:*:*:*:'; sed 's/[\\\\:]/\\\\&/g' /run/dflow/secrets/postgres_password; echo; } >/dev/shm/passwords
    exec pg_dump --no-password --file=/dev/null "host=$1 port=5432 user=postgres dbname=$2 passfile=/dev/shm/passwords connect_timeout=20"",
        "check",
        "orders-db",
        "orders_db",
      ],
      "Entrypoint": [
        "sh",
      ],
      "Healthcheck": {
        "Test": [
          "NONE",
        ],
      },
      "HostConfig": {
        "CapDrop": [
          "ALL",
        ],
        "Dns": [
          "127.0.0.1",
        ],
        "LogConfig": {
          "Config": {
            "max-file": "2",
            "max-size": "1m",
          },
          "Type": "local",
        },
        "Mounts": [
          {
            "ReadOnly": true,
            "Source": "/var/lib/dflow/services/s/secrets",
            "Target": "/run/dflow/secrets",
            "Type": "bind",
          },
        ],
        "NetworkMode": "dflow-env-01890000-0000-7000-8000-000000000003",
        "PidsLimit": 64,
        "ReadonlyRootfs": true,
        "RestartPolicy": {
          "Name": "no",
        },
        "SecurityOpt": [
          "no-new-privileges",
        ],
        "ShmSize": 67108864,
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
        "sh.dflow.job": "check",
        "sh.dflow.operation": "01890000-0000-7000-8000-000000000006",
        "sh.dflow.service": "01890000-0000-7000-8000-000000000001",
        "sh.dflow.workspace": "01890000-0000-7000-8000-000000000002",
      },
      "User": "999:998",
      "name": "dflow-job-01890000-0000-7000-8000-000000000006",
    }
  `);
});

test("covers what the image declares as its volume, and has no less memory than a dump needs", () => {
  expect(bodyOf({ version: "18" }).HostConfig?.Tmpfs).toEqual({ "/var/lib/postgresql": "size=65536,mode=0700" });
  expect(bodyOf({ memoryBytes: 64 << 20 }).HostConfig).toMatchObject({ Memory: 256 << 20, MemorySwap: 256 << 20 });
  expect(bodyOf({ memoryBytes: 1 << 30 }).HostConfig).toMatchObject({ Memory: 1 << 30, MemorySwap: 1 << 30 });
});
